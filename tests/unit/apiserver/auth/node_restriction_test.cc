#include "apiserver/auth/node_restriction.h"

#include <gtest/gtest.h>

#include "memory_store.h"

using namespace redoubt;
using namespace redoubt::apiserver;

namespace {

struct NodeRestriction : testing::Test {
  MemoryStore store;
  schema::Arena arena;
  void SetUp() override { store.put("minions", R"({"metadata":{"name":"n1","uid":"u1"}})"); }
  schema::Value json(const std::string& text) {
    return text.empty() ? schema::Value() : *schema::parse_json(arena.copy(text), arena);
  }
  std::string check(NodeWrite write, const std::string& object, const std::string& old) {
    write.node = "n1";
    return apiserver::node_restriction(store, write, json(object), json(old)).value_or("ok");
  }
  std::string node(const std::string& object, const std::string& old, std::string_view name = "n1") {
    return check({.group = "", .resource = "nodes", .name = name}, object, old);
  }
  std::string pod(const std::string& object, const std::string& old, std::string_view subresource = "") {
    return check({.group = "", .resource = "pods", .subresource = subresource, .namespace_ = "a", .name = "p"}, object,
                 old);
  }
};

std::string labels(const std::string& text) {
  return R"({"metadata":{"name":"n1","labels":{)" + text + "}}}";
}

// A mirror pod with changes: `metadata` and `spec` are more members of them.
std::string mirror(const std::string& spec = "", const std::string& owner_uid = "u1",
                   const std::string& annotation = "kubernetes.io/config.mirror", const std::string& node = "n1") {
  return R"({"metadata":{"name":"p","namespace":"a","annotations":{")" + annotation +
         R"(":"x"},"ownerReferences":[{"apiVersion":"v1","kind":"Node","name":"n1","uid":")" + owner_uid +
         R"(","controller":true}]},"spec":{"nodeName":")" + node + R"(","containers":[{"name":"c"}])" + spec + "}}";
}

}  // namespace

TEST_F(NodeRestriction, KeepsANodeToItsOwnNode) {
  EXPECT_EQ(node(labels(""), "", "n2"), "node \"n1\" is not allowed to modify node \"n2\"");
  EXPECT_EQ(node("", labels("")), "node \"n1\" is not allowed to delete itself");
  EXPECT_EQ(node(R"({"metadata":{"name":"n1"},"spec":{"taints":[{"key":"k","effect":"NoSchedule"}]}})", ""), "ok");
  EXPECT_EQ(node(R"({"metadata":{"name":"n1"},"spec":{}})",
                 R"({"metadata":{"name":"n1"},"spec":{"taints":[{"key":"k","effect":"NoSchedule"}]}})"),
            "node \"n1\" is not allowed to modify taints");
  EXPECT_EQ(node(R"({"metadata":{"name":"n1","ownerReferences":[{"name":"gone"}]}})", labels("")),
            "node \"n1\" is not allowed to modify ownerReferences");
}

TEST_F(NodeRestriction, ProtectsLabelsThatSteerWorkloads) {
  EXPECT_EQ(node(labels(R"("kubernetes.io/hostname":"n1","kubernetes.io/os":"linux","own.example/x":"y",)"
                        R"("topology.kubernetes.io/zone":"z","node.kubernetes.io/instance-type":"t","plain":"1")"),
                 ""),
            "ok");
  EXPECT_EQ(node(labels(R"("node-restriction.kubernetes.io/pci":"1")"), ""),
            "node \"n1\" is not allowed to set the following labels: node-restriction.kubernetes.io/pci");
  EXPECT_EQ(node(labels(R"("node-role.kubernetes.io/control-plane":"")"), labels("")),
            "is not allowed to modify labels: node-role.kubernetes.io/control-plane");
  EXPECT_EQ(node(labels(""), labels(R"("a.node-restriction.kubernetes.io/x":"1")")),
            "is not allowed to modify labels: a.node-restriction.kubernetes.io/x");
  EXPECT_EQ(node(labels(R"("x.k8s.io/y":"2")"), labels(R"("x.k8s.io/y":"1")")),
            "is not allowed to modify labels: x.k8s.io/y");
  EXPECT_EQ(node(labels(R"("evilkubernetes.io/y":"2")"), labels("")), "ok");
  // What somebody else gave it may stay.
  EXPECT_EQ(node(labels(R"("node-restriction.kubernetes.io/x":"1","a":"b")"),
                 labels(R"("node-restriction.kubernetes.io/x":"1")")),
            "ok");
}

TEST_F(NodeRestriction, LetsANodeCreateMirrorPodsThatReferToNothing) {
  EXPECT_EQ(pod(mirror(), ""), "ok");
  EXPECT_NE(pod(mirror("", "u1", "other"), "").find("can only create mirror pods"), std::string::npos);
  EXPECT_NE(pod(mirror("", "u1", "kubernetes.io/config.mirror", "n2"), "").find("spec.nodeName"), std::string::npos);
  EXPECT_NE(pod(mirror("", "u2"), "").find("UID mismatch"), std::string::npos);
  EXPECT_NE(pod(R"({"metadata":{"annotations":{"kubernetes.io/config.mirror":"x"}},"spec":{"nodeName":"n1"}})", "")
                .find("owner reference"),
            std::string::npos);
  for (const char* spec :
       {R"(,"serviceAccountName":"default")", R"(,"volumes":[{"name":"v","secret":{"secretName":"s"}}])",
        R"(,"volumes":[{"name":"v","configMap":{"name":"s"}}])", R"(,"imagePullSecrets":[{"name":"s"}])",
        R"(,"volumes":[{"name":"v","persistentVolumeClaim":{"claimName":"s"}}])",
        R"(,"volumes":[{"name":"v","projected":{"sources":[{"serviceAccountToken":{"path":"t"}}]}}])",
        R"(,"ephemeralContainers":[{"name":"e","envFrom":[{"secretRef":{"name":"s"}}]}])"}) {
    EXPECT_NE(pod(mirror(spec), ""), "ok") << spec;
  }
}

TEST_F(NodeRestriction, LetsANodeTouchOnlyPodsBoundToIt) {
  std::string own = R"({"metadata":{"name":"p","labels":{"a":"b"}},"spec":{"nodeName":"n1"}})";
  std::string other = R"({"metadata":{"name":"p"},"spec":{"nodeName":"n2"}})";
  EXPECT_EQ(pod("", own), "ok");
  EXPECT_NE(pod("", other), "ok");
  EXPECT_NE(pod(own, own), "ok");
  EXPECT_EQ(pod(own, own, "status"), "ok");
  EXPECT_NE(pod(other, other, "status"), "ok");
  EXPECT_NE(pod(R"({"metadata":{"name":"p","labels":{"a":"c"}},"spec":{"nodeName":"n1"}})", own, "status"), "ok");
  EXPECT_NE(pod(R"({"metadata":{"name":"p","labels":{"a":"b"}},"spec":{"nodeName":"n1"},)"
                R"("status":{"resourceClaimStatuses":[{"name":"r","resourceClaimName":"theirs"}]}})",
                own, "status"),
            "ok");
  EXPECT_EQ(pod("", own, "eviction"), "ok");
  EXPECT_NE(pod("", other, "eviction"), "ok");
  EXPECT_NE(pod(own, own, "ephemeralcontainers"), "ok");
}

TEST_F(NodeRestriction, KeepsANodeToItsOwnLeaseAndCsiNode) {
  NodeWrite lease{.group = "coordination.k8s.io", .resource = "leases", .namespace_ = "kube-node-lease", .name = "n1"};
  EXPECT_EQ(check(lease, "{}", ""), "ok");
  lease.name = "n2";
  EXPECT_NE(check(lease, "{}", ""), "ok");
  lease.name = "n1";
  lease.namespace_ = "kube-system";
  EXPECT_NE(check(lease, "{}", ""), "ok");
  NodeWrite csi{.group = "storage.k8s.io", .resource = "csinodes", .name = "n2"};
  EXPECT_NE(check(csi, "{}", ""), "ok");
}

TEST_F(NodeRestriction, LetsANodeReportAClaimsSizeOnly) {
  NodeWrite claim{
      .group = "", .resource = "persistentvolumeclaims", .subresource = "status", .namespace_ = "a", .name = "c"};
  std::string old = R"({"metadata":{"name":"c","resourceVersion":"1"},"status":{"phase":"Bound"}})";
  EXPECT_EQ(check(claim, R"({"metadata":{"name":"c"},"status":{"phase":"Bound","capacity":{"storage":"1Gi"}}})", old),
            "ok");
  EXPECT_NE(check(claim, R"({"metadata":{"name":"c"},"status":{"phase":"Lost"}})", old), "ok");
  EXPECT_NE(check(claim, R"({"metadata":{"name":"c","labels":{"a":"b"}},"status":{"phase":"Bound"}})", old), "ok");
  claim.subresource = "";
  EXPECT_NE(check(claim, old, old), "ok");
}
