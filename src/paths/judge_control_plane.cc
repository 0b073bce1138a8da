// client-, kubelet-, pod-, service- and component-apiserver.
#include <fmt/format.h>

#include <algorithm>

#include "paths/chain.h"
#include "paths/judge.h"

namespace redoubt::paths {

namespace {

constexpr const char* kModes = "Set --authorization-mode=Node,RBAC on the API server.";

std::string authorization(const Facts& f) {
  if (f.state) return fmt::format("{}", fmt::join(f.state->authorization_modes, ","));
  if (f.apiserver_flags) {
    if (f.apiserver_flags->contains("authorization-config")) return "by AuthorizationConfiguration";
    return *flag_value(f, "authorization-mode", "AlwaysAllow");
  }
  return {};
}

// What every path to the secure port shares.
Observation to_apiserver(const Facts& f, std::string path) {
  Observation o;
  o.path = std::move(path);
  o.to = f.server.to_string();
  o.live = live_of(f, "redoubt_path_requests_inflight", o.path);
  o.authorization = authorization(f);
  if (f.handshake.done) {
    ChainFacts chain = judge_chain(f.handshake.chain_der, f.ca_pem, f.at);
    o.server_identity = chain.subject.empty() ? "certificate" : "certificate " + chain.subject;
    if (chain.verified) o.verified_by = chain.authority;
    o.days_left = chain.days_left;
  }
  return o;
}

const Review* review(const Facts& f, std::string_view user, std::string_view what = "list secrets") {
  for (const Review& r : f.reviews) {
    if (r.user == user && r.what == what) return &r;
  }
  return nullptr;
}

void judge_client(const Facts& f, std::vector<Observation>& out) {
  Observation o = to_apiserver(f, "client-apiserver");
  o.from = "this client";
  o.client_identity = f.identity;
  o.tls_version = f.handshake.version;
  o.cipher = f.handshake.cipher;
  if (!f.handshake.done) {
    o.add(Verdict::Unknown, "no-handshake", "No TLS handshake of our own: " + f.handshake.error);
  } else if (!f.handshake_problem.empty()) {
    o.add(Verdict::Weak, "server-unverified",
          "The API server's certificate is not the one the kubeconfig trusts: " + f.handshake_problem,
          "Put the cluster's authority into certificate-authority-data, and the address into the certificate.");
  } else if (f.handshake.version != "TLSv1.3" && f.handshake.version != "TLSv1.2") {
    o.add(Verdict::Weak, "old-tls", "The API server speaks " + f.handshake.version,
          "Set --tls-min-version=VersionTLS12.");
  } else {
    o.add(Verdict::Secure, "server-verified",
          fmt::format("{}, certificate of {} for {}", f.handshake.version, o.verified_by, f.server_name));
  }
  if (o.days_left && *o.days_left < kFewDays)
    o.add(Verdict::Weak, "certificate-ends", fmt::format("The API server's certificate ends in {} days", *o.days_left),
          "Renew it now (redoubt certs renew, kubeadm certs renew).");
  if (const Review* r = review(f, "system:anonymous"); r != nullptr && r->allowed)
    o.add(Verdict::Open, "anonymous-allowed", "The API server would let anonymous requests list Secrets",
          std::string(kModes) + " Set --anonymous-auth=false.");
  if (const Review* r = review(f, "redoubt:paths:nobody"); r != nullptr && r->allowed)
    o.add(Verdict::Open, "always-allow", "The API server lets a user without any right list Secrets", kModes);
  if (auto modes = flag_value(f, "authorization-mode", "AlwaysAllow");
      modes && modes->find("AlwaysAllow") != std::string::npos && !f.apiserver_flags->contains("authorization-config"))
    o.add(Verdict::Open, "always-allow", "--authorization-mode is AlwaysAllow", kModes);
  if (auto version = flag_value(f, "tls-min-version");
      version && (*version == "VersionTLS10" || *version == "VersionTLS11"))
    o.add(Verdict::Weak, "old-tls", "--tls-min-version is " + *version, "Set --tls-min-version=VersionTLS12.");
  if (auto file = flag_value(f, "token-auth-file"); file && !file->empty())
    o.add(Verdict::Weak, "static-tokens", "--token-auth-file names tokens that never end",
          "Remove it; use client certificates, OIDC or ServiceAccounts.");
  if (auto port = flag_value(f, "insecure-port", "0"); port && *port != "0")
    o.add(Verdict::Open, "insecure-port", "--insecure-port is " + *port, "Set --insecure-port=0.");
  if (f.state && f.state->anonymous == "all")
    o.add(Verdict::Weak, "anonymous-auth", "Anonymous requests reach authorization", "Remove --anonymous-auth=true.");
  if (!f.grants)
    o.add(Verdict::Unknown, "rbac-unseen", "Role bindings can't be read: " + f.grants_error,
          "Ask as an administrator.");
  if (!f.reviews_seen)
    o.add(Verdict::Unknown, "reviews-unseen",
          "Nothing is known of what strangers may: SubjectAccessReviews are refused", "Ask as an administrator.");
  out.push_back(std::move(o));
}

void judge_kubelets(const Facts& f, std::vector<Observation>& out) {
  auto judge_one = [&](Observation& o) {
    if (const Review* r = review(f, "system:node:redoubt-paths-nobody"); r != nullptr) {
      if (r->allowed)
        o.add(Verdict::Open, "node-reads-secrets", "Any node's credential lists the Secrets of the whole cluster",
              kModes);
      else
        o.add(Verdict::Secure, "node-limited", "A node's credential reads no Secrets but those of its own pods");
    } else {
      o.add(Verdict::Unknown, "node-rights-unseen", "What a node's credential may can't be asked for",
            "Ask as an administrator.");
    }
    if (f.state && f.state->node_restriction) {
      o.add(Verdict::Secure, "node-restriction", "The server states that NodeRestriction is on");
    } else if (auto plugins = flag_value(f, "enable-admission-plugins")) {
      if (plugins->find("NodeRestriction") != std::string::npos)
        o.add(Verdict::Secure, "node-restriction", "--enable-admission-plugins names NodeRestriction");
      else
        o.add(Verdict::Weak, "node-restriction", "NodeRestriction is off: a node can write other nodes and their pods",
              "Set --enable-admission-plugins=NodeRestriction.");
    } else if (!proven(f, "node-restriction")) {
      o.add(Verdict::Unknown, "node-restriction", "Whether NodeRestriction is on can't be seen",
            "--probe asks by a dry run.");
    }
  };
  if (f.nodes.empty()) {
    Observation o = to_apiserver(f, "kubelet-apiserver");
    o.from = "nodes";
    if (!f.nodes_error.empty())
      o.add(Verdict::Unknown, "nodes-unseen", "Nodes can't be listed: " + f.nodes_error, "Ask as an administrator.");
    judge_one(o);
    out.push_back(std::move(o));
  }
  for (const NodeFacts& n : f.nodes) {
    Observation o = to_apiserver(f, "kubelet-apiserver");
    o.node = n.name;
    o.from = "node " + n.name;
    o.client_identity = "system:node:" + n.name;
    if (n.lease_live) o.live = *n.lease_live ? 1 : 0;
    judge_one(o);
    out.push_back(std::move(o));
  }
}

void judge_pods(const Facts& f, std::vector<Observation>& out) {
  Observation o = to_apiserver(f, "pod-apiserver");
  o.from = "pods";
  o.client_identity = "ServiceAccount token";
  if (!f.legacy_tokens) {
    o.add(Verdict::Unknown, "tokens-unseen", "Whether tokens live for ever can't be seen: " + f.legacy_tokens_error,
          "Ask as an administrator.");
  } else if (!f.legacy_tokens->empty()) {
    size_t n = f.legacy_tokens->size();
    o.add(Verdict::Weak, "legacy-tokens",
          fmt::format("{} Secret{} hold tokens that never end: {}{}", n, n == 1 ? "" : "s",
                      fmt::join(f.legacy_tokens->begin(),
                                f.legacy_tokens->begin() + static_cast<long>(std::min<size_t>(n, 3)), ", "),
                      n > 3 ? ", ..." : ""),
          "Delete them, and use projected tokens or `kubectl create token`.");
  } else {
    o.add(Verdict::Secure, "bound-tokens", "No Secret holds a token that never ends");
  }
  if (auto extends = flag_value(f, "service-account-extend-token-expiration", "true"); extends && *extends != "false")
    o.add(Verdict::Weak, "extended-tokens", "A pod's token is good for a year, not for the hour it says",
          "Set --service-account-extend-token-expiration=false.");
  if (f.state && f.state->extends_tokens)
    o.add(Verdict::Weak, "extended-tokens", "A pod's token is good for a year, not for the hour it says",
          "Set --service-account-extend-token-expiration=false.");
  out.push_back(std::move(o));
}

void judge_service(const Facts& f, std::vector<Observation>& out) {
  Observation o = to_apiserver(f, "service-apiserver");
  o.from = "pods";
  o.to = f.service_ip ? "kubernetes.default, " + *f.service_ip : "kubernetes.default";
  ChainFacts chain = judge_chain(f.handshake.chain_der, f.ca_pem, f.at);
  if (!f.handshake.done || !f.service_ip) {
    o.add(Verdict::Unknown, "service-unseen", "The kubernetes Service or the server's certificate can't be seen");
  } else if (!chain.names_host(*f.service_ip) || !chain.names_host("kubernetes.default.svc")) {
    o.add(Verdict::Weak, "service-not-named",
          fmt::format("The server's certificate names {}, and not both {} and kubernetes.default.svc: pods can verify "
                      "it only by turning verification off",
                      fmt::join(chain.names, ", "), *f.service_ip),
          "Make the API server's certificate anew with both names.");
  } else if (!chain.verified) {
    o.add(Verdict::Weak, "server-unverified", "The server's certificate does not verify: " + chain.problem,
          "Publish the right authority in kube-root-ca.crt.");
  } else {
    o.add(Verdict::Secure, "service-named", "The server's certificate names the Service's address and name");
  }
  out.push_back(std::move(o));
}

void judge_components(const Facts& f, std::vector<Observation>& out) {
  Observation o = to_apiserver(f, "component-apiserver");
  o.from = "scheduler, controllers, service proxy";
  o.client_identity = "certificates of their own";
  if (!f.component_leases.empty())
    o.live = static_cast<int64_t>(std::ranges::count_if(f.component_leases, [](const auto& l) { return l.second; }));
  bool asked = false;
  for (const char* user : {"system:kube-scheduler", "system:kube-proxy"}) {
    const Review* r = review(f, user);
    if (r == nullptr) continue;
    asked = true;
    if (r->allowed)
      o.add(Verdict::Weak, "component-rights", fmt::format("{} may list Secrets", user),
            "Give it the role of its own name only.");
  }
  if (!asked)
    o.add(Verdict::Unknown, "component-rights", "What the components may can't be asked for",
          "Ask as an administrator.");
  else if (o.findings.empty())
    o.add(Verdict::Secure, "component-rights", "Scheduler and service proxy may not read Secrets");
  out.push_back(std::move(o));
}

}  // namespace

void judge_to_control_plane(const Facts& facts, std::vector<Observation>& out) {
  judge_client(facts, out);
  judge_kubelets(facts, out);
  judge_pods(facts, out);
  judge_service(facts, out);
  judge_components(facts, out);
}

}  // namespace redoubt::paths
