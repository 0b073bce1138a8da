#include <gtest/gtest.h>

#include "controllers/namespaces/deletion.h"

namespace redoubt::controllers {
namespace {

const k8s::core::v1::NamespaceCondition& find(const std::vector<k8s::core::v1::NamespaceCondition>& list,
                                              std::string_view type) {
  for (const auto& c : list) {
    if (c.type == type) return c;
  }
  throw std::runtime_error("no such condition");
}

TEST(NamespaceDeletion, SaysWhatIsLeftAndWhatHoldsIt) {
  ContentReport report;
  report.remaining = {{"pods.", 2}, {"widgets.example.com", 1}};
  report.finalizers = {{"example.com/hold", 1}};
  auto conditions = deletion_conditions(report);
  EXPECT_EQ(find(conditions, "NamespaceContentRemaining").status, "True");
  EXPECT_EQ(
      find(conditions, "NamespaceContentRemaining").message,
      "Some resources are remaining: pods. has 2 resource instances, widgets.example.com has 1 resource instances");
  EXPECT_EQ(find(conditions, "NamespaceFinalizersRemaining").message,
            "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances");
  EXPECT_EQ(find(conditions, "NamespaceDeletionDiscoveryFailure").status, "False");
  EXPECT_EQ(find(conditions, "NamespaceDeletionContentFailure").reason, "ContentDeleted");
}

TEST(NamespaceDeletion, ReportsGroupsThatCannotBeListed) {
  ContentReport report;
  report.undiscovered = {"metrics.k8s.io/v1beta1"};
  auto c = find(deletion_conditions(report), "NamespaceDeletionDiscoveryFailure");
  EXPECT_EQ(c.status, "True");
  EXPECT_EQ(c.reason, "DiscoveryFailed");
  EXPECT_NE(c.message.find("metrics.k8s.io/v1beta1"), std::string::npos);
  EXPECT_FALSE(report.empty());
}

TEST(NamespaceDeletion, KeepsTheTimeOfAConditionThatOnlyChangesItsMessage) {
  k8s::core::v1::NamespaceStatus status;
  ContentReport report;
  report.remaining = {{"pods.", 2}};
  ASSERT_TRUE(merge_conditions(status, deletion_conditions(report)));
  ASSERT_EQ(status.conditions.size(), 5u);
  for (auto& c : status.conditions) c.lastTransitionTime = {*parse_rfc3339("2020-01-01T00:00:00Z")};
  EXPECT_FALSE(merge_conditions(status, deletion_conditions(report)));
  report.remaining = {{"pods.", 1}};
  ASSERT_TRUE(merge_conditions(status, deletion_conditions(report)));
  EXPECT_EQ(format_rfc3339(find(status.conditions, "NamespaceContentRemaining").lastTransitionTime.at),
            "2020-01-01T00:00:00Z");
  report.remaining.clear();
  ASSERT_TRUE(merge_conditions(status, deletion_conditions(report)));
  EXPECT_NE(format_rfc3339(find(status.conditions, "NamespaceContentRemaining").lastTransitionTime.at),
            "2020-01-01T00:00:00Z");
}

TEST(NamespaceDeletion, WaitsForGraceAndFinalizersBeforeItLooksAgain) {
  ContentReport report;
  report.remaining = {{"pods.", 1}};
  EXPECT_EQ(look_again_seconds(report), 1);
  report.longest_grace_seconds = 30;
  EXPECT_EQ(look_again_seconds(report), 16);
  report.longest_grace_seconds = 0;
  report.finalizers = {{"x", 1}};
  EXPECT_EQ(look_again_seconds(report), 8);
}

}  // namespace
}  // namespace redoubt::controllers
