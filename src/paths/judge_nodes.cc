// apiserver-kubelet and apiserver-node, a row a node.
#include <fmt/format.h>

#include "paths/chain.h"
#include "paths/judge.h"

namespace redoubt::paths {

namespace {

constexpr const char* kVerify =
    "Set serverTLSBootstrap: true on kubelets, approve their CSRs, and give the API server "
    "--kubelet-certificate-authority.";

// Does the API server verify who answers for this kubelet?
void judge_verification(const Facts& f, const NodeFacts& n, Observation& o) {
  std::string ca = f.state && !f.state->kubelet_ca_pem.empty() ? f.state->kubelet_ca_pem : f.ca_pem;
  ChainFacts chain;
  bool seen = n.kubelet && n.kubelet->done;
  if (seen) {
    chain = judge_chain(n.kubelet->chain_der, ca, f.at);
    o.tls_version = n.kubelet->version;
    o.cipher = n.kubelet->cipher;
    o.server_identity = "certificate " + chain.subject;
    o.days_left = chain.days_left;
    if (chain.verified) o.verified_by = chain.authority;
  }
  bool answered = n.through_server == 200;
  if (!answered && n.through_server_error.find("x509:") != std::string::npos) {
    o.add(Verdict::Weak, "kubelet-refused",
          "The API server refuses what answers for this kubelet: " + n.through_server_error,
          "Find out who answers at the node's address; a kubelet that lost its certificate gets a new one when it "
          "restarts.");
    return;
  }
  if (f.state && f.state->kubelets_verified) {
    o.verified_by = f.state->kubelet_authority;
    if (o.server_identity.empty()) o.server_identity = "certificate system:node:" + n.name;
    o.add(Verdict::Secure, "kubelet-verified",
          fmt::format("The API server verifies the kubelet by {} and the node's name{}", f.state->kubelet_authority,
                      answered ? "; it answered" : ""));
    return;
  }
  auto authority = flag_value(f, "kubelet-certificate-authority");
  if (authority && !authority->empty()) {
    if (seen && !chain.verified)
      o.add(Verdict::Unknown, "kubelet-other-authority",
            fmt::format("The API server verifies kubelets by {}, which can't be read from here; the cluster's own "
                        "authority did not sign this one",
                        *authority));
    else
      o.add(Verdict::Secure, "kubelet-verified", "The API server verifies kubelets (--kubelet-certificate-authority)");
    return;
  }
  if (seen && !chain.verified && answered) {
    o.add(Verdict::Weak, chain.self_signed ? "kubelet-self-signed" : "kubelet-unverified",
          fmt::format("The API server takes this kubelet's certificate though {}: whoever can answer for the node's "
                      "address gets every command and log",
                      chain.self_signed ? "the kubelet signed it itself" : chain.problem),
          kVerify);
    return;
  }
  if (authority) {
    o.add(
        Verdict::Weak, "kubelet-unverified",
        "The API server does not verify kubelets: whoever can answer for the node's address gets every command and log",
        kVerify);
    return;
  }
  if (seen && !chain.verified)
    o.add(Verdict::Weak, chain.self_signed ? "kubelet-self-signed" : "kubelet-unverified",
          fmt::format("The kubelet's certificate proves nothing: {}",
                      chain.self_signed ? "the kubelet signed it itself" : chain.problem),
          kVerify);
  else
    o.add(Verdict::Unknown, "kubelet-verification-unseen",
          seen ? "The kubelet's certificate is sound; whether the API server checks it can't be seen from here"
               : "Neither the kubelet's certificate nor whether the API server checks it can be seen from here",
          "Run this where kube-apiserver runs, or where its flags can be read.");
}

// Whom the kubelet lets in.
void judge_admission(const Facts& f, const NodeFacts& n, Observation& o) {
  if (!n.config) {
    if (!proven(f, "kubelet-anonymous", n.name))
      o.add(Verdict::Unknown, "kubelet-config-unseen", "Whom the kubelet lets in can't be seen: " + n.config_error,
            "--probe asks the kubelet itself.");
    return;
  }
  const KubeletConfig& c = *n.config;
  o.authorization = c.authorization_mode;
  if (c.anonymous)
    o.add(Verdict::Open, "kubelet-anonymous-config", "The kubelet takes anonymous requests",
          "Set authentication.anonymous.enabled: false in KubeletConfiguration.");
  if (c.authorization_mode == "AlwaysAllow" || c.authorization_mode.empty())
    o.add(Verdict::Open, "kubelet-always-allow", "The kubelet lets every client that it knows do everything",
          "Set authorization.mode: Webhook in KubeletConfiguration.");
  if (c.read_only_port != 0)
    o.add(Verdict::Open, "read-only-port-config",
          fmt::format("The kubelet has a read-only port, {}, without TLS or authentication", c.read_only_port),
          "Set readOnlyPort: 0 in KubeletConfiguration.");
  if (c.tls_min_version == "VersionTLS10" || c.tls_min_version == "VersionTLS11")
    o.add(Verdict::Weak, "old-tls", "The kubelet speaks " + c.tls_min_version, "Set tlsMinVersion: VersionTLS12.");
}

void judge_node_proxy(const Facts& f, const NodeFacts& n, std::vector<Observation>& out) {
  Observation o;
  o.path = "apiserver-node";
  o.node = n.name;
  o.from = "API server";
  o.to = "node " + n.name;
  o.tunnel = n.way;
  o.verified_by = f.state ? f.state->kubelet_authority : "";
  if (f.state) {
    if (n.confidential)
      o.add(Verdict::Secure, "node-tunnel",
            fmt::format("The node's ports are reached by its tunnel ({}), the kubelet verified inside", n.way));
    else if (f.state->proxy_plaintext == "allow")
      o.add(Verdict::Open, "plaintext-allowed",
            "Plain HTTP to this node crosses the network: it has no tunnel, and the policy allows it",
            "Remove --proxy-plaintext=allow, or keep the node's tunnel on.");
    else
      o.add(Verdict::Secure, "plaintext-refused",
            "There is no tunnel; plain HTTP to this node is refused, the kubelet is verified");
  } else {
    judge_plaintext(f, "nodes", o);
  }
  out.push_back(std::move(o));
}

}  // namespace

void judge_nodes(const Facts& f, std::vector<Observation>& out) {
  for (const NodeFacts& n : f.nodes) {
    Observation o;
    o.path = "apiserver-kubelet";
    o.node = n.name;
    o.from = "API server";
    o.to = "kubelet of " + n.name;
    o.tunnel = n.way;
    o.client_identity = f.state ? "client certificate" : "";
    if (f.nodes.size() == 1) o.live = live_of(f, "redoubt_egress_open_streams", o.path);
    judge_verification(f, n, o);
    judge_admission(f, n, o);
    out.push_back(std::move(o));
    judge_node_proxy(f, n, out);
  }
  if (!f.nodes.empty()) return;
  for (const char* path : {"apiserver-kubelet", "apiserver-node"}) {
    Observation o;
    o.path = path;
    o.from = "API server";
    o.to = "nodes";
    if (f.nodes_error.empty())
      o.add(Verdict::Unused, "no-nodes", "There are no nodes");
    else
      o.add(Verdict::Unknown, "nodes-unseen", "Nodes can't be listed: " + f.nodes_error, "Ask as an administrator.");
    out.push_back(std::move(o));
  }
}

}  // namespace redoubt::paths
