#include "scheduler/filters.h"

#include <algorithm>
#include <charconv>

namespace redoubt::scheduler {

namespace {

constexpr int64_t kDefaultMilliCpu = 100;  // what a pod that asks for nothing is counted as when nodes are compared
constexpr int64_t kDefaultMemory = 200 * 1024 * 1024;

void add(Demand& into, const std::map<std::string, schema::Quantity>& requests, bool largest) {
  auto put = [&](int64_t& slot, int64_t value) { slot = largest ? std::max(slot, value) : slot + value; };
  for (const auto& [name, quantity] : requests) {
    if (name == "cpu")
      put(into.milli_cpu, quantity.milli_value());
    else if (name == "memory")
      put(into.memory, quantity.value());
    else if (name == "ephemeral-storage")
      put(into.ephemeral_storage, quantity.value());
    else
      put(into.extended[name], quantity.value());
  }
}

int64_t allocatable(const core::Node& node, const std::string& name, bool milli) {
  auto it = node.status.allocatable.find(name);
  if (it == node.status.allocatable.end()) return 0;
  return milli ? it->second.milli_value() : it->second.value();
}

bool matches_requirement(const core::NodeSelectorRequirement& r, const std::string* value) {
  bool in = value != nullptr && std::find(r.values.begin(), r.values.end(), *value) != r.values.end();
  if (r.operator_ == "In") return in;
  if (r.operator_ == "NotIn") return !in;
  if (r.operator_ == "Exists") return value != nullptr;
  if (r.operator_ == "DoesNotExist") return value == nullptr;
  int64_t a = 0, b = 0;
  if (value == nullptr || r.values.size() != 1) return false;
  if (std::from_chars(value->data(), value->data() + value->size(), a).ec != std::errc()) return false;
  if (std::from_chars(r.values[0].data(), r.values[0].data() + r.values[0].size(), b).ec != std::errc()) return false;
  return r.operator_ == "Gt" ? a > b : r.operator_ == "Lt" && a < b;
}

bool selects(const k8s::meta::v1::LabelSelector& selector, const std::map<std::string, std::string>& labels) {
  for (const auto& [key, value] : selector.matchLabels) {
    auto it = labels.find(key);
    if (it == labels.end() || it->second != value) return false;
  }
  for (const auto& e : selector.matchExpressions) {
    auto it = labels.find(e.key);
    bool there = it != labels.end(),
         in = there && std::find(e.values.begin(), e.values.end(), it->second) != e.values.end();
    bool ok = e.operator_ == "In" ? in : e.operator_ == "NotIn" ? !in : e.operator_ == "Exists" ? there : !there;
    if (!ok) return false;
  }
  return true;
}

const std::string* label_of(const core::Node& node, const std::string& key) {
  auto it = node.metadata.labels.find(key);
  return it == node.metadata.labels.end() ? nullptr : &it->second;
}

bool term_matches(const core::PodAffinityTerm& term, const core::Pod& owner, const core::Pod& other) {
  if (!term.labelSelector || !selects(*term.labelSelector, other.metadata.labels)) return false;
  if (term.namespaces.empty() && !term.namespaceSelector) return other.metadata.namespace_ == owner.metadata.namespace_;
  return std::find(term.namespaces.begin(), term.namespaces.end(), other.metadata.namespace_) !=
             term.namespaces.end() ||
         (term.namespaceSelector && term.namespaces.empty());
}

// Is there a pod that the term means in the node's topology domain?
bool domain_has(const core::PodAffinityTerm& term, const core::Pod& owner, const core::Node& node,
                const std::vector<NodeState>& all) {
  const std::string* domain = label_of(node, term.topologyKey);
  if (domain == nullptr) return false;
  for (const NodeState& other : all) {
    const std::string* theirs = label_of(*other.node, term.topologyKey);
    if (theirs == nullptr || *theirs != *domain) continue;
    for (const core::Pod* pod : other.pods) {
      if (term_matches(term, owner, *pod)) return true;
    }
  }
  return false;
}

bool ports_clash(const core::Pod& pod, const NodeState& state) {
  auto each = [](const core::Pod& p, auto&& visit) {
    for (const auto& c : p.spec.containers) {
      for (const auto& port : c.ports) {
        if (port.hostPort != 0 && visit(port)) return true;
      }
    }
    return false;
  };
  return each(pod, [&](const core::ContainerPort& wanted) {
    for (const core::Pod* other : state.pods) {
      bool clash = each(*other, [&](const core::ContainerPort& taken) {
        bool any = wanted.hostIP.empty() || taken.hostIP.empty() || wanted.hostIP == "0.0.0.0" ||
                   taken.hostIP == "0.0.0.0" || wanted.hostIP == taken.hostIP;
        return any && wanted.hostPort == taken.hostPort && wanted.protocol == taken.protocol;
      });
      if (clash) return true;
    }
    return false;
  });
}

// DoNotSchedule constraints: the fullest and emptiest domain may differ by maxSkew.
bool spreads(const core::Pod& pod, const NodeState& state, const std::vector<NodeState>& all) {
  for (const auto& c : pod.spec.topologySpreadConstraints) {
    if (c.whenUnsatisfiable != "DoNotSchedule" || !c.labelSelector) continue;
    const std::string* here = label_of(*state.node, c.topologyKey);
    if (here == nullptr) return false;
    std::map<std::string, int64_t> counts;
    for (const NodeState& other : all) {
      const std::string* domain = label_of(*other.node, c.topologyKey);
      if (domain == nullptr) continue;
      int64_t& count = counts[*domain];
      for (const core::Pod* p : other.pods) {
        if (p->metadata.namespace_ == pod.metadata.namespace_ && selects(*c.labelSelector, p->metadata.labels)) ++count;
      }
    }
    int64_t least = INT64_MAX;
    for (const auto& [domain, count] : counts) least = std::min(least, count);
    if (counts[*here] + 1 - least > c.maxSkew) return false;
  }
  return true;
}

}  // namespace

Demand demand_of(const core::Pod& pod) {
  Demand out;
  for (const auto& container : pod.spec.containers) add(out, container.resources.requests, false);
  for (const auto& container : pod.spec.initContainers) add(out, container.resources.requests, true);
  add(out, pod.spec.overhead, false);
  return out;
}

bool tolerates(const std::vector<core::Toleration>& tolerations, const core::Taint& taint) {
  return std::any_of(tolerations.begin(), tolerations.end(), [&](const core::Toleration& t) {
    if (!t.effect.empty() && t.effect != taint.effect) return false;
    if (t.key.empty()) return t.operator_ == "Exists";
    if (t.key != taint.key) return false;
    return t.operator_ == "Exists" || t.value == taint.value;
  });
}

bool matches_terms(const std::vector<core::NodeSelectorTerm>& terms, const core::Node& node) {
  return std::any_of(terms.begin(), terms.end(), [&](const core::NodeSelectorTerm& term) {
    if (term.matchExpressions.empty() && term.matchFields.empty()) return false;
    bool labels = std::all_of(term.matchExpressions.begin(), term.matchExpressions.end(),
                              [&](const auto& r) { return matches_requirement(r, label_of(node, r.key)); });
    bool fields = std::all_of(term.matchFields.begin(), term.matchFields.end(), [&](const auto& r) {
      return r.key == "metadata.name" && matches_requirement(r, &node.metadata.name);
    });
    return labels && fields;
  });
}

std::string filter(const core::Pod& pod, const NodeState& state, const std::vector<NodeState>& all) {
  const core::Node& node = *state.node;
  if (node.spec.unschedulable) {
    core::Taint taint;
    taint.key = "node.kubernetes.io/unschedulable";
    taint.effect = "NoSchedule";
    if (!tolerates(pod.spec.tolerations, taint)) return "node(s) were unschedulable";
  }
  for (const auto& [key, value] : pod.spec.nodeSelector) {
    const std::string* there = label_of(node, key);
    if (there == nullptr || *there != value) return "node(s) didn't match Pod's node affinity/selector";
  }
  if (pod.spec.affinity && pod.spec.affinity->nodeAffinity &&
      pod.spec.affinity->nodeAffinity->requiredDuringSchedulingIgnoredDuringExecution &&
      !matches_terms(pod.spec.affinity->nodeAffinity->requiredDuringSchedulingIgnoredDuringExecution->nodeSelectorTerms,
                     node)) {
    return "node(s) didn't match Pod's node affinity/selector";
  }
  for (const core::Taint& taint : node.spec.taints) {
    if (taint.effect != "NoSchedule" && taint.effect != "NoExecute") continue;
    if (!tolerates(pod.spec.tolerations, taint))
      return fmt::format("node(s) had untolerated taint {{{}: {}}}", taint.key, taint.value);
  }
  if (ports_clash(pod, state)) return "node(s) didn't have free ports for the requested pod ports";
  if (static_cast<int64_t>(state.pods.size()) + 1 > allocatable(node, "pods", false)) return "Too many pods";
  Demand d = demand_of(pod);
  if (d.milli_cpu > 0 && d.milli_cpu + state.used.milli_cpu > allocatable(node, "cpu", true)) return "Insufficient cpu";
  if (d.memory > 0 && d.memory + state.used.memory > allocatable(node, "memory", false)) return "Insufficient memory";
  if (d.ephemeral_storage > 0 &&
      d.ephemeral_storage + state.used.ephemeral_storage > allocatable(node, "ephemeral-storage", false))
    return "Insufficient ephemeral-storage";
  for (const auto& [name, amount] : d.extended) {
    auto used = state.used.extended.find(name);
    if (amount + (used == state.used.extended.end() ? 0 : used->second) > allocatable(node, name, false))
      return "Insufficient " + name;
  }
  if (pod.spec.affinity && pod.spec.affinity->podAffinity) {
    for (const auto& term : pod.spec.affinity->podAffinity->requiredDuringSchedulingIgnoredDuringExecution) {
      if (domain_has(term, pod, node, all)) continue;
      // The first of a group that wants to be together may go anywhere.
      bool nobody = std::none_of(all.begin(), all.end(), [&](const NodeState& s) {
        return std::any_of(s.pods.begin(), s.pods.end(),
                           [&](const core::Pod* p) { return term_matches(term, pod, *p); });
      });
      if (!(nobody && term_matches(term, pod, pod) && label_of(node, term.topologyKey) != nullptr))
        return "node(s) didn't match pod affinity rules";
    }
  }
  if (pod.spec.affinity && pod.spec.affinity->podAntiAffinity) {
    for (const auto& term : pod.spec.affinity->podAntiAffinity->requiredDuringSchedulingIgnoredDuringExecution) {
      if (domain_has(term, pod, node, all)) return "node(s) didn't match pod anti-affinity rules";
    }
  }
  // Those that are there may not want this one beside them.
  for (const NodeState& other : all) {
    for (const core::Pod* there : other.pods) {
      if (!there->spec.affinity || !there->spec.affinity->podAntiAffinity) continue;
      for (const auto& term : there->spec.affinity->podAntiAffinity->requiredDuringSchedulingIgnoredDuringExecution) {
        const std::string* a = label_of(node, term.topologyKey);
        const std::string* b = label_of(*other.node, term.topologyKey);
        if (a != nullptr && b != nullptr && *a == *b && term_matches(term, *there, pod))
          return "node(s) didn't satisfy existing pods anti-affinity rules";
      }
    }
  }
  if (!spreads(pod, state, all)) return "node(s) didn't match pod topology spread constraints";
  return "";
}

int64_t score(const core::Pod& pod, const NodeState& state) {
  const core::Node& node = *state.node;
  Demand d = demand_of(pod);
  int64_t cpu = allocatable(node, "cpu", true), memory = allocatable(node, "memory", false);
  int64_t want_cpu = state.used.milli_cpu + std::max(d.milli_cpu, kDefaultMilliCpu),
          want_memory = state.used.memory + std::max(d.memory, kDefaultMemory);
  auto free_share = [](int64_t used, int64_t total) {
    return total <= 0 || used >= total ? 0 : (total - used) * 100 / total;
  };
  int64_t free_cpu = free_share(want_cpu, cpu), free_memory = free_share(want_memory, memory);
  int64_t out = (free_cpu + free_memory) / 2 + (100 - std::abs(free_cpu - free_memory));
  if (pod.spec.affinity && pod.spec.affinity->nodeAffinity) {
    for (const auto& preferred : pod.spec.affinity->nodeAffinity->preferredDuringSchedulingIgnoredDuringExecution) {
      if (matches_terms({preferred.preference}, node)) out += preferred.weight;
    }
  }
  for (const core::Taint& taint : node.spec.taints) {
    if (taint.effect == "PreferNoSchedule" && !tolerates(pod.spec.tolerations, taint)) out -= 50;
  }
  for (const auto& container : pod.spec.containers) {
    for (const auto& image : node.status.images) {
      if (std::find(image.names.begin(), image.names.end(), container.image) != image.names.end()) out += 10;
    }
  }
  return out;
}

}  // namespace redoubt::scheduler
