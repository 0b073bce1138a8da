#include "controllers/network_policy/resolve.h"

namespace redoubt::controllers {

namespace networking = k8s::networking::v1;
using networkpolicy::PortRange;
using networkpolicy::Rule;

namespace {

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

void add(std::vector<std::string>& to, const std::vector<std::string>& items) {
  to.insert(to.end(), items.begin(), items.end());
}

void tidy(std::vector<std::string>& items) {
  std::ranges::sort(items);
  items.erase(std::ranges::unique(items).begin(), items.end());
}

using Namespaces = std::map<std::string, std::map<std::string, std::string>>;

bool is_peer(const PolicyPod& pod, const networking::NetworkPolicyPeer& peer, const std::string& own_namespace,
             const Namespaces& namespaces) {
  if (peer.namespaceSelector) {
    auto labels = namespaces.find(pod.namespace_);
    if (labels == namespaces.end() || !matches(*peer.namespaceSelector, labels->second)) return false;
  } else if (pod.namespace_ != own_namespace) {
    return false;
  }
  return !peer.podSelector || matches(*peer.podSelector, pod.labels);
}

PortRange range_of(const networking::NetworkPolicyPort& port) {
  PortRange out;
  out.protocol = lower(port.protocol.value_or("TCP"));
  if (port.port) {
    out.first = static_cast<uint16_t>(port.port->number);
    out.last = static_cast<uint16_t>(port.endPort.value_or(port.port->number));
  }
  return out;
}

std::optional<uint16_t> named(const PolicyPod& pod, const networking::NetworkPolicyPort& port) {
  std::string protocol = lower(port.protocol.value_or("TCP"));
  for (const auto& p : pod.ports) {
    if (p.name == port.port->text && p.protocol == protocol) return p.number;
  }
  return std::nullopt;
}

// One rule of the policy; by ports' names it may become several.
void resolve_rule(const std::vector<networking::NetworkPolicyPeer>& peers,
                  const std::vector<networking::NetworkPolicyPort>& ports, bool ingress,
                  const std::vector<const PolicyPod*>& selected, const std::vector<PolicyPod>& pods,
                  const std::string& own_namespace, const Namespaces& namespaces, std::vector<Rule>& out) {
  Rule base;
  base.everybody = peers.empty();
  std::vector<const PolicyPod*> peer_pods;
  for (const auto& peer : peers) {
    if (peer.ipBlock) {
      base.blocks.push_back({peer.ipBlock->cidr, peer.ipBlock->except});
      continue;
    }
    for (const PolicyPod& pod : pods) {
      if (is_peer(pod, peer, own_namespace, namespaces)) peer_pods.push_back(&pod);
    }
  }
  for (const PolicyPod* pod : peer_pods) add(base.addresses, pod->addresses);
  tidy(base.addresses);
  if (!base.everybody && base.addresses.empty() && base.blocks.empty()) return;
  Rule numbered = base;
  numbered.any_port = ports.empty();
  for (const auto& port : ports) {
    if (!port.port || !port.port->is_string) {
      numbered.ports.push_back(range_of(port));
      continue;
    }
    // The name is the receiving pod's: it may stand for another number in each.
    std::map<uint16_t, std::vector<std::string>> by_number;
    std::vector<const PolicyPod*> receivers = ingress ? selected : peer_pods;
    if (!ingress && base.everybody) {
      for (const PolicyPod& pod : pods) receivers.push_back(&pod);
    }
    for (const PolicyPod* pod : receivers) {
      if (auto number = named(*pod, port)) add(by_number[*number], pod->addresses);
    }
    for (auto& [number, addresses] : by_number) {
      tidy(addresses);
      Rule rule = base;
      rule.ports = {{lower(port.protocol.value_or("TCP")), number, number}};
      if (ingress) {
        rule.targets = addresses;
      } else {
        rule.everybody = false;
        rule.addresses = addresses;
        rule.blocks.clear();
      }
      out.push_back(std::move(rule));
    }
  }
  if (numbered.any_port || !numbered.ports.empty()) out.push_back(std::move(numbered));
}

}  // namespace

std::optional<PolicyPod> policy_pod(const core::Pod& pod) {
  if (pod.spec.hostNetwork || pod.status.phase == "Succeeded" || pod.status.phase == "Failed") return std::nullopt;
  PolicyPod out;
  out.namespace_ = pod.metadata.namespace_;
  out.labels = pod.metadata.labels;
  for (const auto& ip : pod.status.podIPs) out.addresses.push_back(ip.ip);
  if (out.addresses.empty() && !pod.status.podIP.empty()) out.addresses.push_back(pod.status.podIP);
  if (out.addresses.empty()) return std::nullopt;
  for (const auto& container : pod.spec.containers) {
    for (const auto& port : container.ports) {
      if (!port.name.empty())
        out.ports.push_back({port.name, lower(port.protocol.empty() ? "tcp" : port.protocol),
                             static_cast<uint16_t>(port.containerPort)});
    }
  }
  return out;
}

std::optional<PolicyPod> dns_pod(const core::Service& kube_dns) {
  if (!kube_dns.spec.selector.empty() || kube_dns.spec.clusterIP.empty() || kube_dns.spec.clusterIP == "None")
    return std::nullopt;
  PolicyPod out;
  out.namespace_ = kube_dns.metadata.namespace_;
  out.labels = {{"k8s-app", "kube-dns"}};
  out.addresses =
      kube_dns.spec.clusterIPs.empty() ? std::vector<std::string>{kube_dns.spec.clusterIP} : kube_dns.spec.clusterIPs;
  for (const auto& port : kube_dns.spec.ports)
    out.ports.push_back({port.name, lower(port.protocol), static_cast<uint16_t>(port.port)});
  return out;
}

networkpolicy::Policy resolve_policy(const networking::NetworkPolicy& policy, const std::vector<PolicyPod>& pods,
                                     const Namespaces& namespace_labels) {
  networkpolicy::Policy out;
  const std::string& ns = policy.metadata.namespace_;
  out.name = ns + "/" + policy.metadata.name;
  const auto& types = policy.spec.policyTypes;
  auto restricts = [&](const char* type) { return std::ranges::find(types, type) != types.end(); };
  // As the API server fills it in, should it have been left out: ingress always, egress where there are rules.
  out.ingress = types.empty() || restricts("Ingress");
  out.egress = types.empty() ? !policy.spec.egress.empty() : restricts("Egress");
  std::vector<const PolicyPod*> selected;
  for (const PolicyPod& pod : pods) {
    if (pod.namespace_ != ns || !matches(policy.spec.podSelector, pod.labels)) continue;
    selected.push_back(&pod);
    add(out.pods, pod.addresses);
  }
  tidy(out.pods);
  if (out.ingress) {
    for (const auto& rule : policy.spec.ingress)
      resolve_rule(rule.from, rule.ports, true, selected, pods, ns, namespace_labels, out.ingress_rules);
  }
  if (out.egress) {
    for (const auto& rule : policy.spec.egress)
      resolve_rule(rule.to, rule.ports, false, selected, pods, ns, namespace_labels, out.egress_rules);
  }
  return out;
}

}  // namespace redoubt::controllers
