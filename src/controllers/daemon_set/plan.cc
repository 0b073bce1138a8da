#include "controllers/daemon_set/plan.h"

#include <algorithm>
#include <charconv>

#include "controllers/deployment/rolling.h"
#include "controllers/node_lifecycle/health.h"
#include "controllers/pods.h"

namespace redoubt::controllers {

namespace {

using PodPtr = std::shared_ptr<const core::Pod>;
using NodePtr = std::shared_ptr<const core::Node>;

bool fits(const core::NodeSelectorRequirement& r, const std::string* value) {
  bool in = value != nullptr && std::find(r.values.begin(), r.values.end(), *value) != r.values.end();
  if (r.operator_ == "In") return in;
  if (r.operator_ == "NotIn") return !in;
  if (r.operator_ == "Exists") return value != nullptr;
  if (r.operator_ == "DoesNotExist") return value == nullptr;
  if (value == nullptr || r.values.size() != 1) return false;
  int64_t have = 0, limit = 0;
  const std::string& text = r.values[0];
  if (std::from_chars(value->data(), value->data() + value->size(), have).ec != std::errc() ||
      std::from_chars(text.data(), text.data() + text.size(), limit).ec != std::errc())
    return false;
  return r.operator_ == "Gt" ? have > limit : r.operator_ == "Lt" && have < limit;
}

bool fits(const core::NodeSelectorTerm& term, const core::Node& node) {
  if (term.matchExpressions.empty() && term.matchFields.empty()) return false;
  return std::all_of(term.matchExpressions.begin(), term.matchExpressions.end(),
                     [&](const auto& r) {
                       auto it = node.metadata.labels.find(r.key);
                       return fits(r, it == node.metadata.labels.end() ? nullptr : &it->second);
                     }) &&
         std::all_of(term.matchFields.begin(), term.matchFields.end(),
                     [&](const auto& r) { return r.key == "metadata.name" && fits(r, &node.metadata.name); });
}

bool wants_node(const core::PodSpec& spec, const core::Node& node) {
  if (!spec.nodeName.empty() && spec.nodeName != node.metadata.name) return false;
  for (const auto& [key, value] : spec.nodeSelector) {
    auto it = node.metadata.labels.find(key);
    if (it == node.metadata.labels.end() || it->second != value) return false;
  }
  if (!spec.affinity || !spec.affinity->nodeAffinity ||
      !spec.affinity->nodeAffinity->requiredDuringSchedulingIgnoredDuringExecution)
    return true;
  const auto& terms = spec.affinity->nodeAffinity->requiredDuringSchedulingIgnoredDuringExecution->nodeSelectorTerms;
  return std::any_of(terms.begin(), terms.end(), [&](const auto& term) { return fits(term, node); });
}

bool tolerated(const core::PodSpec& spec, const core::Taint& taint) {
  return std::any_of(spec.tolerations.begin(), spec.tolerations.end(),
                     [&](const core::Toleration& t) { return tolerates(t, taint); });
}

bool is_current(const core::Pod& pod, const std::string& hash) {
  auto it = pod.metadata.labels.find(kRevisionHash);
  return it != pod.metadata.labels.end() && it->second == hash;
}

// What the pods of one node come to.
struct OnNode {
  NodePtr node;
  Placement place;
  std::vector<PodPtr> pods;  // not failed, not surplus; oldest first
};

class Planner {
 public:
  Planner(const apps::DaemonSet& ds, const std::string& hash) : ds_(ds), hash_(hash) {
    rolling_ = ds.spec.updateStrategy.type != "OnDelete";
    if (rolling_ && ds.spec.updateStrategy.rollingUpdate) {
      auto surge = ds.spec.updateStrategy.rollingUpdate->maxSurge;
      surges_ = surge && (surge->is_string ? surge->text != "0%" && surge->text != "0" : surge->number > 0);
    }
    plan_.status = ds.status;
  }

  DaemonPlan run(const std::vector<NodePtr>& nodes, const std::vector<PodPtr>& pods) {
    std::map<std::string, std::vector<PodPtr>> by_node;
    for (const PodPtr& pod : pods) by_node[target_node(*pod)].push_back(pod);
    core::PodSpec spec = ds_.spec.template_.spec;
    add_daemon_tolerations(spec);
    std::vector<OnNode> here;
    for (const NodePtr& node : nodes) {
      OnNode& on = here.emplace_back(OnNode{node, placement(spec, *node), {}});
      auto it = by_node.find(node->metadata.name);
      if (it != by_node.end()) {
        settle(on, std::move(it->second));
        by_node.erase(it);
      } else if (on.place.run) {
        plan_.create.push_back(node->metadata.name);
      }
    }
    // What is meant for no node that there is.
    for (const auto& [name, lost] : by_node) {
      for (const PodPtr& pod : lost) {
        if (!is_deleting(pod->metadata) && pod->spec.nodeName.empty()) plan_.remove.push_back(pod);
      }
    }
    if (rolling_ && !is_deleting(ds_.metadata)) roll(here);
    count(here);
    return std::move(plan_);
  }

 private:
  bool available(const core::Pod& pod) { return is_available(pod, ds_.spec.minReadySeconds, plan_.again_after); }

  // Makes and deletes for one node, apart from updates.
  void settle(OnNode& on, std::vector<PodPtr> pods) {
    std::stable_sort(pods.begin(), pods.end(), [](const PodPtr& a, const PodPtr& b) {
      bool bound_a = !a->spec.nodeName.empty(), bound_b = !b->spec.nodeName.empty();
      if (bound_a != bound_b) return bound_a;
      return a->metadata.creationTimestamp < b->metadata.creationTimestamp;
    });
    if (!on.place.run && !on.place.keep_running) {
      for (const PodPtr& pod : pods) {
        if (!is_deleting(pod->metadata)) plan_.remove.push_back(pod);
      }
      return;
    }
    bool terminating = false;
    for (const PodPtr& pod : pods) {
      if (is_deleting(pod->metadata)) {
        terminating = true;
        continue;
      }
      if (pod->status.phase == "Failed") {
        // Away with it: the next look makes another one.
        plan_.remove.push_back(pod);
        plan_.failed.push_back(pod);
        terminating = true;
        continue;
      }
      on.pods.push_back(pod);
    }
    if (!on.place.run) return;
    if (on.pods.empty()) {
      // While the old one ends it holds what the new one may need (ports, volumes).
      if (!terminating || surges_) plan_.create.push_back(on.node->metadata.name);
      return;
    }
    // One pod; while an update surges, an old one and a new one.
    PodPtr old_one, new_one;
    for (const PodPtr& pod : on.pods) {
      PodPtr& slot = is_current(*pod, hash_) || !surges_ ? new_one : old_one;
      if (!slot) {
        slot = pod;
      } else {
        plan_.remove.push_back(pod);
      }
    }
    on.pods.clear();
    if (old_one) on.pods.push_back(old_one);
    if (new_one) on.pods.push_back(new_one);
  }

  void roll(std::vector<OnNode>& here) {
    int32_t desired = 0;
    for (const OnNode& on : here) desired += on.place.run ? 1 : 0;
    schema::IntOrString surge = schema::IntOrString::of(0), unavailable = schema::IntOrString::of(1);
    if (const auto& rolling = ds_.spec.updateStrategy.rollingUpdate) {
      surge = rolling->maxSurge.value_or(surge);
      unavailable = rolling->maxUnavailable.value_or(unavailable);
    }
    auto scaled = [&](const schema::IntOrString& value) {
      if (!value.is_string) return value.number;
      int32_t percent = 0;
      std::from_chars(value.text.data(), value.text.data() + value.text.size(), percent);
      return static_cast<int32_t>((static_cast<int64_t>(percent) * desired + 99) / 100);
    };
    int32_t may_surge = scaled(surge), may_miss = scaled(unavailable);
    if (may_surge == 0 && may_miss == 0) may_miss = 1;
    if (may_surge == 0) {
      int32_t missing = 0;
      std::vector<PodPtr> broken, candidates;
      for (const OnNode& on : here) {
        if (!on.place.run) continue;
        PodPtr old_one;
        bool up = false;
        for (const PodPtr& pod : on.pods) {
          up = up || available(*pod);
          if (!is_current(*pod, hash_)) old_one = pod;
        }
        if (!up) ++missing;
        if (old_one) (up ? candidates : broken).push_back(old_one);
      }
      // What does not work anyway costs nothing.
      plan_.remove.insert(plan_.remove.end(), broken.begin(), broken.end());
      for (const PodPtr& pod : candidates) {
        if (missing++ >= may_miss) break;
        plan_.remove.push_back(pod);
      }
      return;
    }
    int32_t surging = 0;
    std::vector<std::string> wanting;
    for (const OnNode& on : here) {
      if (!on.place.run) continue;
      PodPtr old_one, new_one;
      for (const PodPtr& pod : on.pods) (is_current(*pod, hash_) ? new_one : old_one) = pod;
      if (old_one && new_one) {
        ++surging;
        if (available(*new_one) || !available(*old_one)) plan_.remove.push_back(old_one);
      } else if (old_one) {
        if (available(*old_one)) {
          wanting.push_back(on.node->metadata.name);
        } else {
          // An old one that does not work need not be waited for.
          plan_.create.push_back(on.node->metadata.name);
        }
      }
    }
    for (std::string& node : wanting) {
      if (surging++ >= may_surge) break;
      plan_.create.push_back(std::move(node));
    }
  }

  void count(const std::vector<OnNode>& here) {
    apps::DaemonSetStatus& s = plan_.status;
    s.observedGeneration = ds_.metadata.generation;
    s.currentNumberScheduled = s.numberMisscheduled = s.desiredNumberScheduled = s.numberReady = 0;
    s.updatedNumberScheduled = s.numberAvailable = 0;
    for (const OnNode& on : here) {
      if (!on.place.run) {
        if (!on.pods.empty()) ++s.numberMisscheduled;
        continue;
      }
      ++s.desiredNumberScheduled;
      if (on.pods.empty()) continue;
      ++s.currentNumberScheduled;
      const PodPtr* best = &on.pods.front();
      for (const PodPtr& pod : on.pods) {
        if (is_ready(*pod)) best = &pod;
      }
      if (is_ready(**best)) {
        ++s.numberReady;
        if (available(**best)) ++s.numberAvailable;
      }
      if (std::any_of(on.pods.begin(), on.pods.end(), [&](const PodPtr& pod) { return is_current(*pod, hash_); }))
        ++s.updatedNumberScheduled;
    }
    s.numberUnavailable = s.desiredNumberScheduled - s.numberAvailable;
  }

  const apps::DaemonSet& ds_;
  const std::string& hash_;
  bool rolling_ = true, surges_ = false;
  DaemonPlan plan_;
};

}  // namespace

std::string target_node(const core::Pod& pod) {
  if (!pod.spec.nodeName.empty()) return pod.spec.nodeName;
  if (!pod.spec.affinity || !pod.spec.affinity->nodeAffinity ||
      !pod.spec.affinity->nodeAffinity->requiredDuringSchedulingIgnoredDuringExecution)
    return "";
  for (const auto& term :
       pod.spec.affinity->nodeAffinity->requiredDuringSchedulingIgnoredDuringExecution->nodeSelectorTerms) {
    for (const auto& r : term.matchFields) {
      if (r.key == "metadata.name" && r.operator_ == "In" && r.values.size() == 1) return r.values[0];
    }
  }
  return "";
}

void bind_to_node(core::PodSpec& spec, const std::string& node) {
  if (!spec.affinity) spec.affinity.emplace();
  if (!spec.affinity->nodeAffinity) spec.affinity->nodeAffinity.emplace();
  // The template's own terms were looked at when the node was chosen.
  core::NodeSelector selector;
  auto& requirement = selector.nodeSelectorTerms.emplace_back().matchFields.emplace_back();
  requirement.key = "metadata.name";
  requirement.operator_ = "In";
  requirement.values = {node};
  spec.affinity->nodeAffinity->requiredDuringSchedulingIgnoredDuringExecution = std::move(selector);
}

void add_daemon_tolerations(core::PodSpec& spec) {
  auto add = [&](const char* key, const char* effect) {
    bool has = std::any_of(spec.tolerations.begin(), spec.tolerations.end(), [&](const core::Toleration& t) {
      return t.key == key && t.effect == effect && t.operator_ == "Exists" && !t.tolerationSeconds;
    });
    if (has) return;
    core::Toleration& t = spec.tolerations.emplace_back();
    t.key = key;
    t.operator_ = "Exists";
    t.effect = effect;
  };
  add("node.kubernetes.io/not-ready", "NoExecute");
  add("node.kubernetes.io/unreachable", "NoExecute");
  add("node.kubernetes.io/disk-pressure", "NoSchedule");
  add("node.kubernetes.io/memory-pressure", "NoSchedule");
  add("node.kubernetes.io/pid-pressure", "NoSchedule");
  add("node.kubernetes.io/unschedulable", "NoSchedule");
  if (spec.hostNetwork) add("node.kubernetes.io/network-unavailable", "NoSchedule");
}

Placement placement(const core::PodSpec& spec, const core::Node& node) {
  Placement out;
  if (!wants_node(spec, node)) return out;
  out.run = out.keep_running = true;
  for (const core::Taint& taint : node.spec.taints) {
    if (taint.effect != "NoSchedule" && taint.effect != "NoExecute") continue;
    if (tolerated(spec, taint)) continue;
    out.run = false;
    if (taint.effect == "NoExecute") out.keep_running = false;
  }
  return out;
}

DaemonPlan plan_daemon_set(const apps::DaemonSet& ds, const std::vector<NodePtr>& nodes,
                           const std::vector<PodPtr>& pods, const std::string& hash) {
  return Planner(ds, hash).run(nodes, pods);
}

}  // namespace redoubt::controllers
