// tunnel-reverse, tunnel-konnectivity, tunnel-ssh.
#include <fmt/format.h>

#include "paths/judge.h"

namespace redoubt::paths {

namespace {

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
    o.live = n.tunnels;
    o.tunnel = "reverse";
    o.client_identity = "system:node:" + n.name + ", by its certificate";
    o.authorization = "Node";
    if (n.tunnels.value_or(0) > 0) {
      o.tls_version = f.handshake.version;
      o.add(Verdict::Secure, "tunnel-up", fmt::format("Up, from {}", n.tunnel_peer));
    } else {
      o.add(Verdict::Unused, "tunnel-down",
            fmt::format("The node has no tunnel; without one: {}", f.state->without_tunnel),
            "Is the agent running, and not started with --tunnel=false?");
    }
    out.push_back(std::move(o));
  }
}

void judge_konnectivity(const Facts& f, std::vector<Observation>& out) {
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

}  // namespace

void judge_tunnels(const Facts& facts, std::vector<Observation>& out) {
  judge_reverse(facts, out);
  judge_konnectivity(facts, out);
  Observation ssh;
  ssh.path = "tunnel-ssh";
  ssh.from = "API server";
  ssh.to = "nodes' sshd";
  if (facts.state && facts.state->egress == "ssh")
    ssh.add(Verdict::Secure, "ssh-host-keys", "By SSH; host keys are verified");
  else if (facts.redoubt && !facts.state)
    ssh.add(Verdict::Unknown, "state-unseen", "The server's own account of its tunnels can't be read");
  else
    ssh.add(Verdict::Unused, "no-ssh",
            facts.redoubt ? "No SSH tunnel is configured" : "Kubernetes has none since 1.22");
  out.push_back(std::move(ssh));
}

}  // namespace redoubt::paths
