// apiserver-pod, apiserver-service, apiserver-webhook, apiserver-store.
#include <fmt/format.h>

#include <algorithm>
#include <ranges>

#include "paths/judge.h"

namespace redoubt::paths {

namespace {

constexpr const char* kKonnectivity =
    "Set --egress-selector-config-file with Konnectivity for `cluster`, or let nobody use the proxies and use "
    "port-forward.";

bool loopback(std::string_view url) {
  for (const char* host : {"://127.", "://localhost", "://[::1]"}) {
    if (url.find(host) != std::string_view::npos) return true;
  }
  return url.starts_with("unix");
}

void judge_proxy(const Facts& f, const char* path, const char* what, std::vector<Observation>& out) {
  Observation o;
  o.path = path;
  o.from = "API server";
  o.to = what;
  o.live = live_of(f, "redoubt_egress_open_streams", path);
  if (f.state) {
    o.tunnel = f.nodes.empty() ? "" : f.nodes.front().way;
    std::vector<std::string> without;
    for (const NodeFacts& n : f.nodes) {
      if (!n.confidential) without.push_back(n.name);
    }
    if (!without.empty()) o.tunnel = without.size() == f.nodes.size() ? "direct" : "mixed";
    if (f.state->proxy_plaintext == "allow" && !without.empty())
      o.add(Verdict::Open, "plaintext-allowed",
            fmt::format("Plain HTTP to {} on {} crosses the network, since the policy allows it", what,
                        fmt::join(without, ", ")),
            "Remove --proxy-plaintext=allow, or keep the nodes' tunnels on.");
    else if (!without.empty())
      o.add(Verdict::Secure, "plaintext-refused",
            fmt::format("Through the nodes' tunnels; where there is none ({}) what is not encrypted for a verified "
                        "backend is refused",
                        fmt::join(without, ", ")));
    else
      o.add(Verdict::Secure, "pod-tunnel", "Through the tunnel of the node; nothing leaves it in the clear");
  } else {
    judge_plaintext(f, what, o);
  }
  out.push_back(std::move(o));
}

void judge_webhooks(const Facts& f, std::vector<Observation>& out) {
  Observation o;
  o.path = "apiserver-webhook";
  o.from = "API server";
  o.to = "webhooks, aggregated APIs";
  if (!f.registrations) {
    o.add(Verdict::Unknown, "webhooks-unseen", "Webhooks and APIServices can't be read: " + f.registrations_error,
          "Ask as an administrator.");
  } else if (f.registrations->empty()) {
    o.add(Verdict::Unused, "no-webhooks", "No webhook and no aggregated API is registered");
  } else {
    o.to = fmt::format("{} webhooks and aggregated APIs", f.registrations->size());
    o.client_identity = "";
    for (const Registration& r : *f.registrations) {
      if (r.url.starts_with("http://"))
        o.add(Verdict::Open, "webhook-plaintext", fmt::format("{} is asked over plain HTTP", r.name),
              "Give it an https URL and a caBundle.");
      else if (r.skips_verification)
        o.add(Verdict::Weak, "webhook-unverified", fmt::format("{} skips verification (insecureSkipTLSVerify)", r.name),
              "Remove insecureSkipTLSVerify and give it a caBundle.");
      else if (!r.service.empty() && !r.has_ca)
        o.add(Verdict::Weak, "webhook-without-ca",
              fmt::format("{} names no caBundle: any public authority may vouch for it", r.name),
              "Give it a caBundle.");
    }
    if (o.findings.empty())
      o.add(Verdict::Secure, "webhooks-verified", "HTTPS, each verified by its caBundle or a public authority");
  }
  out.push_back(std::move(o));
}

void judge_store(const Facts& f, std::vector<Observation>& out) {
  Observation o;
  o.path = "apiserver-store";
  o.from = "API server";
  o.to = "store";
  auto servers = flag_value(f, "etcd-servers");
  if (f.state && f.state->store == "embedded") {
    o.to = "embedded store";
    o.tunnel = "no socket";
    o.add(Verdict::Secure, "embedded-store",
          f.state->secrets_encrypted ? "A file of the server's, no socket; Secrets are encrypted"
                                     : "A file of the server's, no socket");
  } else if (servers && !servers->empty()) {
    o.to = "etcd " + *servers;
    if (servers->find("http://") != std::string::npos) {
      if (loopback(*servers))
        o.add(Verdict::Weak, "etcd-plaintext-local",
              "etcd is asked over plain HTTP on this machine: whoever gets onto it is administrator of the cluster",
              "Use https with --etcd-cafile, --etcd-certfile and --etcd-keyfile; start etcd with --client-cert-auth.");
      else
        o.add(Verdict::Open, "etcd-plaintext", "etcd is asked over plain HTTP across the network",
              "Use https with --etcd-cafile, --etcd-certfile and --etcd-keyfile; start etcd with --client-cert-auth.");
    } else if (flag_value(f, "etcd-cafile")->empty()) {
      o.add(Verdict::Weak, "etcd-unverified", "etcd's certificate is checked against public authorities only",
            "Set --etcd-cafile.");
    } else if (flag_value(f, "etcd-certfile")->empty()) {
      o.add(Verdict::Weak, "etcd-no-client-certificate",
            "The API server shows etcd no certificate: etcd can't tell who asks",
            "Set --etcd-certfile and --etcd-keyfile; start etcd with --client-cert-auth.");
    } else {
      o.verified_by = *flag_value(f, "etcd-cafile");
      o.client_identity = "client certificate";
      o.add(Verdict::Secure, "etcd-mutual-tls", "Mutual TLS, by the API server's flags");
    }
  } else if (!proven(f, "etcd-open")) {
    o.add(Verdict::Unknown, "store-unseen", "How the API server reaches its store can't be seen from here",
          "Run this where kube-apiserver runs; --probe asks port 2379.");
  }
  out.push_back(std::move(o));
}

}  // namespace

void judge_plaintext(const Facts& f, std::string_view what, Observation& o) {
  auto config = flag_value(f, "egress-selector-config-file");
  double dials = 0;
  for (const auto& [name, value] : f.metrics) {
    if (name.starts_with("apiserver_egress_dialer_dial_start_total") ||
        name.starts_with("apiserver_egress_dialer_dial_duration_seconds_count"))
      dials += value;
  }
  if ((config && !config->empty()) || dials > 0) {
    o.tunnel = "konnectivity";
    o.add(Verdict::Secure, "egress-selector",
          "The API server dials by an egress selector; inside the nodes' network it is plain HTTP");
  } else if (config) {
    o.tunnel = "direct";
    o.add(Verdict::Open, "plaintext",
          fmt::format(
              "The API server's proxy to {} sends plain HTTP over the network, and verifies nothing with https:", what),
          kKonnectivity);
  } else if (!proven(f, "proxy-plaintext")) {
    o.add(Verdict::Unknown, "proxy-unseen",
          fmt::format("Whether the API server reaches {} by a tunnel can't be seen; upstream's default is plain HTTP "
                      "over the network",
                      what),
          std::string("--probe tries it. ") + kKonnectivity);
  }
}

void judge_cluster(const Facts& facts, std::vector<Observation>& out) {
  judge_proxy(facts, "apiserver-pod", "pods", out);
  judge_proxy(facts, "apiserver-service", "Services", out);
  judge_webhooks(facts, out);
  judge_store(facts, out);
}

}  // namespace redoubt::paths
