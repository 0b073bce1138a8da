#include "net/resolv_conf.h"

#include <gtest/gtest.h>

namespace redoubt::net {
namespace {

using V = std::vector<std::string>;

TEST(ResolvConf, ReadsWhatResolversRead) {
  auto conf = parse_resolv_conf(
      "# comment\n; another\nnameserver 192.0.2.1\nnameserver\t2001:db8::1 \nnameserver 192.0.2.1\nnameserver "
      "nonsense\n"
      "domain old.test\nsearch a.test  b.test .\noptions ndots:2 timeout:1\noptions rotate\nsortlist x");
  EXPECT_EQ(conf.nameservers, (V{"192.0.2.1", "2001:db8::1"}));
  EXPECT_EQ(conf.searches, (V{"a.test", "b.test"}));
  EXPECT_EQ(conf.options, (V{"ndots:2", "timeout:1", "rotate"}));
}

TEST(ResolvConf, AMissingFileIsAnEmptyOne) {
  EXPECT_TRUE(read_resolv_conf("/nonexistent").nameservers.empty());
}

}  // namespace
}  // namespace redoubt::net
