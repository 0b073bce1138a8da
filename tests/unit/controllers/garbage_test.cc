#include <gtest/gtest.h>

#include <algorithm>

#include "controllers/garbage/graph.h"

namespace redoubt::controllers::garbage {
namespace {

std::string uid(int n) {
  char text[40];
  std::snprintf(text, sizeof text, "00000000-0000-4000-8000-%012d", n);
  return text;
}

struct Meta {
  k8s::meta::v1::ObjectMeta metadata;
  explicit Meta(int n) {
    metadata.namespace_ = "ns";
    metadata.name = "o" + std::to_string(n);
    metadata.uid = uid(n);
  }
  Meta& owned_by(int n, bool blocks = false) {
    auto& reference = metadata.ownerReferences.emplace_back();
    reference.uid = uid(n);
    reference.blockOwnerDeletion = blocks;
    return *this;
  }
  Meta& deleting(std::string_view finalizer) {
    metadata.deletionTimestamp = schema::Time::now();
    metadata.finalizers.emplace_back(finalizer);
    return *this;
  }
};

std::vector<std::string> sorted(std::vector<std::string> list) {
  std::sort(list.begin(), list.end());
  return list;
}

TEST(OwnershipGraph, KeepsNoNodeForWhatNeitherOwnsNorEnds) {
  Graph graph;
  EXPECT_TRUE(graph.observe(0, Meta(1).metadata).attempt.empty());
  EXPECT_EQ(graph.size(), 1u);
  EXPECT_EQ(graph.kept(), 0u);
}

TEST(OwnershipGraph, LooksAtDependentsWhenTheirOwnerGoes) {
  Graph graph;
  graph.observe(0, Meta(1).metadata);
  EXPECT_TRUE(graph.observe(1, Meta(2).owned_by(1).metadata).attempt.empty());
  graph.observe(1, Meta(3).owned_by(1).metadata);
  EXPECT_EQ(sorted(graph.forget(uid(1)).attempt), (std::vector<std::string>{uid(2), uid(3)}));
}

TEST(OwnershipGraph, AnOwnerInAnotherNamespaceIsNone) {
  Graph graph;
  Meta elsewhere(1), everywhere(2);
  elsewhere.metadata.namespace_ = "other";
  everywhere.metadata.namespace_.clear();
  graph.observe(0, elsewhere.metadata);
  graph.observe(1, everywhere.metadata);
  EXPECT_EQ(graph.observe(2, Meta(3).owned_by(1).metadata).attempt, std::vector<std::string>{uid(3)});
  EXPECT_TRUE(graph.observe(2, Meta(4).owned_by(2).metadata).attempt.empty());
  EXPECT_EQ(graph.with_absent_owners(), std::vector<std::string>{uid(3)});
}

TEST(OwnershipGraph, LooksAtAnObjectWhoseOwnerWasNeverSeen) {
  Graph graph;
  EXPECT_EQ(graph.observe(0, Meta(2).owned_by(1).metadata).attempt, std::vector<std::string>{uid(2)});
  EXPECT_EQ(graph.with_absent_owners(), std::vector<std::string>{uid(2)});
  graph.observe(0, Meta(1).metadata);
  EXPECT_TRUE(graph.with_absent_owners().empty());
}

TEST(OwnershipGraph, AListThatNoLongerShowsTheOwnerCountsAsItsEnd) {
  Graph graph;
  graph.observe(0, Meta(1).metadata);
  graph.observe(0, Meta(4).metadata);
  graph.observe(1, Meta(2).owned_by(1).metadata);
  // A list of another resource says nothing of it.
  EXPECT_TRUE(graph.keep_only(2, {}).attempt.empty());
  UidSet seen{Uid::of(uid(4))};
  EXPECT_EQ(graph.keep_only(0, seen).attempt, std::vector<std::string>{uid(2)});
  EXPECT_FALSE(graph.present(uid(1)));
  EXPECT_TRUE(graph.present(uid(4)));
}

TEST(OwnershipGraph, ForegroundDeletionStartsWithTheDependentsAndEndsWithTheOwner) {
  Graph graph;
  graph.observe(0, Meta(1).metadata);
  graph.observe(1, Meta(2).owned_by(1, true).metadata);
  graph.observe(1, Meta(3).owned_by(1, false).metadata);
  auto work = graph.observe(0, Meta(1).deleting(kForeground).metadata);
  EXPECT_EQ(sorted(work.attempt), (std::vector<std::string>{uid(1), uid(2), uid(3)}));
  auto blocking = graph.blocking_dependents_of(uid(1));
  ASSERT_EQ(blocking.size(), 1u);
  EXPECT_EQ(blocking[0].uid, uid(2));
  EXPECT_EQ(graph.forget(uid(2)).attempt, std::vector<std::string>{uid(1)});
  EXPECT_TRUE(graph.blocking_dependents_of(uid(1)).empty());
}

TEST(OwnershipGraph, ADependentThatStopsBlockingLetsTheOwnerGoOn) {
  Graph graph;
  graph.observe(0, Meta(1).deleting(kForeground).metadata);
  graph.observe(1, Meta(2).owned_by(1, true).metadata);
  EXPECT_EQ(graph.observe(1, Meta(2).owned_by(1, false).metadata).attempt, std::vector<std::string>{uid(1)});
}

TEST(OwnershipGraph, ANewDependentOfAnOwnerOnItsWayOutIsLookedAt) {
  Graph graph;
  graph.observe(0, Meta(1).deleting(kForeground).metadata);
  EXPECT_EQ(graph.observe(1, Meta(2).owned_by(1, true).metadata).attempt, std::vector<std::string>{uid(2)});
}

TEST(OwnershipGraph, OrphaningIsAskedForOnce) {
  Graph graph;
  graph.observe(1, Meta(2).owned_by(1).metadata);
  EXPECT_EQ(graph.observe(0, Meta(1).deleting(kOrphan).metadata).orphan, std::vector<std::string>{uid(1)});
  EXPECT_TRUE(graph.observe(0, Meta(1).deleting(kOrphan).metadata).orphan.empty());
  ASSERT_EQ(graph.dependents_of(uid(1)).size(), 1u);
  graph.observe(1, Meta(2).metadata);
  EXPECT_TRUE(graph.dependents_of(uid(1)).empty());
}

TEST(OwnershipGraph, TakesUidsThatAreNoUuids) {
  EXPECT_EQ(Uid::of("a"), Uid::of("a"));
  EXPECT_FALSE(Uid::of("a") == Uid::of("b"));
  EXPECT_FALSE(Uid::of(uid(1)) == Uid::of(uid(1) + "0"));
  EXPECT_FALSE(Uid::of("") == Uid::of("00000000-0000-0000-0000-000000000000"));
}

}  // namespace
}  // namespace redoubt::controllers::garbage
