#include "controllers/bootstrap/cluster_info.h"

#include <gtest/gtest.h>

#include "client/client.h"

using namespace redoubt;
using namespace redoubt::controllers;

namespace {

k8s::core::v1::Secret secret(const std::string& id, std::map<std::string, std::string> more = {}) {
  k8s::core::v1::Secret out;
  out.metadata.name = "bootstrap-token-" + id;
  out.type = kTokenSecretType;
  out.data["token-id"].bytes = id;
  out.data["token-secret"].bytes = "0123456789abcdef";
  out.data["usage-bootstrap-signing"].bytes = "true";
  for (auto& [key, value] : more) out.data[key].bytes = value;
  return out;
}

}  // namespace

TEST(TokenSecret, IsReadWholeOrNotAtAll) {
  auto token = read_token_secret(secret("abcdef", {{"expiration", "2030-01-02T03:04:05Z"}}));
  ASSERT_TRUE(token);
  EXPECT_TRUE(token->signs);
  EXPECT_FALSE(token->authenticates);
  EXPECT_EQ(format_rfc3339(*token->ends), "2030-01-02T03:04:05Z");
  EXPECT_TRUE(read_token_secret(secret("abcdef", {{"expiration", "tomorrow"}}))->is_over(now()));
  auto named = secret("abcdef");
  named.metadata.name = "bootstrap-token-ghijkl";
  EXPECT_FALSE(read_token_secret(named));
  auto opaque = secret("abcdef");
  opaque.type = "Opaque";
  EXPECT_FALSE(read_token_secret(opaque));
  EXPECT_FALSE(read_token_secret(secret("abcdef", {{"token-secret", "short"}})));
}

TEST(ClusterInfo, IsSignedByTokensThatSignAndLive) {
  ClusterInfo info{"https://[fd00::1]:6443", "CA", "KUBELET CA"};
  std::vector<TokenSecret> tokens = {*read_token_secret(secret("aaaaaa")),
                                     *read_token_secret(secret("bbbbbb", {{"usage-bootstrap-signing", "false"}})),
                                     *read_token_secret(secret("cccccc", {{"expiration", "2020-01-01T00:00:00Z"}}))};
  auto data = cluster_info_data(info, tokens, now());
  EXPECT_TRUE(data.contains("jws-kubeconfig-aaaaaa"));
  EXPECT_FALSE(data.contains("jws-kubeconfig-bbbbbb"));
  EXPECT_FALSE(data.contains("jws-kubeconfig-cccccc"));
  EXPECT_TRUE(pki::verify_detached(data["kubeconfig"], data["jws-kubeconfig-aaaaaa"], tokens[0].token));
  auto read = client::parse_kubeconfig_cluster(data["kubeconfig"]);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->server, info.server);
  EXPECT_EQ(read->ca_pem, "CA");
}

TEST(EndedTokens, ComeBackAsTheyWereWrittenAndAreBounded) {
  std::vector<EndedToken> tokens = {{"abcdef", "expired", *parse_rfc3339("2026-01-02T03:04:05Z")},
                                    {"ghijkl", "deleted", *parse_rfc3339("2026-01-02T03:04:06Z")}};
  std::string text = format_ended_tokens(tokens);
  auto read = parse_ended_tokens(text);
  ASSERT_EQ(read.size(), 2U);
  EXPECT_EQ(read[0].id, "abcdef");
  EXPECT_EQ(read[1].how, "deleted");
  EXPECT_EQ(read[1].when, tokens[1].when);
  EXPECT_TRUE(parse_ended_tokens("nonsense,=,a@b,abcdef=x@y,,").empty());
  std::vector<EndedToken> many(500, tokens[0]);
  EXPECT_EQ(parse_ended_tokens(format_ended_tokens(many)).size(), 100U);
}
