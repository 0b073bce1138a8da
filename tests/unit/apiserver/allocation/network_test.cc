#include "apiserver/allocation/network.h"

#include <gtest/gtest.h>

namespace redoubt::apiserver {
namespace {

TEST(ServiceNetwork, KnowsWhatMayBeGiven) {
  auto network = Network::parse("10.96.0.0/24");
  ASSERT_TRUE(network);
  EXPECT_EQ(network->size(), 254U);
  EXPECT_EQ(network->at(1), "10.96.0.1");
  EXPECT_EQ(network->at(254), "10.96.0.254");
  EXPECT_TRUE(network->holds("10.96.0.254"));
  EXPECT_FALSE(network->holds("10.96.0.0"));
  EXPECT_FALSE(network->holds("10.96.0.255"));
  EXPECT_FALSE(network->holds("10.96.1.1"));
  EXPECT_FALSE(network->holds("::1"));
  EXPECT_FALSE(network->holds("x"));
}

TEST(ServiceNetwork, SixHasNoBroadcastAndCarries) {
  auto network = Network::parse("fd00:96::/108");
  ASSERT_TRUE(network);
  EXPECT_EQ(network->size(), (1U << 20) - 1);
  EXPECT_EQ(network->at(0x10001), "fd00:96::1:1");
  EXPECT_TRUE(network->holds("fd00:96::f:ffff"));
  EXPECT_FALSE(network->holds("fd00:96::"));
}

TEST(ServiceNetwork, LeavesABandToThoseWhoAskByNumber) {
  EXPECT_EQ(Network::parse("10.96.0.0/28")->reserved(), 0U);
  EXPECT_EQ(Network::parse("10.96.0.0/24")->reserved(), 16U);
  EXPECT_EQ(Network::parse("10.96.0.0/20")->reserved(), 256U);
  EXPECT_EQ(Network::parse("10.96.0.0/12")->reserved(), 256U);
}

TEST(ServiceNetwork, WhatIsNoneIsRefused) {
  for (const char* bad : {"", "10.96.0.0", "10.96.0.1/24", "10.96.0.0/33", "10.96.0.0/31", "fd00::1/64", "x/8"})
    EXPECT_FALSE(Network::parse(bad)) << bad;
}

TEST(ServiceNetwork, TheFlagIsOneNetworkOrOneOfEachFamily) {
  EXPECT_EQ(parse_service_networks("10.96.0.0/12")->size(), 1U);
  auto both = parse_service_networks("fd00:96::/108,10.96.0.0/28");
  ASSERT_TRUE(both);
  EXPECT_TRUE(both->front().v6());
  for (const char* bad : {"", "10.96.0.0/12,", "10.96.0.0/12,10.112.0.0/12", "10.96.0.0/29", "10.96.0.1/12", "a,b",
                          "10.96.0.0/12,fd00::/108,fd01::/108"})
    EXPECT_FALSE(parse_service_networks(bad)) << bad;
}

}  // namespace
}  // namespace redoubt::apiserver
