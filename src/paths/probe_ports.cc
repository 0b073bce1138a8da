// Probes of addresses: the API server's, its store's, and kubelets'.
#include <fmt/format.h>
#include <openssl/ssl.h>

#include <thread>

#include "paths/chain.h"
#include "paths/probe.h"

namespace redoubt::paths {

namespace {

// Suites without encryption, without authentication, or without forward secrecy, and broken ciphers.
constexpr const char* kWeakSuites = "eNULL:aNULL:RC4:3DES:DES:kRSA:EXP:@SECLEVEL=0";
constexpr const char* kAllSuites = "ALL:@SECLEVEL=0";

// Runs the same probes against any HTTPS port; ids begin with `who`.
class Prober {
 public:
  Prober(std::string who, std::string path, std::string node, Peer peer, std::vector<ProbeResult>& out)
      : who_(std::move(who)), path_(std::move(path)), node_(std::move(node)), peer_(std::move(peer)), out_(out) {}

  void add(std::string id, std::string did, std::string saw, Verdict verdict, std::string advice = {}) {
    out_.push_back({std::move(id), path_, node_, std::move(did), std::move(saw), verdict, std::move(advice)});
  }

  // `sent` is what the request carried. Refused is secure; let in is open; silence is nothing.
  void expect_refusal(const char* what, std::string did, const Answer& a, Verdict otherwise, std::string advice) {
    std::string id = who_ + "-" + what;
    if (!a.handshake.connected)
      add(id, did, "not done: the port can't be reached from here: " + a.error, Verdict::Unknown);
    else if (a.status == 401 || a.status == 403)
      add(id, did, fmt::format("HTTP {}", a.status), Verdict::Secure);
    else if (a.status >= 200 && a.status < 300)
      add(id, did, fmt::format("HTTP {}: let in", a.status), otherwise, std::move(advice));
    else if (a.status != 0)
      add(id, did, fmt::format("HTTP {}", a.status), Verdict::Unknown);
    else
      add(id, did, "refused: " + a.error, Verdict::Secure);
  }

  // Old versions and weak suites must fail in the handshake.
  void old_tls(const std::string& advice) {
    for (auto [version, name] : {std::pair{TLS1_VERSION, "TLS 1.0"}, std::pair{TLS1_1_VERSION, "TLS 1.1"}})
      handshake("old-tls", fmt::format("offered {} and nothing newer", name),
                {.max_version = version, .ciphers = kAllSuites}, advice);
    handshake("weak-suites", "offered suites without encryption, authentication or forward secrecy",
              {.max_version = TLS1_2_VERSION, .ciphers = kWeakSuites}, advice);
  }

  Answer get(const char* path, const Offer& offer = {},
             const std::vector<std::pair<std::string, std::string>>& headers = {}) {
    return ask(peer_, offer, "GET", path, headers);
  }

 private:
  void handshake(const char* what, std::string did, const Offer& offer, const std::string& advice) {
    Handshake h = shake_hands(peer_, offer);
    std::string id = who_ + "-" + what;
    if (!h.connected)
      add(id, std::move(did), "not done: the port can't be reached from here: " + h.error, Verdict::Unknown);
    else if (h.done)
      add(id, std::move(did), fmt::format("accepted: {} {}", h.version, h.cipher), Verdict::Weak, advice);
    else
      add(id, std::move(did), "refused: " + h.error, Verdict::Secure);
  }

  std::string who_, path_, node_;
  Peer peer_;
  std::vector<ProbeResult>& out_;
};

// A certificate that says it is an administrator's, of an authority that nobody knows.
Offer forged() {
  Offer out;
  auto ca = pki::make_ca("redoubt-paths-probe", std::chrono::hours(1));
  if (!ca) return out;
  auto pair = pki::issue(*ca, {.subject = {"kubernetes-admin", {"system:masters"}, {}},
                               .dns_names = {},
                               .ip_addresses = {},
                               .usages = {pki::Usage::ClientAuth},
                               .lifetime = std::chrono::hours(1)});
  if (!pair) return out;
  out.certificate_pem = pair->certificate_pem;
  out.private_key_pem = pair->private_key_pem;
  return out;
}

// One of the cluster's own authority; harmless names only.
Offer issued(const pki::KeyPair& authority, pki::Subject subject, std::chrono::seconds lifetime) {
  Offer out;
  auto pair = pki::issue(authority, {.subject = std::move(subject),
                                     .dns_names = {},
                                     .ip_addresses = {},
                                     .usages = {pki::Usage::ClientAuth},
                                     .lifetime = lifetime});
  if (!pair) return out;
  out.certificate_pem = pair->certificate_pem;
  out.private_key_pem = pair->private_key_pem;
  return out;
}

void probe_plain(Prober& p, const Peer& peer) {
  Answer a = ask(peer, {.tls = false}, "GET", "/version");
  if (!a.handshake.connected)
    p.add("apiserver-plain-http", "spoke plain HTTP to the secure port", "not done: " + a.error, Verdict::Unknown);
  else if (a.status == 0 || a.status == 400)
    p.add("apiserver-plain-http", "spoke plain HTTP to the secure port",
          a.status == 400 ? "HTTP 400: refused" : "refused: " + a.error, Verdict::Secure);
  else
    p.add("apiserver-plain-http", "spoke plain HTTP to the secure port", fmt::format("HTTP {}: answered", a.status),
          Verdict::Open, "Let nothing but TLS reach this port.");
}

void probe_etcd(const Facts& f, Prober& p) {
  Peer peer{f.server.host, 2379};
  const char* advice =
      "Start etcd with https in --listen-client-urls, --client-cert-auth and a --trusted-ca-file of its own.";
  for (bool tls : {false, true}) {
    Answer a = ask(peer, {.tls = tls}, "GET", "/version");
    std::string did =
        fmt::format("asked port 2379 of the API server's machine for /version by {}, without a certificate",
                    tls ? "TLS" : "plain HTTP");
    if (!a.handshake.connected)
      p.add("etcd-open", did, "not done: the port can't be reached from here: " + a.error, Verdict::Unknown);
    else if (a.status == 200 && a.body.find("etcdserver") != std::string::npos)
      p.add("etcd-open", did, "etcd answered: whoever reaches this port is administrator of the cluster", Verdict::Open,
            advice);
    else
      p.add("etcd-open", did, a.status != 0 ? fmt::format("HTTP {}", a.status) : "refused: " + a.error,
            tls ? Verdict::Secure : Verdict::Unknown);
  }
}

}  // namespace

void probe_apiserver(const Facts& f, const ProbeOptions& options, std::vector<ProbeResult>& out) {
  Prober p("apiserver", "client-apiserver", "", f.server, out);
  probe_plain(p, f.server);
  p.old_tls("Set --tls-min-version=VersionTLS12 and leave --tls-cipher-suites at its default.");
  const char* no_anonymous = "Set --anonymous-auth=false, or take the role bindings of system:unauthenticated away.";
  for (const char* path : {"/api/v1/secrets?limit=1", "/api/v1/nodes?limit=1", "/metrics"})
    p.expect_refusal("anonymous", fmt::format("asked for {} without a credential", path), p.get(path), Verdict::Open,
                     no_anonymous);
  const char* strict = "Set --client-ca-file to the cluster's own authority, and no other.";
  p.expect_refusal("self-signed-certificate",
                   "showed a certificate for kubernetes-admin, system:masters, of an unknown authority",
                   p.get("/api/v1/secrets?limit=1", forged()), Verdict::Open, strict);
  p.expect_refusal("wrong-token", "showed a token that nobody issued",
                   p.get("/api/v1/secrets?limit=1", {}, {{"Authorization", "Bearer redoubt-paths-probe"}}),
                   Verdict::Open, "Find out which authenticator takes any token.");
  if (options.authority.private_key_pem.empty()) {
    p.add("apiserver-expired-certificate", "shows an expired certificate",
          "not done: this machine has no key of the cluster's authority", Verdict::Unknown);
    p.add("apiserver-other-node", "shows another node's certificate",
          "not done: this machine has no key of the cluster's authority", Verdict::Unknown);
  } else {
    Offer expired = issued(options.authority, {"redoubt-paths-probe", {}, {}}, std::chrono::seconds(1));
    std::this_thread::sleep_for(std::chrono::milliseconds(2'100));  // until it has
    p.expect_refusal("expired-certificate", "showed a certificate of the cluster's authority that has expired",
                     p.get("/api/v1/secrets?limit=1", expired), Verdict::Open, strict);
    Offer node =
        issued(options.authority, {"system:node:redoubt-paths-nobody", {"system:nodes"}, {}}, std::chrono::minutes(5));
    p.expect_refusal("other-node",
                     "asked for kube-system's Secrets with the certificate of a node that runs none of its pods",
                     p.get("/api/v1/namespaces/kube-system/secrets?limit=1", node), Verdict::Open,
                     "Set --authorization-mode=Node,RBAC.");
  }
  Answer insecure = ask({f.server.host, 8080}, {.tls = false}, "GET", "/api");
  if (insecure.status == 200 && insecure.body.find("\"APIVersions\"") != std::string::npos)
    p.add("apiserver-insecure-port", "asked port 8080 for /api by plain HTTP", "the API server answered", Verdict::Open,
          "Set --insecure-port=0.");
  else
    p.add("apiserver-insecure-port", "asked port 8080 for /api by plain HTTP",
          insecure.handshake.connected ? "no API server there" : insecure.error, Verdict::Secure);
  if (!f.redoubt) {
    Prober store("etcd", "apiserver-store", "", f.server, out);
    probe_etcd(f, store);
  }
}

void probe_node(const Facts& f, const NodeFacts& n, const ProbeOptions& options, std::vector<ProbeResult>& out) {
  for (const std::string& address : n.addresses) {
    Peer peer{address, n.kubelet_port};
    Prober p("kubelet", "apiserver-kubelet", n.name, peer, out);
    std::string at = peer.to_string();
    Answer anonymous = p.get("/pods");
    p.expect_refusal("anonymous", fmt::format("asked {} for /pods without a credential", at), anonymous, Verdict::Open,
                     "Set authentication.anonymous.enabled: false in KubeletConfiguration.");
    if (anonymous.handshake.connected) {
      std::string ca = f.state && !f.state->kubelet_ca_pem.empty() ? f.state->kubelet_ca_pem : f.ca_pem;
      ChainFacts chain = judge_chain(anonymous.handshake.chain_der, ca, f.at);
      if (anonymous.handshake.done)
        p.add("kubelet-chain", fmt::format("looked at the certificate that {} shows", at),
              chain.verified
                  ? fmt::format("{} of {}", chain.subject, chain.authority)
                  : fmt::format("{}: {}", chain.subject, chain.self_signed ? "it signed itself" : chain.problem),
              chain.verified ? Verdict::Secure : Verdict::Weak,
              chain.verified ? "" : "Set serverTLSBootstrap: true and approve the kubelet's CSR.");
      p.old_tls("Set tlsMinVersion: VersionTLS12 in KubeletConfiguration.");
      const char* webhook =
          "Set authorization.mode: Webhook and authentication.x509.clientCAFile in KubeletConfiguration.";
      p.expect_refusal("self-signed-certificate", fmt::format("showed {} a certificate of an unknown authority", at),
                       p.get("/pods", forged()), Verdict::Open, webhook);
      if (!options.authority.private_key_pem.empty())
        p.expect_refusal(
            "other-node", fmt::format("asked {} for /pods with another node's certificate", at),
            p.get("/pods", issued(options.authority, {"system:node:redoubt-paths-nobody", {"system:nodes"}, {}},
                                  std::chrono::minutes(5))),
            Verdict::Weak, webhook);
    }
    Answer read_only = ask({address, 10255}, {.tls = false}, "GET", "/pods");
    std::string did = fmt::format("asked {} for /pods by plain HTTP", Peer{address, 10255}.to_string());
    if (read_only.status == 200)
      p.add("read-only-port", did, "HTTP 200: pods and their configuration, in the clear, for everybody", Verdict::Open,
            "Set readOnlyPort: 0 in KubeletConfiguration.");
    else
      p.add("read-only-port", did,
            read_only.handshake.connected ? fmt::format("HTTP {}", read_only.status) : read_only.error,
            Verdict::Secure);
  }
}

}  // namespace redoubt::paths
