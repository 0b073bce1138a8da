#include "egress/ssh/known_hosts.h"

#include <gtest/gtest.h>

#include "base/encoding.h"

using namespace redoubt;
using namespace redoubt::egress::ssh;

namespace {

std::string key(std::string type, char fill) {
  std::string blob{0, 0, 0, static_cast<char>(type.size())};
  blob += type + std::string(32, fill);
  return type + " " + base64_encode(blob);
}
const std::string kA = key("ssh-ed25519", 'a'), kB = key("ssh-ed25519", 'b'), kRsa = key("ssh-rsa", 'r');

size_t known(const std::string& file, std::vector<std::string> names, uint16_t port = 22) {
  return KnownHosts::parse(file).keys_of(names, port).size();
}

}  // namespace

TEST(KnownHosts, FindsAHostByAddressNameAndPattern) {
  EXPECT_EQ(known("10.0.0.7 " + kA, {"10.0.0.7"}), 1U);
  EXPECT_EQ(known("10.0.0.7,n1.example " + kA, {"N1.Example"}), 1U);
  EXPECT_EQ(known("*.example " + kA + "\n", {"n1.example"}), 1U);
  EXPECT_EQ(known("n? " + kA, {"n1"}), 1U);
  EXPECT_EQ(known("10.0.0.7 " + kA, {"10.0.0.70"}), 0U);
  EXPECT_EQ(known("*.example,!n1.example " + kA, {"n1.example"}), 0U);
  EXPECT_EQ(known("!n1.example,*.example " + kA, {"n1.example"}), 0U);
  EXPECT_EQ(known("n1 " + kA + " a comment\nn1 " + kB + "\nn1 " + kA + "\n# n1 " + kRsa, {"n1"}), 2U);
}

TEST(KnownHosts, APortOtherThan22IsPartOfTheName) {
  EXPECT_EQ(known("[10.0.0.7]:2222 " + kA, {"10.0.0.7"}, 2222), 1U);
  EXPECT_EQ(known("[10.0.0.7]:2222 " + kA, {"10.0.0.7"}, 22), 0U);
  EXPECT_EQ(known("10.0.0.7 " + kA, {"10.0.0.7"}, 2222), 0U);
}

TEST(KnownHosts, ReadsHashedNames) {
  // ssh-keygen -H of "10.0.0.7 ..." with the salt "redoubt-redoubt-salt".
  std::string hashed = "|1|cmVkb3VidC1yZWRvdWJ0LXNhbHQ=|NYzq4jvelLP+UwStpeko3I8J4Gs=";
  EXPECT_EQ(known(hashed + " " + kA, {"10.0.0.7"}), 1U);
  EXPECT_EQ(known(hashed + " " + kA, {"10.0.0.8"}), 0U);
  EXPECT_EQ(known("|1|| " + kA, {"10.0.0.7"}), 0U);
  EXPECT_EQ(known("|1|AAAA " + kA, {"10.0.0.7"}), 0U);
}

TEST(KnownHosts, ARevokedKeyCountsNowhere) {
  std::string file = "n1 " + kA + "\nn1 " + kB + "\n@revoked * " + kA;
  auto hosts = KnownHosts::parse(file);
  ASSERT_EQ(hosts.keys_of({"n1"}, 22).size(), 1U);
  EXPECT_TRUE(hosts.revoked(parse_public_keys(kA)[0]));
  EXPECT_FALSE(hosts.revoked(parse_public_keys(kB)[0]));
}

TEST(KnownHosts, LeavesOutWhatItDoesNotUnderstand) {
  auto hosts = KnownHosts::parse("@cert-authority * " + kA + "\nn1\nn1 ssh-ed25519 !!!\nn1 ssh-rsa " + kA.substr(12) +
                                 "\n\n  \nn1 " + kB);
  EXPECT_EQ(hosts.skipped(), 4U);
  EXPECT_EQ(hosts.keys_of({"n1"}, 22).size(), 1U);
}

TEST(PublicKeys, AreReadAsLinesAndBounded) {
  EXPECT_EQ(parse_public_keys(kA + " root@n1\n" + kRsa).size(), 2U);
  EXPECT_EQ(parse_public_keys("ssh-ed25519").size(), 0U);
  std::string many;
  for (int i = 0; i < 100; ++i) many += kA + "\n";
  EXPECT_EQ(parse_public_keys(many).size(), 16U);
  EXPECT_TRUE(parse_public_keys(kA)[0].fingerprint().starts_with("SHA256:"));
}
