#include "controllers/service_cidrs/orphans.h"

#include <gtest/gtest.h>

namespace redoubt::controllers {
namespace {

using k8s::networking::v1::ServiceCIDR;

std::shared_ptr<const ServiceCIDR> cidr(std::string name, std::vector<std::string> cidrs, bool deleting = false) {
  ServiceCIDR out;
  out.metadata.name = std::move(name);
  out.spec.cidrs = std::move(cidrs);
  if (deleting) out.metadata.deletionTimestamp = schema::Time::now();
  return std::make_shared<const ServiceCIDR>(std::move(out));
}

TEST(ServiceCidrs, AnAddressThatOnlyOneCoversHoldsIt) {
  auto main = cidr("kubernetes", {"10.96.0.0/24"}), more = cidr("more", {"10.97.0.0/24"}, true);
  EXPECT_TRUE(would_be_orphan("10.97.0.7", *more, {main, more}));
  EXPECT_FALSE(would_be_orphan("10.96.0.7", *more, {main, more}));
  EXPECT_FALSE(would_be_orphan("fd00::7", *more, {main, more}));
  EXPECT_FALSE(is_covered(*more, {main, more}));
}

TEST(ServiceCidrs, OneInsideAnotherIsFreeToGo) {
  auto wide = cidr("wide", {"10.96.0.0/12"}), part = cidr("part", {"10.97.0.0/24"}, true);
  EXPECT_TRUE(is_covered(*part, {wide, part}));
  EXPECT_FALSE(would_be_orphan("10.97.0.7", *part, {wide, part}));
  EXPECT_FALSE(is_covered(*wide, {wide, part}));
}

TEST(ServiceCidrs, TheSameNetworkTwiceIsEnoughUnlessBothGo) {
  auto a = cidr("a", {"10.97.0.0/24"}, true), b = cidr("b", {"10.97.0.0/24"}),
       going = cidr("b", {"10.97.0.0/24"}, true);
  EXPECT_TRUE(is_covered(*a, {a, b}));
  EXPECT_FALSE(is_covered(*a, {a, going}));
  EXPECT_TRUE(would_be_orphan("10.97.0.7", *a, {a, going}));
}

TEST(ServiceCidrs, BothFamiliesCount) {
  auto main = cidr("kubernetes", {"10.96.0.0/24"}), both = cidr("both", {"10.96.0.0/25", "fd00:96::/108"}, true);
  EXPECT_FALSE(is_covered(*both, {main, both}));
  EXPECT_TRUE(would_be_orphan("fd00:96::9", *both, {main, both}));
  EXPECT_FALSE(would_be_orphan("10.96.0.9", *both, {main, both}));
}

}  // namespace
}  // namespace redoubt::controllers
