#include "paths/probe.h"

#include <fmt/format.h>

#include "base/blocking.h"
#include "paths/asker.h"

namespace redoubt::paths {

namespace {

constexpr const char* kNobody = "redoubt:paths:nobody";
constexpr const char* kNode = "system:node:redoubt-paths-nobody";

bool no_impersonation(const Reply& reply) {
  return reply.status == 0 || reply.body.find("impersonate") != std::string::npos;
}

net::Headers as(const char* user, const char* group) {
  return {{"impersonate-user", user}, {"impersonate-group", group}};
}

std::string answered(const Reply& reply) {
  return reply.status == 0 ? "no answer: " + reply.body : fmt::format("HTTP {}", reply.status);
}

}  // namespace

Task<void> probe_as_others(Asker& asker, Facts& f) {
  auto refused = [&](const char* id, const char* path, std::string did, const Reply& reply, Verdict otherwise,
                     const char* advice) {
    ProbeResult p{id, path, "", std::move(did), answered(reply), Verdict::Unknown, ""};
    if (no_impersonation(reply)) {
      p.saw = "not done: this client may not impersonate";
    } else if (reply.status == 403 || reply.status == 401) {
      p.verdict = Verdict::Secure;
    } else if (reply.status >= 200 && reply.status < 300) {
      p.verdict = otherwise;
      p.advice = advice;
    }
    f.probes.push_back(std::move(p));
  };
  refused("under-privileged", "client-apiserver", "listed Secrets as a user without rights",
          co_await asker.ask("GET", "/api/v1/secrets?limit=1", as(kNobody, "system:authenticated")), Verdict::Open,
          "Set --authorization-mode=Node,RBAC on the API server.");
  refused("other-nodes-secrets", "kubelet-apiserver",
          "listed kube-system's Secrets as a node that runs none of its pods",
          co_await asker.ask("GET", "/api/v1/namespaces/kube-system/secrets?limit=1", as(kNode, "system:nodes")),
          Verdict::Open, "Set --authorization-mode=Node,RBAC, and bind nothing to system:nodes.");
  for (const NodeFacts& n : f.nodes) {
    net::Headers headers = as(kNode, "system:nodes");
    headers.set("content-type", "application/merge-patch+json");
    Reply reply = co_await asker.ask("PATCH", fmt::format("/api/v1/nodes/{}?dryRun=All", net::percent_encode(n.name)),
                                     std::move(headers), R"({"metadata":{"labels":{"redoubt.io/probe":"dry-run"}}})");
    refused("node-restriction", "kubelet-apiserver",
            fmt::format("labelled node {} as another node, as a dry run", n.name), reply, Verdict::Weak,
            "Set --enable-admission-plugins=NodeRestriction.");
    f.probes.back().node = n.name;
  }
}

Task<void> probe_proxies(client::Client& api, Asker& asker, Facts& f) {
  // kube-proxy's health page speaks plain HTTP on every node. Whether it is there does not matter: an API server that
  // dials it itself would send plain text.
  auto dials = [&]() -> Task<double> {
    double n = 0;
    auto metrics = co_await api.request("GET", "/metrics", {}, {}, "text/plain");
    if (!metrics) co_return -1;
    std::string_view text = metrics->body;
    for (size_t at = text.find("\napiserver_egress_dialer_dial_start_total"); at != std::string_view::npos;
         at = text.find("\napiserver_egress_dialer_dial_start_total", at + 1)) {
      size_t end = text.find('\n', at + 1);
      std::string line(text.substr(at + 1, end == std::string_view::npos ? std::string_view::npos : end - at - 1));
      n += std::atof(line.substr(line.rfind(' ') + 1).c_str());
    }
    co_return n;
  };
  double before = co_await dials();
  for (size_t i = 0; i < f.nodes.size(); ++i) {
    const NodeFacts& n = f.nodes[i];
    Reply reply = co_await asker.ask(
        "GET", fmt::format("/api/v1/nodes/http:{}:10256/proxy/healthz", net::percent_encode(n.name)));
    double after = co_await dials();
    ProbeResult p{"proxy-plaintext",
                  "apiserver-node",
                  n.name,
                  fmt::format("asked for http:{}:10256 through the API server's proxy", n.name),
                  answered(reply),
                  Verdict::Unknown,
                  ""};
    const char* advice =
        "Set --egress-selector-config-file with Konnectivity for `cluster`, or let nobody use the proxies.";
    if (f.redoubt) {
      if (reply.verification.find("way=direct") != std::string::npos && f.state &&
          f.state->proxy_plaintext == "allow" && !n.confidential) {
        p.verdict = Verdict::Open;
        p.advice = "Remove --proxy-plaintext=allow, or keep the node's tunnel on.";
      } else if (reply.status == 403 || !reply.verification.empty()) {
        p.verdict = Verdict::Secure;
      } else if (reply.body.find("by the tunnel of node") != std::string::npos) {
        // Nothing listens there, says the node's end of the tunnel: that is the way that the request took.
        p.verdict = Verdict::Secure;
        p.saw += ", by the node's tunnel";
      }
      p.saw += reply.verification.empty() ? (reply.status == 403 ? ", refused" : "") : ", " + reply.verification;
    } else if (before >= 0 && after > before) {
      p.verdict = Verdict::Secure;
      p.saw += ", by an egress selector";
    } else if (reply.status != 0 && reply.status != 401 && reply.status != 403 && reply.status != 404 && before >= 0) {
      // An answer, or the word of a dial that failed: either way the API server went there itself.
      p.verdict = Verdict::Open;
      p.saw += ", dialled by the API server itself, in plain HTTP";
      p.advice = advice;
    } else {
      p.saw += before < 0 ? "; the API server's metrics can't be read, so its way is not known" : "";
    }
    f.probes.push_back(p);
    if (i > 0 || f.redoubt) continue;
    // The same dialer serves pods and Services.
    for (const char* path : {"apiserver-pod", "apiserver-service"}) {
      ProbeResult same = p;
      same.path = path;
      same.node.clear();
      f.probes.push_back(std::move(same));
    }
  }
}

Task<void> probe(client::Client& api, client::Config config, Facts& f, ProbeOptions options) {
  auto results = co_await run_blocking([&f, &options] {
    std::vector<ProbeResult> out;
    probe_apiserver(f, options, out);
    return out;
  });
  f.probes.insert(f.probes.end(), results.begin(), results.end());
  for (const NodeFacts& n : f.nodes) {
    auto of_node = co_await run_blocking([&f, &n, &options] {
      std::vector<ProbeResult> out;
      probe_node(f, n, options, out);
      return out;
    });
    f.probes.insert(f.probes.end(), of_node.begin(), of_node.end());
  }
  auto asker = Asker::make(api.executor(), std::move(config));
  if (!asker) co_return;
  co_await probe_as_others(**asker, f);
  co_await probe_proxies(api, **asker, f);
}

}  // namespace redoubt::paths
