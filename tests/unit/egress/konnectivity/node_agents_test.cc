#include "egress/konnectivity/node_agents.h"

#include <gtest/gtest.h>

using namespace redoubt;
using namespace redoubt::konnectivity;
using egress::reverse::NodeAddresses;

namespace {

Result<NodeAddresses> addresses_of(const std::string& node) {
  if (node == "n1") return NodeAddresses("n1", {"10.0.0.1"}, {"10.244.1.0/24", "fd00:1::/64"});
  if (node == "n2") return NodeAddresses("n2", {"10.0.0.2"}, {"10.244.2.0/24"});
  return not_found({"", "nodes"}, node);
}

bool allowed(const std::string& node, const std::string& id, std::string_view identifiers) {
  return check_node_agent(node, id, *parse_identifiers(identifiers), addresses_of).has_value();
}

}  // namespace

TEST(NodeAgents, ANodesAgentServesItsOwnNode) {
  EXPECT_TRUE(allowed("n1", "n1", ""));
  EXPECT_TRUE(allowed("n1", "c3b1f7e0-a-uuid", "host=n1&ipv4=10.0.0.1"));
  EXPECT_TRUE(allowed("n1", "n1", "cidr=10.244.1.0/24&cidr=fd00:1::/64&cidr=10.244.1.128/25"));
}

TEST(NodeAgents, ANodesAgentServesNothingElse) {
  EXPECT_FALSE(allowed("n1", "n2", ""));
  for (const char* identifiers :
       {"host=n2", "host=anything.example", "ipv4=10.0.0.2", "ipv4=10.244.2.7", "cidr=10.244.0.0/16", "cidr=0.0.0.0/0",
        "cidr=10.244.1.0/23", "cidr=fd00::/16", "ipv4=127.0.0.1", "default-route=true"}) {
    EXPECT_FALSE(allowed("n1", "n1", identifiers)) << identifiers;
  }
  EXPECT_FALSE(allowed("gone", "gone", "ipv4=10.0.0.1"));
}

TEST(NodeAgents, AnAgentOfNoKnownNodeCantCallItselfOne) {
  EXPECT_TRUE(allowed("", "c3b1f7e0-a-uuid", "ipv4=10.0.0.2&default-route=true"));
  EXPECT_TRUE(allowed("", "some-host", "host=some-host"));
  EXPECT_FALSE(allowed("", "n1", ""));
  EXPECT_FALSE(allowed("", "c3b1f7e0-a-uuid", "host=n1"));
}
