// Broken installations, each found by its own finding, and sound ones that raise no alarm.
#include "paths/judge.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "paths/report.h"
#include "pki/certificate.h"

namespace redoubt::paths {
namespace {

std::string der_of(const std::string& pem) {
  // One certificate: base64 between its two lines.
  std::string base64;
  size_t begin = pem.find('\n') + 1, end = pem.find("-----END");
  for (char c : pem.substr(begin, end - begin)) {
    if (c != '\n') base64 += c;
  }
  std::string out;
  unsigned buffer = 0;
  int bits = 0;
  for (char c : base64) {
    constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t value = kAlphabet.find(c);
    if (value == std::string_view::npos) break;
    buffer = buffer << 6 | static_cast<unsigned>(value);
    if ((bits += 6) >= 8) out += static_cast<char>(buffer >> (bits -= 8) & 0xFF);
  }
  return out;
}

const pki::KeyPair& authority() {
  static const pki::KeyPair ca = *pki::make_ca("kubernetes", std::chrono::hours(24 * 365));
  return ca;
}

Handshake shown(const pki::KeyPair& ca, const std::string& name, std::vector<std::string> dns,
                std::vector<std::string> ips, std::chrono::hours lifetime) {
  auto pair = pki::issue(ca, {.subject = {name, {}, {}},
                              .dns_names = std::move(dns),
                              .ip_addresses = std::move(ips),
                              .usages = {pki::Usage::ServerAuth},
                              .lifetime = lifetime});
  return {.connected = true,
          .done = true,
          .version = "TLSv1.3",
          .cipher = "TLS_AES_256_GCM_SHA384",
          .chain_der = {der_of(pair->certificate_pem)},
          .asks_for_certificate = true,
          .error = ""};
}

constexpr std::chrono::hours kYear{24 * 300};

// An upstream cluster that follows all advice.
Facts sound() {
  Facts f;
  f.server_url = "https://10.0.0.1:6443";
  f.server = {"10.0.0.1", 6443};
  f.server_name = "10.0.0.1";
  f.ca_pem = authority().certificate_pem;
  f.identity = "client certificate kubernetes-admin";
  f.server_version = "v1.35.4";
  f.at = now();
  f.handshake =
      shown(authority(), "kube-apiserver", {"kubernetes", "kubernetes.default.svc"}, {"10.0.0.1", "10.96.0.1"}, kYear);
  f.apiserver_flags = std::map<std::string, std::string>{{"authorization-mode", "Node,RBAC"},
                                                         {"enable-admission-plugins", "NodeRestriction"},
                                                         {"kubelet-certificate-authority", "/ca.crt"},
                                                         {"egress-selector-config-file", "/e.yaml"},
                                                         {"etcd-servers", "https://10.0.0.1:2379"},
                                                         {"etcd-cafile", "/etcd.crt"},
                                                         {"etcd-certfile", "/e.crt"},
                                                         {"service-account-extend-token-expiration", "false"}};
  f.grants = std::vector<Grant>{};
  f.grants->push_back({"ClusterRoleBinding/cluster-admin",
                       "",
                       "cluster-admin",
                       {{"Group", "", "system:masters"}},
                       {{{"*"}, {"*"}, {"*"}, {}, {}}},
                       true});
  f.grants->push_back({"ClusterRoleBinding/system:public-info-viewer",
                       "",
                       "system:public-info-viewer",
                       {{"Group", "", "system:unauthenticated"}},
                       {{{"get"}, {}, {}, {}, {"/healthz", "/version"}}},
                       true});
  f.grants->push_back({"RoleBinding/kube-public/cluster-info",
                       "kube-public",
                       "cluster-info",
                       {{"User", "", "system:anonymous"}},
                       {{{"get"}, {""}, {"configmaps"}, {"cluster-info"}, {}}},
                       false});
  f.reviews_seen = true;
  for (const char* user : {"redoubt:paths:nobody", "system:anonymous", "system:node:redoubt-paths-nobody",
                           "system:kube-scheduler", "system:kube-proxy"})
    f.reviews.push_back({user, "list secrets", false});
  f.legacy_tokens = std::vector<std::string>{};
  f.registrations = std::vector<Registration>{};
  f.service_ip = "10.96.0.1";
  f.konnectivity_agents = 0;
  NodeFacts n;
  n.name = "worker";
  n.addresses = {"10.0.0.2"};
  n.lease_live = true;
  n.kubelet = shown(authority(), "system:node:worker", {"worker"}, {"10.0.0.2"}, kYear);
  n.through_server = 200;
  n.config = KubeletConfig{false, true, "Webhook", 0, true, ""};
  f.nodes.push_back(n);
  return f;
}

TunnelSeen tunnel(std::string kind, std::string node, std::string peer) {
  TunnelSeen t;
  t.kind = std::move(kind);
  t.node = std::move(node);
  t.peer = std::move(peer);
  t.up = true;
  t.streams = 3;
  t.bytes_to_node = 10;
  t.bytes_from_node = 20;
  t.round_trip = std::chrono::microseconds(1500);
  t.last_error = "connection refused";
  return t;
}

// A Redoubt cluster with a tunnel.
Facts redoubt() {
  Facts f = sound();
  f.server_version = "v1.35.4+redoubt";
  f.redoubt = true;
  f.apiserver_flags.reset();
  ServerState s;
  s.authorization_modes = {"Node", "RBAC"};
  s.anonymous = "health";
  s.kubelets_verified = true;
  s.kubelet_authority = "kubelet-ca";
  s.proxy_plaintext = "refuse";
  s.proxy_unverified_tls = "report";
  s.without_tunnel = "direct";
  s.store = "embedded";
  s.egress = "reverse";
  s.node_restriction = s.secrets_encrypted = true;
  s.tunnels = {tunnel("reverse", f.nodes[0].name, "10.0.0.2:40000")};
  f.state = s;
  f.nodes[0].kubelet = Handshake{.connected = false,
                                 .done = false,
                                 .version = "",
                                 .cipher = "",
                                 .chain_der = {},
                                 .asks_for_certificate = false,
                                 .error = "Connection refused"};
  f.nodes[0].way = "reverse";
  f.nodes[0].confidential = true;
  return f;
}

std::vector<std::string> alarms(const Report& report) {
  std::vector<std::string> out;
  for (const Observation& o : report.observations) {
    for (const Finding& f : o.findings) {
      if (f.verdict >= Verdict::Weak) out.push_back(o.path + " " + f.id + " " + std::string(verdict_name(f.verdict)));
    }
  }
  return out;
}

TEST(Judge, RaisesNoAlarmAtASoundCluster) {
  for (const Facts& facts : {sound(), redoubt()}) {
    Report report = judge(facts);
    EXPECT_THAT(alarms(report), testing::IsEmpty()) << facts.server_version;
    EXPECT_EQ(exit_status(report, Verdict::Weak), 0);
    EXPECT_EQ(report.observations.size(), 14U);
  }
  // Nothing is even unknown where the server says what it does; of an upstream one, how Konnectivity admits agents is.
  EXPECT_EQ(exit_status(judge(redoubt()), Verdict::Unknown), 0);
  EXPECT_EQ(judge(sound()).count(Verdict::Unknown), 1U);
}

TEST(Judge, SeesTunnelsOfEveryKind) {
  Facts f = redoubt();
  f.state->tunnels.push_back(tunnel("ssh", "worker", "10.0.0.2:22"));
  f.state->tunnels.back().identity = "host key SHA256:x";
  f.state->tunnels.push_back(tunnel("konnectivity", "worker", "10.0.0.2:40001"));
  f.state->tunnels.push_back(tunnel("konnectivity", "worker", "10.0.0.2:40002"));
  f.state->tunnels.back().up = false;
  Report report = judge(f);
  auto row = [&](std::string_view path) -> const Observation& {
    return *std::ranges::find_if(report.observations, [&](const Observation& o) { return o.path == path; });
  };
  EXPECT_EQ(row("tunnel-reverse").tunnels.size(), 1U);
  EXPECT_EQ(row("tunnel-ssh").server_identity, "host key SHA256:x");
  EXPECT_EQ(row("tunnel-konnectivity").tunnels.size(), 2U);
  for (const char* path : {"tunnel-reverse", "tunnel-ssh", "tunnel-konnectivity"}) {
    EXPECT_EQ(row(path).node, "worker") << path;
    EXPECT_EQ(row(path).live, 1) << path;
    EXPECT_EQ(row(path).verdict(), Verdict::Secure) << path;
  }
  EXPECT_EQ(report.observations.size(), 14U);
  EXPECT_THAT(report_json(report),
              testing::HasSubstr(R"("peer":"10.0.0.2:22","identity":"host key SHA256:x","up":true,)"
                                 R"("streams":3,"bytesToNode":10,"bytesFromNode":20,)"
                                 R"("roundTripMicroseconds":1500,"lastError":"connection refused")"));
  std::string wide = report_table(report, {.wide = true});
  for (const char* word : {"10.0.0.2:40000", "konnectivity (not up)", "1.5 ms", "20 bytes"})
    EXPECT_THAT(wide, testing::HasSubstr(word));
  EXPECT_THAT(report_table(report, {}), testing::Not(testing::HasSubstr("ROUND TRIP")));
}

struct Broken {
  const char* name;
  void (*breaks)(Facts&);
  const char* path;
  const char* finding;
  Verdict verdict;
};

void grant(Facts& f, Subject to, Rule rule, const char* ns = "") {
  f.grants->push_back(
      {*ns ? "RoleBinding/x" : "ClusterRoleBinding/x", ns, "x", {std::move(to)}, {std::move(rule)}, false});
}

const Broken kBroken[] = {
    {"AlwaysAllow", [](Facts& f) { (*f.apiserver_flags)["authorization-mode"] = "AlwaysAllow"; }, "client-apiserver",
     "always-allow", Verdict::Open},
    {"StrangersMay", [](Facts& f) { f.reviews[0].allowed = true; }, "client-apiserver", "always-allow", Verdict::Open},
    {"AnonymousMay", [](Facts& f) { f.reviews[1].allowed = true; }, "client-apiserver", "anonymous-allowed",
     Verdict::Open},
    {"AnonymousBound", [](Facts& f) { grant(f, {"User", "", "system:anonymous"}, {{"get"}, {""}, {"pods"}, {}, {}}); },
     "client-apiserver", "anonymous-grant", Verdict::Open},
    {"EverybodyReadsSecrets",
     [](Facts& f) { grant(f, {"Group", "", "system:authenticated"}, {{"get", "list"}, {""}, {"secrets"}, {}, {}}); },
     "client-apiserver", "everybody-grant", Verdict::Open},
    {"ImpersonationForAll",
     [](Facts& f) { grant(f, {"ServiceAccount", "a", "b"}, {{"impersonate"}, {""}, {"users"}, {}, {}}); },
     "client-apiserver", "impersonate-grant", Verdict::Weak},
    {"StaticTokens", [](Facts& f) { (*f.apiserver_flags)["token-auth-file"] = "/t.csv"; }, "client-apiserver",
     "static-tokens", Verdict::Weak},
    {"OldTls", [](Facts& f) { f.handshake.version = "TLSv1.1"; }, "client-apiserver", "old-tls", Verdict::Weak},
    {"EndingCertificate",
     [](Facts& f) {
       f.handshake = shown(authority(), "kube-apiserver", {"kubernetes.default.svc"}, {"10.0.0.1", "10.96.0.1"},
                           std::chrono::hours(48));
     },
     "client-apiserver", "certificate-ends", Verdict::Weak},
    {"NodeReadsAllSecrets", [](Facts& f) { f.reviews[2].allowed = true; }, "kubelet-apiserver", "node-reads-secrets",
     Verdict::Open},
    {"NoNodeRestriction", [](Facts& f) { f.apiserver_flags->erase("enable-admission-plugins"); }, "kubelet-apiserver",
     "node-restriction", Verdict::Weak},
    {"NodesAreAdministrators", [](Facts& f) { grant(f, {"Group", "", "system:nodes"}, {{"*"}, {"*"}, {"*"}, {}, {}}); },
     "kubelet-apiserver", "node-grant", Verdict::Open},
    {"BootstrapTokensOpenMore",
     [](Facts& f) { grant(f, {"Group", "", "system:bootstrappers"}, {{"*"}, {""}, {"secrets"}, {}, {}}); },
     "kubelet-apiserver", "bootstrap-grant", Verdict::Open},
    {"LegacyTokens", [](Facts& f) { f.legacy_tokens->push_back("kube-system/old (ServiceAccount x)"); },
     "pod-apiserver", "legacy-tokens", Verdict::Weak},
    {"YearLongTokens", [](Facts& f) { f.apiserver_flags->erase("service-account-extend-token-expiration"); },
     "pod-apiserver", "extended-tokens", Verdict::Weak},
    {"DefaultAccountIsAdministrator",
     [](Facts& f) { grant(f, {"ServiceAccount", "default", "default"}, {{"*"}, {"*"}, {"*"}, {}, {}}); },
     "pod-apiserver", "default-account-grant", Verdict::Open},
    {"ServiceNotNamed", [](Facts& f) { f.service_ip = "10.97.0.1"; }, "service-apiserver", "service-not-named",
     Verdict::Weak},
    {"SchedulerIsAdministrator",
     [](Facts& f) { grant(f, {"User", "", "system:kube-scheduler"}, {{"*"}, {"*"}, {"*"}, {}, {}}); },
     "component-apiserver", "component-grant", Verdict::Weak},
    {"KubeletUnverified", [](Facts& f) { f.apiserver_flags->erase("kubelet-certificate-authority"); },
     "apiserver-kubelet", "kubelet-unverified", Verdict::Weak},
    {"KubeletSelfSigned",
     [](Facts& f) {
       f.apiserver_flags.reset();
       auto ca = pki::make_ca("worker-ca@1764000000", std::chrono::hours(24 * 365));
       f.nodes[0].kubelet = shown(*ca, "worker@1764000000", {"worker"}, {}, kYear);
     },
     "apiserver-kubelet", "kubelet-self-signed", Verdict::Weak},
    {"KubeletAnonymous", [](Facts& f) { f.nodes[0].config->anonymous = true; }, "apiserver-kubelet",
     "kubelet-anonymous-config", Verdict::Open},
    {"KubeletAlwaysAllow", [](Facts& f) { f.nodes[0].config->authorization_mode = "AlwaysAllow"; }, "apiserver-kubelet",
     "kubelet-always-allow", Verdict::Open},
    {"ReadOnlyPort", [](Facts& f) { f.nodes[0].config->read_only_port = 10255; }, "apiserver-kubelet",
     "read-only-port-config", Verdict::Open},
    {"ImpostorAtANode",
     [](Facts& f) {
       f.nodes[0].through_server = 502;
       f.nodes[0].through_server_error = "x509: certificate signed by unknown authority";
     },
     "apiserver-kubelet", "kubelet-refused", Verdict::Weak},
    {"NodesProxyForMonitoring",
     [](Facts& f) {
       grant(f, {"ServiceAccount", "monitoring", "prometheus"}, {{"get"}, {""}, {"nodes/proxy"}, {}, {}});
     },
     "apiserver-node", "nodes-proxy-grant", Verdict::Weak},
    {"NodeProxyInTheClear", [](Facts& f) { f.apiserver_flags->erase("egress-selector-config-file"); }, "apiserver-node",
     "plaintext", Verdict::Open},
    {"PodProxyInTheClear", [](Facts& f) { f.apiserver_flags->erase("egress-selector-config-file"); }, "apiserver-pod",
     "plaintext", Verdict::Open},
    {"ServiceProxyInTheClear", [](Facts& f) { f.apiserver_flags->erase("egress-selector-config-file"); },
     "apiserver-service", "plaintext", Verdict::Open},
    {"WebhookInTheClear", [](Facts& f) { f.registrations->push_back({"webhook w", "http://w", "", true, false}); },
     "apiserver-webhook", "webhook-plaintext", Verdict::Open},
    {"ApiServiceUnverified", [](Facts& f) { f.registrations->push_back({"APIService a", "", "a/b", false, true}); },
     "apiserver-webhook", "webhook-unverified", Verdict::Weak},
    {"EtcdInTheClear", [](Facts& f) { (*f.apiserver_flags)["etcd-servers"] = "http://10.0.0.9:2379"; },
     "apiserver-store", "etcd-plaintext", Verdict::Open},
    {"EtcdInTheClearLocally", [](Facts& f) { (*f.apiserver_flags)["etcd-servers"] = "http://127.0.0.1:2379"; },
     "apiserver-store", "etcd-plaintext-local", Verdict::Weak},
    {"EtcdWithoutClientCertificate", [](Facts& f) { f.apiserver_flags->erase("etcd-certfile"); }, "apiserver-store",
     "etcd-no-client-certificate", Verdict::Weak},
};

class BrokenInstallation : public testing::TestWithParam<Broken> {};
TEST_P(BrokenInstallation, IsFoundByItsOwnFindingWithAdvice) {
  Facts facts = sound();
  GetParam().breaks(facts);
  Report report = judge(facts);
  bool found = false;
  for (const Observation& o : report.observations) {
    for (const Finding& f : o.findings) {
      if (o.path != GetParam().path || f.id != GetParam().finding || f.verdict != GetParam().verdict) continue;
      found = true;
      EXPECT_FALSE(f.advice.empty());
      EXPECT_EQ(o.verdict(), GetParam().verdict);
    }
  }
  EXPECT_TRUE(found) << testing::PrintToString(alarms(report));
  EXPECT_EQ(exit_status(report, Verdict::Open), GetParam().verdict == Verdict::Open ? 1 : 0);
  EXPECT_EQ(exit_status(report, Verdict::Weak), 1);
}
INSTANTIATE_TEST_SUITE_P(Each, BrokenInstallation, testing::ValuesIn(kBroken),
                         [](const auto& info) { return info.param.name; });

TEST(Judge, SaysUnknownWhereNothingCanBeSeen) {
  Facts f;
  f.server_url = "https://10.0.0.1:6443";
  f.at = now();
  f.handshake.error = "no answer in time";
  f.nodes_error = f.grants_error = f.registrations_error = f.legacy_tokens_error = "forbidden";
  Report report = judge(f);
  for (const Observation& o : report.observations)
    EXPECT_TRUE(o.verdict() == Verdict::Unknown || o.path == "tunnel-reverse" || o.path == "tunnel-ssh")
        << o.path << " " << verdict_name(o.verdict());
  EXPECT_EQ(exit_status(report, Verdict::Open), 0);
  EXPECT_EQ(exit_status(report, Verdict::Unknown), 1);
}

TEST(Judge, ReportsARedoubtThatWasLoosened) {
  Facts f = redoubt();
  f.state->proxy_plaintext = "allow";
  f.nodes[0].confidential = false;
  f.nodes[0].way = "direct";
  EXPECT_THAT(alarms(judge(f)), testing::UnorderedElementsAre("apiserver-node plaintext-allowed open",
                                                              "apiserver-pod plaintext-allowed open",
                                                              "apiserver-service plaintext-allowed open"));
}

TEST(Judge, BelievesProbesMoreThanWords) {
  Facts f = redoubt();
  f.probes.push_back({"read-only-port", "apiserver-kubelet", "worker", "asked 10255", "HTTP 200", Verdict::Open,
                      "Set readOnlyPort: 0."});
  Report report = judge(f);
  EXPECT_EQ(exit_status(report, Verdict::Open), 1);
  EXPECT_THAT(alarms(report), testing::ElementsAre("apiserver-kubelet read-only-port open"));
  f.probes[0].verdict = Verdict::Unknown;  // not done: changes nothing
  EXPECT_EQ(exit_status(judge(f), Verdict::Unknown), 0);
}

TEST(ReportTable, FitsInAHundredColumnsAndColoursOnlyWhenAsked) {
  Facts f = sound();
  (*f.apiserver_flags)["authorization-mode"] = "AlwaysAllow";
  f.nodes[0].name = "a-node-with-a-name-that-goes-on-and-on-and-on.example.com";
  for (int i = 0; i < 40; ++i) f.nodes.push_back(f.nodes[0]), f.nodes.back().name = "n" + std::to_string(i);
  std::string table = report_table(judge(f), {});
  for (size_t at = 0, end = 0; (end = table.find('\n', at)) != std::string::npos; at = end + 1) {
    auto columns = std::ranges::count_if(table.substr(at, end - at),
                                         [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; });
    EXPECT_LE(columns, 100) << table.substr(at, end - at);
  }
  EXPECT_THAT(table, testing::HasSubstr("41 nodes"));
  EXPECT_THAT(table, testing::Not(testing::HasSubstr("\x1b")));
  EXPECT_THAT(report_table(judge(f), {.colour = true}), testing::HasSubstr("\x1b[1;31m"));
}

TEST(ReportJson, IsJsonWithEveryFinding) {
  std::string yaml = report_yaml(judge(redoubt()));
  EXPECT_THAT(yaml, testing::HasSubstr("kind: PathReport"));
  EXPECT_THAT(yaml, testing::HasSubstr("path: tunnel-reverse"));
}

}  // namespace
}  // namespace redoubt::paths
