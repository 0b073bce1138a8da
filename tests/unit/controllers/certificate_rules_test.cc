// What kubelets are given certificates for, and what waits for a person.
#include <gtest/gtest.h>

#include "controllers/certificates/cleaner.h"
#include "controllers/certificates/rules.h"

using namespace redoubt;
using namespace redoubt::controllers;

namespace {

pki::Request serving(std::vector<std::string> dns, std::vector<std::string> ips) {
  pki::Request out;
  out.subject = {"system:node:n1", {"system:nodes"}};
  out.dns_names = std::move(dns);
  out.ip_addresses = std::move(ips);
  return out;
}

const std::vector<std::string> kServingUsages = {"digital signature", "server auth"};
const std::vector<std::string> kClientUsages = {"digital signature", "client auth"};

std::string judge(const pki::Request& request, std::vector<std::string> seen, std::vector<std::string> allow = {}) {
  ServingFacts facts{"n1", std::move(seen), std::move(allow), [](const std::string& address) -> AddressOwner {
                       if (address == "10.0.0.2") return {OwnerKind::Node, "n2"};
                       if (address == "10.96.0.1") return {OwnerKind::Service, "default/kubernetes"};
                       if (address == "10.0.0.100") return {OwnerKind::ApiServer, ""};
                       return {};
                     }};
  return why_not_own(request, facts);
}

}  // namespace

TEST(ServingNames, AreTheNodesOwnNameAndAddressesItWasSeenAt) {
  EXPECT_EQ(judge(serving({"n1"}, {"10.0.0.1"}), {"10.0.0.1"}), "");
  EXPECT_EQ(judge(serving({"n1"}, {"10.0.0.1", "fd00::1"}), {"fd00:0::1", "10.0.0.1"}), "");
  EXPECT_EQ(judge(serving({"n1"}, {}), {}), "");
}

struct Refused {
  const char* what;
  std::vector<std::string> dns, ips, seen, allow;
  const char* why;
};

class ServingNamesRefused : public testing::TestWithParam<Refused> {};

TEST_P(ServingNamesRefused, WaitForAPerson) {
  const Refused& r = GetParam();
  EXPECT_NE(judge(serving(r.dns, r.ips), r.seen, r.allow).find(r.why), std::string::npos)
      << r.what << ": " << judge(serving(r.dns, r.ips), r.seen, r.allow);
}

INSTANTIATE_TEST_SUITE_P(
    Table, ServingNamesRefused,
    testing::Values(
        Refused{"another's name", {"n2"}, {}, {}, {}, "not the node's name"},
        Refused{"the API server's name", {"n1", "kubernetes.default.svc"}, {}, {}, {}, "not the node's name"},
        Refused{"an address never seen", {"n1"}, {"10.0.0.3"}, {"10.0.0.1"}, {}, "not seen"},
        Refused{"one of two", {"n1"}, {"10.0.0.1", "10.0.0.3"}, {"10.0.0.1"}, {}, "10.0.0.3"},
        Refused{"another node's, though seen", {"n1"}, {"10.0.0.2"}, {"10.0.0.2"}, {}, "node n2"},
        Refused{"another node's, though allowed", {"n1"}, {"10.0.0.2"}, {}, {"10.0.0.0/8"}, "node n2"},
        Refused{"a Service's", {"n1"}, {"10.96.0.1"}, {"10.96.0.1"}, {"10.0.0.0/8"}, "Service default/kubernetes"},
        Refused{"an API server's, though allowed", {"n1"}, {"10.0.0.100"}, {}, {"10.0.0.0/8"}, "API server"},
        Refused{"loopback", {"n1"}, {"127.0.0.1"}, {"127.0.0.1"}, {"127.0.0.0/8"}, "no node's own"},
        Refused{"loopback, mapped", {"n1"}, {"::ffff:127.0.0.1"}, {"::ffff:127.0.0.1"}, {}, "no node's own"},
        Refused{"metadata service", {"n1"}, {"169.254.169.254"}, {}, {"0.0.0.0/0"}, "no node's own"}));

TEST(ServingNames, MayBeAllowedByNetwork) {
  EXPECT_EQ(judge(serving({"n1"}, {"192.168.7.9"}), {"203.0.113.5"}, {"192.168.0.0/16"}), "");
  EXPECT_NE(judge(serving({"n1"}, {"192.168.7.9"}), {"203.0.113.5"}, {"192.168.8.0/24", "nonsense"}), "");
}

TEST(ServingNames, ANodeOnTheApiServersMachineSharesItsAddress) {
  EXPECT_EQ(judge(serving({"n1"}, {"10.0.0.100"}), {"127.0.0.1", "10.0.0.100"}), "");
}

TEST(SignerRules, TakeWhatUpstreamTakes) {
  pki::Request node = serving({}, {});
  EXPECT_EQ(misfit(kClientKubeletSigner, node, kClientUsages), "");
  EXPECT_EQ(misfit(kClientKubeletSigner, node, {"key encipherment", "digital signature", "client auth"}), "");
  EXPECT_EQ(misfit(kServingSigner, serving({"n1"}, {}), kServingUsages), "");
  pki::Request anyone;
  anyone.subject = {"jane", {"developers"}};
  EXPECT_EQ(misfit(kClientSigner, anyone, {"client auth"}), "");
}

TEST(SignerRules, RefuseWhatGoesFurtherThanTheSignersName) {
  pki::Request node = serving({}, {});
  EXPECT_NE(misfit(kClientKubeletSigner, node, kServingUsages), "");
  EXPECT_NE(misfit(kClientKubeletSigner, node, {"client auth"}), "");
  EXPECT_NE(misfit(kClientKubeletSigner, node, {"digital signature", "client auth", "cert sign"}), "");
  EXPECT_NE(misfit(kClientKubeletSigner, serving({"n1"}, {}), kClientUsages), "");
  EXPECT_NE(misfit(kClientKubeletSigner, serving({}, {"10.0.0.1"}), kClientUsages), "");
  EXPECT_NE(misfit(kServingSigner, node, kServingUsages), "") << "names nothing";
  EXPECT_NE(misfit(kServingSigner, serving({"n1"}, {}), {"digital signature", "server auth", "client auth"}), "");
  pki::Request masters = serving({}, {});
  masters.subject.organizations = {"system:nodes", "system:masters"};
  EXPECT_NE(misfit(kClientKubeletSigner, masters, kClientUsages), "");
  masters.subject = {"root", {"system:masters"}};
  EXPECT_NE(misfit(kClientSigner, masters, {"client auth"}), "");
  pki::Request nobody = serving({}, {});
  nobody.subject.common_name = "system:node:";
  EXPECT_NE(misfit(kClientKubeletSigner, nobody, kClientUsages), "");
  pki::Request more = serving({}, {});
  more.other_names = true;
  EXPECT_NE(misfit(kClientKubeletSigner, more, kClientUsages), "");
}

TEST(Cleaner, LetsRequestsGoAfterUpstreamsTimes) {
  Timestamp present = now();
  auto at = [&](std::chrono::minutes ago) {
    return schema::Time{std::chrono::floor<std::chrono::seconds>(present - ago)};
  };
  auto with = [&](const char* condition, std::chrono::minutes ago) {
    Csr csr;
    csr.metadata.creationTimestamp = at(ago);
    if (condition != nullptr) {
      add_condition(csr, condition, "", "");
      csr.status.conditions[0].lastUpdateTime = at(ago);
    }
    return csr;
  };
  using std::chrono::minutes;
  for (const char* over : {"Approved", "Denied", "Failed"}) {
    EXPECT_FALSE(is_over(with(over, minutes(55)), present)) << over;
    EXPECT_TRUE(is_over(with(over, minutes(65)), present)) << over;
  }
  EXPECT_FALSE(is_over(with(nullptr, minutes(23 * 60)), present));
  EXPECT_TRUE(is_over(with(nullptr, minutes(25 * 60)), present));
  Csr expired = with("Approved", minutes(1));
  pki::KeyPair ca = *pki::make_ca("a", std::chrono::hours(1));
  pki::Template wanted;
  wanted.lifetime = std::chrono::seconds(-10);
  expired.status.certificate.bytes = pki::issue(ca, wanted)->certificate_pem;
  EXPECT_TRUE(is_over(expired, present));
}
