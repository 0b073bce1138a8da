#include "egress/reverse/addresses.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace redoubt::egress::reverse {
namespace {

TEST(NodeAddresses, AllowTheNodesOwnAndItsPods) {
  NodeAddresses node("a", {"10.0.0.1", "2001:db8::1"}, {"10.244.1.0/24", "fd00:1::/64"});
  for (const char* host : {"10.0.0.1", "2001:db8::1", "10.244.1.0", "10.244.1.255", "fd00:1::7", "::ffff:10.244.1.9"})
    EXPECT_TRUE(node.check(host)) << host;
  for (const char* host :
       {"10.0.0.2", "10.244.2.1", "10.244.0.255", "fd00:2::7", "127.0.0.1", "::1", "0.0.0.0", "::", "169.254.169.254",
        "224.0.0.1", "fe80::1", "a", "localhost", "", "10.244.1.7 ", "010.244.1.7", "10.244.1.7%eth0"})
    EXPECT_FALSE(node.check(host)) << host;
  EXPECT_THAT(node.check("10.0.0.2").error().message(), testing::HasSubstr("node \"a\""));
}

TEST(NodeAddresses, LeaveOutWhatNobodyMayClaim) {
  NodeAddresses node("a", {"127.0.0.1", "0.0.0.0", "x"},
                     {"0.0.0.0/0", "127.0.0.0/8", "10.0.0.0/4", "::/0", "10.1.0.0", "10.1.0.0/33", "10.1.0.0/-1",
                      "10.1.0.0/8x", "169.254.0.0/16"});
  for (const char* host : {"127.0.0.1", "10.1.0.0", "8.8.8.8", "169.254.169.254", "::1", "2001:db8::1"})
    EXPECT_FALSE(node.check(host)) << host;
}

}  // namespace
}  // namespace redoubt::egress::reverse
