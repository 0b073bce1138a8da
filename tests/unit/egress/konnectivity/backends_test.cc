#include "egress/konnectivity/backends.h"

#include <gtest/gtest.h>

#include <set>

namespace redoubt::konnectivity {
namespace {

BackendPtr agent(std::string id, std::string_view identifiers = {}) {
  auto out = std::make_shared<Backend>();
  out->agent_id = std::move(id);
  out->identifiers = *parse_identifiers(identifiers);
  return out;
}

std::string picked(const BackendSet& set, const std::string& host, const std::string& node = {}) {
  auto backend = set.pick(host, node);
  return backend ? backend->agent_id : "none";
}

TEST(Backends, DefaultStrategyUsesThemAll) {
  BackendSet set({Strategy::Default});
  EXPECT_FALSE(set.ready());
  EXPECT_EQ(picked(set, "10.0.0.1"), "none");
  for (const char* id : {"a", "b", "c"}) set.add(agent(id));
  std::set<std::string> seen;
  for (int i = 0; i < 200; ++i) seen.insert(picked(set, "10.0.0.1"));
  EXPECT_EQ(seen.size(), 3u);
  EXPECT_TRUE(set.ready());
}

TEST(Backends, DestHostPicksByAddressNameAndSmallestNetwork) {
  BackendSet set({Strategy::DestHost});
  set.add(agent("four", "ipv4=10.0.0.4"));
  set.add(agent("six", "ipv6=fd00%3A%3A6"));
  set.add(agent("named", "host=node-7"));
  set.add(agent("wide", "cidr=10.1.0.0/16"));
  set.add(agent("narrow", "cidr=10.1.2.0/24"));
  EXPECT_EQ(picked(set, "10.0.0.4"), "four");
  EXPECT_EQ(picked(set, "fd00::6"), "six");
  EXPECT_EQ(picked(set, "node-7"), "named");
  EXPECT_EQ(picked(set, "10.1.9.9"), "wide");
  EXPECT_EQ(picked(set, "10.1.2.9"), "narrow");
  EXPECT_EQ(picked(set, "10.9.9.9"), "none");
}

TEST(Backends, StrategiesAreTriedInOrder) {
  BackendSet set({Strategy::DestHost, Strategy::DefaultRoute});
  set.add(agent("mine", "ipv4=10.0.0.4"));
  set.add(agent("route", "default-route=true"));
  EXPECT_EQ(picked(set, "10.0.0.4"), "mine");
  for (int i = 0; i < 50; ++i) EXPECT_EQ(picked(set, "10.0.0.5"), "route");
}

TEST(Backends, TheNodesOwnAgentComesFirst) {
  BackendSet set({Strategy::Default});
  set.add(agent("node-1"));
  set.add(agent("uuid", "host=node-2"));
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(picked(set, "10.0.0.5", "node-1"), "node-1");
    EXPECT_EQ(picked(set, "10.0.0.5", "node-2"), "uuid");
  }
}

TEST(Backends, DrainingOnesAreTheLastResort) {
  BackendSet set({Strategy::DestHost, Strategy::Default});
  auto first = agent("a", "ipv4=10.0.0.4"), second = agent("b", "ipv4=10.0.0.4");
  set.add(first);
  set.add(second);
  first->draining = true;
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(picked(set, "10.0.0.4"), "b");
    EXPECT_EQ(picked(set, "10.9.9.9"), "b");
  }
  second->draining = true;
  EXPECT_NE(picked(set, "10.0.0.4"), "none");
  EXPECT_NE(picked(set, "10.9.9.9"), "none");
}

TEST(Backends, FirstConnectionOfAnAgentIsUsedUntilItGoes) {
  BackendSet set({Strategy::Default});
  auto first = agent("a"), second = agent("a");
  set.add(first);
  set.add(second);
  EXPECT_EQ(set.pick("h", ""), first);
  set.remove(first);
  EXPECT_EQ(set.pick("h", ""), second);
  set.remove(second);
  EXPECT_EQ(set.pick("h", ""), nullptr);
  EXPECT_FALSE(set.ready());
}

TEST(Strategies, AreNamedAsUpstreamNamesThem) {
  auto all = parse_strategies("destHost,defaultRoute,default");
  ASSERT_TRUE(all);
  EXPECT_EQ(*all, (std::vector<Strategy>{Strategy::DestHost, Strategy::DefaultRoute, Strategy::Default}));
  EXPECT_FALSE(parse_strategies(""));
  EXPECT_FALSE(parse_strategies("default,nearest"));
}

}  // namespace
}  // namespace redoubt::konnectivity
