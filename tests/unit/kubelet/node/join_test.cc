#include "kubelet/node/join.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "kubelet/node/rotation.h"
#include "pki/bootstrap_token.h"
#include "schema/k8s/core_v1.h"

using namespace redoubt;
using namespace redoubt::kubelet;

namespace {

constexpr const char* kToken = "abcdef.0123456789abcdef";

Options good() {
  Options out;
  out.server = "https://10.0.0.1:6443";
  out.bootstrap_token = kToken;
  out.ca_hashes = {"sha256:" + std::string(64, 'a')};
  return out;
}

std::string map_with(std::map<std::string, std::string> data, std::string ended = "") {
  k8s::core::v1::ConfigMap map;
  map.metadata.name = "cluster-info";
  map.data = std::move(data);
  if (!ended.empty()) map.metadata.annotations["redoubt.dev/ended-tokens"] = ended;
  return schema::to_json(map);
}

}  // namespace

TEST(Join, ChecksWhatWasTypedBeforeAnythingIsSent) {
  EXPECT_TRUE(check_bootstrap(good()));
  auto wrong = [](auto change) {
    Options options = good();
    change(options);
    auto outcome = check_bootstrap(options);
    return outcome ? std::string() : outcome.error().message();
  };
  EXPECT_NE(wrong([](Options& o) { o.bootstrap_token = "abc"; }).find("malformed"), std::string::npos);
  EXPECT_NE(wrong([](Options& o) { o.ca_hashes = {"sha256:xyz"}; }).find("malformed"), std::string::npos);
  EXPECT_NE(wrong([](Options& o) { o.ca_hashes = {}; }).find("ca-cert-hash"), std::string::npos);
  EXPECT_NE(wrong([](Options& o) { o.server = "http://10.0.0.1"; }).find("https"), std::string::npos);
  EXPECT_NE(wrong([](Options& o) { o.server = ""; }).find("https"), std::string::npos);
  // The secret is in no message.
  EXPECT_EQ(wrong([](Options& o) { o.bootstrap_token = "ABCDEF.SECRETSECRETSECR"; }).find("SECRET"), std::string::npos);
}

TEST(Join, SaysWhyATokenWasRefused) {
  pki::BootstrapToken token = *pki::parse_bootstrap_token(kToken), other = token;
  other.secret = "ffffffffffffffff";
  auto says = [&](const std::string& map) { return explain_refused_token(kToken, map); };
  EXPECT_NE(says(map_with({{"kubeconfig", "k"}})).find("unknown"), std::string::npos);
  EXPECT_NE(says(map_with({{"kubeconfig", "k"}}, "zzzzzz=expired@2026-01-01T00:00:00Z")).find("unknown"),
            std::string::npos);
  EXPECT_NE(says(map_with({{"kubeconfig", "k"}}, "abcdef=expired@2026-01-01T00:00:00Z")).find("expired at 2026"),
            std::string::npos);
  EXPECT_NE(says(map_with({{"kubeconfig", "k"}}, "abcdef=deleted@2026-01-01T00:00:00Z")).find("used up"),
            std::string::npos);
  EXPECT_NE(says(map_with({{"kubeconfig", "k"}, {"jws-kubeconfig-abcdef", pki::sign_detached("k", other)}}))
                .find("secret is another"),
            std::string::npos);
  EXPECT_NE(says(map_with({{"kubeconfig", "k"}, {"jws-kubeconfig-abcdef", pki::sign_detached("k", token)}}))
                .find("not authenticate"),
            std::string::npos);
  EXPECT_EQ(says("").find("0123456789abcdef"), std::string::npos);
  EXPECT_NE(says("").find("abcdef"), std::string::npos);
}

TEST(Identity, IsKeptWholePrivateAndForThisNodeOnly) {
  Options options;
  options.root_dir = std::filesystem::temp_directory_path() / fmt::format("identity-{}", ::getpid());
  std::filesystem::create_directories(options.root_dir + "/pki");
  options.node_name = "n1";
  pki::KeyPair ca = *pki::make_ca("ca", std::chrono::hours(1));
  pki::Template wanted;
  wanted.subject = {"system:node:n1", {"system:nodes"}};
  wanted.usages = {pki::Usage::ClientAuth};
  NodeIdentity identity{"https://10.0.0.1:6443", ca.certificate_pem, *pki::issue(ca, wanted)};
  EXPECT_TRUE(needs_bootstrap(options));
  ASSERT_TRUE(save_identity(options, identity));
  std::string why;
  auto there = load_identity(options, why);
  ASSERT_TRUE(there) << why;
  EXPECT_EQ(there->server, identity.server);
  EXPECT_EQ(there->ca_pem, identity.ca_pem);
  EXPECT_EQ(there->client, identity.client);
  struct stat info{};
  ASSERT_EQ(::stat((options.root_dir + "/pki/kubelet-client-current.pem").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);

  Options renamed = options;
  renamed.node_name = "n2";
  EXPECT_FALSE(load_identity(renamed, why));
  EXPECT_NE(why.find("system:node:n1"), std::string::npos);
  wanted.lifetime = std::chrono::seconds(-60);
  identity.client = *pki::issue(ca, wanted);
  ASSERT_TRUE(save_identity(options, identity));
  EXPECT_FALSE(load_identity(options, why));
  EXPECT_NE(why.find("ended at"), std::string::npos);
  std::filesystem::remove_all(options.root_dir);
}

TEST(Rotation, IsDueBetweenSevenAndNineTenthsOfALife) {
  pki::Certificate certificate;
  certificate.not_before = *parse_rfc3339("2026-01-01T00:00:00Z");
  certificate.not_after = *parse_rfc3339("2026-01-11T00:00:00Z");
  EXPECT_EQ(format_rfc3339(rotation_deadline(certificate, 0.7)), "2026-01-08T00:00:00Z");
  EXPECT_EQ(format_rfc3339(rotation_deadline(certificate, 0.9)), "2026-01-10T00:00:00Z");
}
