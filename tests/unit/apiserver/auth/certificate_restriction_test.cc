#include "apiserver/auth/certificate_restriction.h"

#include <gtest/gtest.h>

#include "apiserver/auth/authorizer.h"
#include "base/encoding.h"
#include "memory_store.h"
#include "pki/certificate.h"

using namespace redoubt;
using namespace redoubt::apiserver;

namespace {

struct CertificateRestriction : testing::Test {
  MemoryStore store;
  Authorizer authorizer{store};
  schema::Arena arena;
  void SetUp() override {
    store.put("clusterroles",
              R"({"metadata":{"name":"r"},"rules":[{"verbs":["approve"],"apiGroups":["certificates.k8s.io"],)"
              R"("resources":["signers"],"resourceNames":["kubernetes.io/kube-apiserver-client","example.com/*"]},)"
              R"({"verbs":["sign"],"apiGroups":["certificates.k8s.io"],"resources":["signers"],)"
              R"("resourceNames":["kubernetes.io/kubelet-serving"]}]})");
    store.put("clusterrolebindings", R"({"metadata":{"name":"b"},"roleRef":{"kind":"ClusterRole","name":"r"},)"
                                     R"("subjects":[{"kind":"User","name":"jane"}]})");
  }
  std::string check(const char* user, const char* subresource, const std::string& object, const std::string& old) {
    auto json = [&](const std::string& text) {
      return text.empty() ? schema::Value() : *schema::parse_json(arena.copy(text), arena);
    };
    auto needed = certificate_restriction(subresource, json(object), json(old));
    if (needed.denial.empty()) return "ok";
    return authorizer.allows_any(UserInfo{user, "", {}, {}}, needed.any_of).value() ? "ok" : needed.denial;
  }
};

std::string csr(const std::string& signer, const std::string& status = "{}", const std::string& who = "jane") {
  return R"({"spec":{"signerName":")" + signer + R"(","username":")" + who + R"("},"status":)" + status + "}";
}
constexpr const char* kApproved = R"({"conditions":[{"type":"Approved","status":"True"}]})";

}  // namespace

TEST_F(CertificateRestriction, LetsNobodyAskForSystemMasters) {
  auto asking = [&](std::vector<std::string> groups) {
    std::string pem = *pki::make_request(pki::generate_key(), {"me", std::move(groups)});
    return R"({"spec":{"signerName":"kubernetes.io/kube-apiserver-client","request":")" + base64_encode(pem) + "\"}}";
  };
  EXPECT_EQ(check("admin", "", asking({"devs"}), ""), "ok");
  EXPECT_NE(check("admin", "", asking({"devs", "system:masters"}), "").find("system:masters"), std::string::npos);
  EXPECT_NE(check("admin", "",
                  R"({"spec":{"signerName":"kubernetes.io/kube-apiserver-client","request":"bm90IGEgY3Ny"}})", ""),
            "ok");
}

TEST_F(CertificateRestriction, AsksTheSignerWhoMayApproveAndSign) {
  std::string client = "kubernetes.io/kube-apiserver-client", serving = "kubernetes.io/kubelet-serving";
  EXPECT_EQ(check("jane", "approval", csr(client, kApproved), csr(client)), "ok");
  EXPECT_EQ(check("jane", "approval", csr("example.com/any", kApproved), csr("example.com/any")), "ok");
  EXPECT_EQ(check("jane", "approval", csr(serving, kApproved), csr(serving)),
            "user not permitted to approve requests with signerName \"kubernetes.io/kubelet-serving\"");
  EXPECT_NE(check("system:node:n1", "approval", csr(client, kApproved), csr(client)), "ok");
  EXPECT_EQ(check("jane", "status", csr(serving, R"({"certificate":"eA=="})"), csr(serving)), "ok");
  EXPECT_EQ(check("jane", "status", csr(client, R"({"certificate":"eA=="})"), csr(client)),
            "user not permitted to sign requests with signerName \"kubernetes.io/kube-apiserver-client\"");
}

TEST_F(CertificateRestriction, KeepsTheRecordOfWhoAsked) {
  std::string serving = "kubernetes.io/kubelet-serving";
  EXPECT_NE(check("jane", "", csr(serving, "{}", "system:node:n2"), csr(serving)), "ok");
  EXPECT_NE(check("jane", "approval", csr("example.com/x", kApproved), csr(serving)), "ok");
  EXPECT_EQ(check("jane", "status", csr(serving, kApproved), csr(serving)),
            "only the approval subresource approves and denies");
  EXPECT_EQ(check("x", "", csr(serving), csr(serving)), "ok");
}
