#include "apiserver/encryption/config.h"

#include <gtest/gtest.h>

using namespace redoubt;
using namespace redoubt::apiserver::encryption;

namespace {

// 32 bytes
constexpr const char* kSecret = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

Result<Config> parse(const std::string& resources) {
  return parse_config("apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\n" + resources);
}

std::string one(const std::string& provider, const std::string& resources = "[secrets]") {
  return "resources: [{resources: " + resources + ", providers: [" + provider + "]}]";
}

}  // namespace

TEST(EncryptionConfig, ReadsEveryProvider) {
  auto config = parse(std::string(R"(
resources:
- resources: [secrets, pandas.awesome.bears.example]
  providers:
  - aesgcm: {keys: [{name: a, secret: )") +
                      kSecret + R"(}, {name: b, secret: "BwcHBwcHBwcHBwcHBwcHBw=="}]}
  - aescbc: {keys: [{name: c, secret: )" +
                      kSecret + R"(}]}
  - secretbox: {keys: [{name: d, secret: )" +
                      kSecret + R"(}]}
  - kms: {apiVersion: v2, name: mine, endpoint: "unix:///run/kms.sock", timeout: 1.5s}
  - identity: {}
- resources: ['*.apps']
  providers: [{identity: {}}]
- resources: ['*.*']
  providers: [{identity: {}}]
)");
  ASSERT_TRUE(config) << config.error().message();
  ASSERT_EQ(config->resources.size(), 3U);
  const auto& first = config->resources[0];
  EXPECT_EQ(first.resources[1].group, "awesome.bears.example");
  ASSERT_EQ(first.providers.size(), 5U);
  EXPECT_EQ(first.providers[0].keys[1].secret.view(), std::string(16, '\x07'));
  EXPECT_EQ(first.providers[3].socket, "/run/kms.sock");
  EXPECT_EQ(first.providers[3].timeout, std::chrono::milliseconds(1500));
  EXPECT_EQ(first.providers[4].kind, ProviderKind::Identity);
}

TEST(EncryptionConfig, RefusesWhatUpstreamRefusesAndNeverShowsAKey) {
  std::string box = std::string("secretbox: {keys: [{name: a, secret: ") + kSecret + "}]}";
  struct Case {
    std::string text, complaint;
  };
  const Case cases[] = {
      {"resources: []", "resources: Required value"},
      {"resources: [{resources: [], providers: [{identity: {}}]}]", "resources[0].resources: Required value"},
      {"resources: [{resources: [secrets], providers: []}]", "resources[0].providers: Required value"},
      {one("{}"), "does not contain any of the expected providers"},
      {one("{identity: {}, " + box + "}"), "more than one provider"},
      {one("{rot13: {}}"), "unknown field \"resources[0].providers[0].rot13\""},
      {one("{secretbox: {keys: []}}"), "keys: Required value"},
      {one("{secretbox: {keys: [{name: a, secret: '!!'}]}}"), "secrets must be base64 encoded"},
      {one("{secretbox: {keys: [{name: a, secret: c2VjcmV0LXNlc2FtZQ==}]}}"), "expected one of [32]"},
      {one("{aescbc: {keys: [{name: a, secret: c2VjcmV0LXNlc2FtZQ==}]}}"), "expected one of [16 24 32]"},
      {one("{aescbc: {keys: [{secret: c2VjcmV0LXNlc2FtZQ==}]}}"), "keys[0].name: Required value"},
      {one("{" + box + "}", "[Secrets]"), "capital letters"},
      {one("{" + box + "}", "['*']"), "use '*.'"},
      {one("{" + box + "}", "[secrets, secrets]"), "cannot be specified multiple times"},
      {one("{" + box + "}", "[secrets, '*.']"), "will be masked"},
      {one("{" + box + "}", "[secrets, '*.*']"), "will be masked"},
      {one("{" + box + "}", "[events.events.k8s.io]"), "'events' API group"},
      {one("{" + box + "}", "['secrets.*']"), "across groups"},
      {"resources: [{resources: ['*.*'], providers: [{identity: {}}]}, {resources: [secrets], providers: [{identity: "
       "{}}]}]",
       "resource \"secrets\" is masked by earlier rule \"*.*\""},
      {one("{kms: {name: a, endpoint: 'unix:///x'}}"), "KMSv1 is deprecated"},
      {one("{kms: {apiVersion: v2, endpoint: 'unix:///x'}}"), "name: Required value"},
      {one("{kms: {apiVersion: v2, name: 'a:b', endpoint: 'unix:///x'}}"), "must not contain ':'"},
      {one("{kms: {apiVersion: v2, name: a, endpoint: 'tcp://x'}}"), "only unix is supported"},
      {one("{kms: {apiVersion: v2, name: a, endpoint: 'unix:///x', timeout: 0s}}"), "positive"},
      {one("{kms: {apiVersion: v2, name: a, endpoint: 'unix:///x', cachesize: 3}}"), "not supported in v2"},
      {one("{kms: {apiVersion: v2, name: a, endpoint: 'unix:///x'}}, {kms: {apiVersion: v2, name: a, endpoint: "
           "'unix:///y'}}"),
       "names must be unique"},
  };
  for (const Case& c : cases) {
    auto config = parse(c.text);
    ASSERT_FALSE(config) << c.text;
    EXPECT_NE(config.error().message().find(c.complaint), std::string::npos)
        << c.text << "\n  " << config.error().message();
    EXPECT_EQ(config.error().message().find("c2Vjc"), std::string::npos) << "a key is shown";
  }
  EXPECT_FALSE(parse_config("kind: Pod"));
}
