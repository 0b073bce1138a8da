#include "apiserver/allocation/ip_families.h"

#include <gtest/gtest.h>

#include "schema/codec.h"

namespace redoubt::apiserver {
namespace {

const IpFamilies kSingle{"IPv4"}, kDual{"IPv4", "IPv6"};

struct Outcome {
  std::string spec;
  std::string causes;
};

Outcome run(std::string_view spec, const IpFamilies& cluster, std::string_view old = "") {
  static Arena arena;
  Value service = *schema::parse_json(arena.copy(fmt::format(R"({{"spec":{}}})", spec)), arena);
  Value before = old.empty() ? Value() : *schema::parse_json(arena.copy(fmt::format(R"({{"spec":{}}})", old)), arena);
  Causes causes;
  const KindHooks& hooks = hooks_for("", "services");
  if (old.empty()) {
    hooks.prepare_create(service, arena);
  } else {
    hooks.prepare_update(service, before, arena);
  }
  init_ip_families(service, before, cluster, arena, causes);
  Outcome out;
  Value s = service.get({"spec"});
  for (const char* list : {"clusterIPs", "ipFamilies"}) {
    for (const Value& item : schema::items(s.get({list}))) out.spec += fmt::format("[{}]", item.as_string());
    out.spec += ' ';
  }
  out.spec += s.get({"ipFamilyPolicy"}).as_string();
  for (const auto& cause : causes) out.causes += cause.field + ": " + cause.message + "\n";
  return out;
}

TEST(IpFamilies, WhoSaysNothingGetsOneAddressOfTheDefaultFamily) {
  EXPECT_EQ(run("{}", kSingle).spec, "[] [IPv4] SingleStack");
  EXPECT_EQ(run("{}", kDual).spec, "[] [IPv4] SingleStack");
}

TEST(IpFamilies, DualIsGivenWhereItIs) {
  EXPECT_EQ(run(R"({"ipFamilyPolicy":"PreferDualStack"})", kSingle).spec, "[] [IPv4] PreferDualStack");
  EXPECT_EQ(run(R"({"ipFamilyPolicy":"PreferDualStack"})", kDual).spec, "[][] [IPv4][IPv6] PreferDualStack");
  EXPECT_EQ(run(R"({"ipFamilyPolicy":"RequireDualStack","ipFamilies":["IPv6"]})", kDual).spec,
            "[][] [IPv6][IPv4] RequireDualStack");
  EXPECT_NE(run(R"({"ipFamilyPolicy":"RequireDualStack"})", kSingle)
                .causes.find("spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster is not configured "
                             "for dual-stack services"),
            std::string::npos);
}

TEST(IpFamilies, AddressesSayTheirFamilies) {
  EXPECT_EQ(run(R"({"clusterIP":"fd00:96::5"})", kDual).spec, "[fd00:96::5] [IPv6] SingleStack");
  EXPECT_NE(run(R"({"clusterIP":"fd00:96::5"})", kSingle).causes.find("IPv6 is not configured on this cluster"),
            std::string::npos);
  EXPECT_NE(run(R"({"clusterIPs":["10.96.0.5","fd00:96::5"]})", kDual)
                .causes.find("must be 'RequireDualStack' or 'PreferDualStack' when multiple cluster IPs are specified"),
            std::string::npos);
  EXPECT_NE(run(R"({"clusterIPs":["10.96.0.5"],"ipFamilies":["IPv6"]})", kDual)
                .causes.find("expected an IPv6 value as indicated by `ipFamilies[0]`"),
            std::string::npos);
  EXPECT_NE(run(R"({"clusterIP":"10.96.0"})", kDual).causes.find("must be a valid IP address"), std::string::npos);
}

TEST(IpFamilies, HeadlessWithoutASelectorIsOfBothFamiliesAnywhere) {
  EXPECT_EQ(run(R"({"clusterIP":"None"})", kSingle).spec, "[None] [IPv4][IPv6] RequireDualStack");
  EXPECT_EQ(run(R"({"clusterIP":"None","selector":{"a":"b"}})", kSingle).spec, "[None] [IPv4] SingleStack");
}

TEST(IpFamilies, AnUpdateKeepsWhatItLeavesOut) {
  EXPECT_EQ(
      run("{}", kDual,
          R"({"clusterIP":"10.96.0.5","clusterIPs":["10.96.0.5"],"ipFamilies":["IPv4"],"ipFamilyPolicy":"SingleStack"})")
          .spec,
      "[10.96.0.5] [IPv4] SingleStack");
}

constexpr std::string_view kBoth =
    R"({"clusterIP":"10.96.0.5","clusterIPs":["10.96.0.5","fd00:96::5"],"ipFamilies":["IPv4","IPv6"],"ipFamilyPolicy":"PreferDualStack"})";

TEST(IpFamilies, TheSecondIsGivenUpByPolicyAndNotByOmission) {
  EXPECT_EQ(
      run(R"({"ipFamilyPolicy":"SingleStack","clusterIP":"10.96.0.5","clusterIPs":["10.96.0.5","fd00:96::5"],"ipFamilies":["IPv4","IPv6"]})",
          kDual, kBoth)
          .spec,
      "[10.96.0.5] [IPv4] SingleStack");
  EXPECT_NE(
      run(R"({"ipFamilyPolicy":"PreferDualStack","clusterIP":"10.96.0.5","clusterIPs":["10.96.0.5"],"ipFamilies":["IPv4"]})",
          kDual, kBoth)
          .causes.find("must be 'SingleStack' to release the secondary cluster IP"),
      std::string::npos);
}

TEST(IpFamilies, ANewPolicyBringsTheSecond) {
  EXPECT_EQ(
      run(R"({"ipFamilyPolicy":"RequireDualStack","clusterIP":"10.96.0.5","clusterIPs":["10.96.0.5"],"ipFamilies":["IPv4"]})",
          kDual,
          R"({"clusterIP":"10.96.0.5","clusterIPs":["10.96.0.5"],"ipFamilies":["IPv4"],"ipFamilyPolicy":"SingleStack"})")
          .spec,
      "[10.96.0.5][] [IPv4][IPv6] RequireDualStack");
}

}  // namespace
}  // namespace redoubt::apiserver
