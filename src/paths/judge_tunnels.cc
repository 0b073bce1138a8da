// tunnel-reverse, tunnel-konnectivity, tunnel-ssh.
#include <fmt/format.h>

#include <set>

#include "paths/judge.h"

namespace redoubt::paths {

namespace {

std::vector<TunnelSeen> tunnels_of(const Facts& f, std::string_view kind, std::string_view node) {
  std::vector<TunnelSeen> out;
  if (!f.state) return out;
  for (const TunnelSeen& t : f.state->tunnels) {
    if (t.kind == kind && t.node == node) out.push_back(t);
  }
  return out;
}

// Those that have a tunnel of that kind.
std::set<std::string> nodes_with(const Facts& f, std::string_view kind) {
  std::set<std::string> out;
  if (!f.state) return out;
  for (const TunnelSeen& t : f.state->tunnels) {
    if (t.kind == kind) out.insert(t.node);
  }
  return out;
}

// Takes over what is seen of the tunnels; false when none of them is up.
bool account_for(Observation& o, std::vector<TunnelSeen> tunnels, std::string_view how) {
  int64_t up = 0;
  std::string saw;
  for (const TunnelSeen& t : tunnels) {
    if (!t.up) continue;
    ++up;
    saw = fmt::format("Up, {} {}", how, t.peer);
    if (t.since) saw += ", since " + format_rfc3339(*t.since);
    if (!t.identity.empty()) (t.kind == "ssh" ? o.server_identity : o.client_identity) = t.identity;
  }
  o.live = up;
  o.tunnels = std::move(tunnels);
  if (up > 0) o.add(Verdict::Secure, "tunnel-up", saw);
  return up > 0;
}

void judge_reverse(const Facts& f, std::vector<Observation>& out) {
  auto row = [&](std::string from) {
    Observation o;
    o.path = "tunnel-reverse";
    o.from = std::move(from);
    o.to = f.server.to_string();
    return o;
  };
  if (!f.redoubt) {
    Observation o = row("nodes");
    if (f.server_version.find("k3s") != std::string::npos || f.server_version.find("rke2") != std::string::npos)
      o.add(Verdict::Unknown, "foreign-tunnel", "This server has tunnels of its own, which can't be seen from here");
    else
      o.add(Verdict::Unused, "no-tunnel", "Nothing is seen of such a tunnel");
    out.push_back(std::move(o));
    return;
  }
  if (!f.state || f.nodes.empty()) {
    Observation o = row("nodes");
    if (f.state)
      o.add(Verdict::Unused, "no-nodes", "There are no nodes");
    else
      o.add(Verdict::Unknown, "state-unseen", "The server's own account of its tunnels can't be read",
            "Ask as an administrator.");
    out.push_back(std::move(o));
    return;
  }
  for (const NodeFacts& n : f.nodes) {
    Observation o = row("node " + n.name);
    o.node = n.name;
    o.tunnel = "reverse";
    o.client_identity = "system:node:" + n.name + ", by its certificate";
    o.authorization = "Node";
    if (account_for(o, tunnels_of(f, "reverse", n.name), "from")) {
      o.tls_version = f.handshake.version;
    } else {
      o.add(Verdict::Unused, "tunnel-down",
            fmt::format("The node has no tunnel; without one: {}", f.state->without_tunnel),
            "Is the agent running, and not started with --tunnel=false?");
    }
    out.push_back(std::move(o));
  }
}

void judge_konnectivity(const Facts& f, std::vector<Observation>& out) {
  // Agents that the server holds itself: it lets in nobody who does not authenticate.
  for (const std::string& node : nodes_with(f, "konnectivity")) {
    Observation o;
    o.path = "tunnel-konnectivity";
    o.from = "agent " + node;
    o.to = f.server.host;
    o.node = node;
    o.tunnel = "konnectivity";
    if (!account_for(o, tunnels_of(f, "konnectivity", node), "from"))
      o.add(Verdict::Unused, "tunnel-drains", "The node's agents are ending");
    out.push_back(std::move(o));
  }
  if (!out.empty() && out.back().path == "tunnel-konnectivity") return;
  Observation o;
  o.path = "tunnel-konnectivity";
  o.from = "Konnectivity agents";
  o.to = "Konnectivity server";
  o.live = f.konnectivity_agents;
  auto config = flag_value(f, "egress-selector-config-file");
  bool configured = (config && !config->empty()) || (f.state && f.state->egress == "konnectivity");
  if (configured || f.konnectivity_agents.value_or(0) > 0)
    o.add(Verdict::Unknown, "konnectivity-unseen",
          "Konnectivity is in use; whether its server asks agents for a certificate can't be seen from here",
          "Give it --cluster-ca-cert, or --agent-namespace and --agent-service-account.");
  else if (config || f.state || f.konnectivity_agents)
    o.add(Verdict::Unused, "no-konnectivity", "No Konnectivity agent and no egress selector is seen");
  else
    o.add(Verdict::Unknown, "konnectivity-unseen", "Whether Konnectivity is in use can't be seen from here");
  out.push_back(std::move(o));
}

void judge_ssh(const Facts& f, std::vector<Observation>& out) {
  for (const std::string& node : nodes_with(f, "ssh")) {
    Observation o;
    o.path = "tunnel-ssh";
    o.from = "API server";
    o.to = "sshd of " + node;
    o.node = node;
    o.tunnel = "ssh";
    auto tunnels = tunnels_of(f, "ssh", node);
    std::string why = tunnels.front().last_error;
    if (!account_for(o, std::move(tunnels), "to"))
      o.add(Verdict::Unused, "tunnel-down", why.empty() ? "No connection is up" : "No connection is up: " + why);
    out.push_back(std::move(o));
  }
  if (!out.empty() && out.back().path == "tunnel-ssh") return;
  Observation o;
  o.path = "tunnel-ssh";
  o.from = "API server";
  o.to = "nodes' sshd";
  if (f.state && f.state->egress == "ssh")
    o.add(Verdict::Secure, "ssh-host-keys", "By SSH; host keys are verified");
  else if (f.redoubt && !f.state)
    o.add(Verdict::Unknown, "state-unseen", "The server's own account of its tunnels can't be read");
  else
    o.add(Verdict::Unused, "no-ssh", f.redoubt ? "No SSH tunnel is configured" : "Kubernetes has none since 1.22");
  out.push_back(std::move(o));
}

}  // namespace

void judge_tunnels(const Facts& facts, std::vector<Observation>& out) {
  judge_reverse(facts, out);
  judge_konnectivity(facts, out);
  judge_ssh(facts, out);
}

}  // namespace redoubt::paths
