#include "controllers/workloads.h"

namespace redoubt::controllers {

namespace {
// As upstream: what has not shown by then never will.
constexpr std::chrono::minutes kLongest{5};
}  // namespace

Expectations::Expectations(Informers& informers, std::string kind) : informers_(informers) {
  informers.pods.on_change([this, kind](const auto& before, const auto& after) {
    const auto& pod = after ? after : before;
    const auto* owner = controller_of(pod->metadata);
    if (owner == nullptr || owner->kind != kind) return;
    auto it = open_.find(pod->metadata.namespace_ + "/" + owner->name);
    if (it == open_.end()) return;
    it->second.erase("+" + pod->metadata.uid);
    if (!after || is_deleting(pod->metadata)) it->second.erase("-" + pod->metadata.uid);
  });
}

void Expectations::made(const std::string& key, const core::Pod& pod) {
  // The informer may have been faster.
  auto seen = informers_.pods.get(pod.metadata.namespace_, pod.metadata.name);
  if (!seen || seen->metadata.uid != pod.metadata.uid)
    open_[key].emplace("+" + pod.metadata.uid, std::chrono::steady_clock::now());
}

void Expectations::deleting(const std::string& key, const core::Pod& pod) {
  auto seen = informers_.pods.get(pod.metadata.namespace_, pod.metadata.name);
  if (seen && seen->metadata.uid == pod.metadata.uid && !is_deleting(seen->metadata))
    open_[key].emplace("-" + pod.metadata.uid, std::chrono::steady_clock::now());
}

void Expectations::kept(const std::string& key, const core::Pod& pod) {
  if (auto it = open_.find(key); it != open_.end()) it->second.erase("-" + pod.metadata.uid);
}

bool Expectations::met(const std::string& key) {
  auto it = open_.find(key);
  if (it == open_.end()) return true;
  auto present = std::chrono::steady_clock::now();
  std::erase_if(it->second, [&](const auto& entry) { return present - entry.second > kLongest; });
  if (!it->second.empty()) return false;
  open_.erase(it);
  return true;
}

std::vector<std::shared_ptr<const core::Pod>> pods_controlled_by(Informers& informers, const std::string& ns,
                                                                 const std::string& uid) {
  std::vector<std::shared_ptr<const core::Pod>> out;
  const auto& pods = informers.pods.objects();
  for (auto it = pods.lower_bound(ns + "/"); it != pods.end() && it->second->metadata.namespace_ == ns; ++it) {
    const auto* owner = controller_of(it->second->metadata);
    if (owner != nullptr && owner->uid == uid) out.push_back(it->second);
  }
  return out;
}

void follow_pods_of(Informers& informers, std::string kind, std::function<void(const std::string& key)> changed) {
  informers.pods.on_change(
      [kind = std::move(kind), changed = std::move(changed)](const auto& before, const auto& after) {
        const auto& pod = after ? after : before;
        const auto* owner = controller_of(pod->metadata);
        if (owner != nullptr && owner->kind == kind) changed(pod->metadata.namespace_ + "/" + owner->name);
      });
}

}  // namespace redoubt::controllers
