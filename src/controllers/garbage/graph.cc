#include "controllers/garbage/graph.h"

#include <algorithm>

namespace redoubt::controllers::garbage {

namespace {

uint64_t fnv(std::string_view text, uint64_t hash) {
  for (char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return hash;
}

bool has(const std::vector<std::string>& list, std::string_view what) {
  return std::find(list.begin(), list.end(), what) != list.end();
}

// Two namespaces of one hash only mean that a wrong reference between them stays.
uint32_t namespace_hash(std::string_view name) {
  return name.empty() ? 0 : static_cast<uint32_t>(fnv(name, 14695981039346656037ULL)) | 1;
}

}  // namespace

Uid Uid::of(std::string_view text) {
  Uid out;
  size_t digits = 0;
  for (char c : text) {
    if (c == '-') continue;
    uint64_t digit = c >= '0' && c <= '9'   ? static_cast<uint64_t>(c - '0')
                     : c >= 'a' && c <= 'f' ? static_cast<uint64_t>(c - 'a' + 10)
                                            : 16;
    if (digit > 15 || digits == 32) {
      digits = 0;
      break;
    }
    out.bits[digits / 16] = out.bits[digits / 16] << 4 | digit;
    ++digits;
  }
  if (digits != 32) out.bits = {fnv(text, 14695981039346656037ULL), fnv(text, 0x84222325cbf29ce4ULL)};
  return out;
}

void Graph::link(const Uid& dependent, const Node& node) {
  for (const Owner& owner : node.owners) dependents_[owner.uid].push_back(dependent);
}

bool Graph::owner_seen(const Uid& owner, std::string_view dependent_namespace) const {
  auto it = present_.find(owner);
  if (it == present_.end()) return false;
  return it->second.namespace_hash == 0 || it->second.namespace_hash == namespace_hash(dependent_namespace);
}

void Graph::drop_node(const Uid& uid) {
  auto it = nodes_.find(uid);
  if (it == nodes_.end()) return;
  for (const Owner& owner : it->second.owners) {
    auto list = dependents_.find(owner.uid);
    if (list == dependents_.end()) continue;
    auto at = std::find(list->second.begin(), list->second.end(), uid);
    if (at != list->second.end()) {
      *at = list->second.back();
      list->second.pop_back();
    }
    if (list->second.empty()) dependents_.erase(list);
  }
  nodes_.erase(it);
}

Work Graph::observe(uint32_t resource, const k8s::meta::v1::ObjectMeta& metadata) {
  Work work;
  Uid uid = Uid::of(metadata.uid);
  present_[uid] = {resource, namespace_hash(metadata.namespace_)};
  Node now;
  for (const auto& reference : metadata.ownerReferences)
    now.owners.push_back({Uid::of(reference.uid), reference.blockOwnerDeletion.value_or(false)});
  bool deleting = metadata.deletionTimestamp && !metadata.deletionTimestamp->is_zero();
  now.deleting_foreground = deleting && has(metadata.finalizers, kForeground);
  now.deleting_orphan = deleting && has(metadata.finalizers, kOrphan);

  auto known = nodes_.find(uid);
  static const Node kNothing;
  const Node& before = known == nodes_.end() ? kNothing : known->second;

  // Who was blocked by this object and no longer is may go on.
  for (const Owner& was : before.owners) {
    bool still = was.blocks && std::any_of(now.owners.begin(), now.owners.end(),
                                           [&](const Owner& o) { return o.uid == was.uid && o.blocks; });
    if (!was.blocks || still) continue;
    auto owner = nodes_.find(was.uid);
    if (owner != nodes_.end() && owner->second.deleting_foreground) work.attempt.push_back(owner->second.uid);
  }
  // An owner that was never seen, or not where it may be: gone, not seen yet, or none. And one on its way out takes
  // this object with it.
  bool look = false;
  for (const Owner& owner : now.owners) {
    bool fresh =
        std::none_of(before.owners.begin(), before.owners.end(), [&](const Owner& o) { return o.uid == owner.uid; });
    if (!fresh) continue;
    auto node = nodes_.find(owner.uid);
    look = look || !owner_seen(owner.uid, metadata.namespace_) ||
           (node != nodes_.end() && node->second.deleting_foreground);
  }
  if (look) work.attempt.push_back(metadata.uid);
  if (now.deleting_foreground && !before.deleting_foreground) {
    for (const Node& dependent : dependents_of(metadata.uid)) work.attempt.push_back(dependent.uid);
    work.attempt.push_back(metadata.uid);
  }
  if (now.deleting_orphan && !before.deleting_orphan) work.orphan.push_back(metadata.uid);

  drop_node(uid);
  if (now.owners.empty() && !now.deleting_foreground && !now.deleting_orphan) return work;
  now.resource = resource;
  now.namespace_ = metadata.namespace_;
  now.name = metadata.name;
  now.uid = metadata.uid;
  link(uid, now);
  nodes_.emplace(uid, std::move(now));
  return work;
}

Work Graph::forget(const Uid& uid) {
  Work work;
  present_.erase(uid);
  if (auto it = nodes_.find(uid); it != nodes_.end()) {
    for (const Owner& owner : it->second.owners) {
      auto node = nodes_.find(owner.uid);
      if (node != nodes_.end() && node->second.deleting_foreground) work.attempt.push_back(node->second.uid);
    }
    drop_node(uid);
  }
  if (auto it = dependents_.find(uid); it != dependents_.end()) {
    for (const Uid& dependent : it->second) {
      if (auto node = nodes_.find(dependent); node != nodes_.end()) work.attempt.push_back(node->second.uid);
    }
  }
  return work;
}

Work Graph::forget(std::string_view uid) {
  return forget(Uid::of(uid));
}

Work Graph::keep_only(uint32_t resource, const UidSet& seen) {
  std::vector<Uid> lost;
  for (const auto& [uid, of] : present_) {
    if (of.resource == resource && !seen.contains(uid)) lost.push_back(uid);
  }
  Work work;
  for (const Uid& uid : lost) {
    Work more = forget(uid);
    work.attempt.insert(work.attempt.end(), more.attempt.begin(), more.attempt.end());
  }
  return work;
}

std::vector<std::string> Graph::with_absent_owners() const {
  std::vector<std::string> out;
  for (const auto& [uid, node] : nodes_) {
    bool absent = std::any_of(node.owners.begin(), node.owners.end(),
                              [&](const Owner& owner) { return !owner_seen(owner.uid, node.namespace_); });
    if (absent) out.push_back(node.uid);
  }
  return out;
}

const Node* Graph::find(std::string_view uid) const {
  auto it = nodes_.find(Uid::of(uid));
  return it == nodes_.end() ? nullptr : &it->second;
}

std::vector<Node> Graph::dependents_of(std::string_view uid) const {
  std::vector<Node> out;
  auto it = dependents_.find(Uid::of(uid));
  if (it == dependents_.end()) return out;
  for (const Uid& dependent : it->second) {
    if (auto node = nodes_.find(dependent); node != nodes_.end()) out.push_back(node->second);
  }
  return out;
}

std::vector<Node> Graph::blocking_dependents_of(std::string_view uid) const {
  std::vector<Node> out = dependents_of(uid);
  Uid owner = Uid::of(uid);
  std::erase_if(out, [&](const Node& node) {
    return std::none_of(node.owners.begin(), node.owners.end(),
                        [&](const Owner& o) { return o.uid == owner && o.blocks; });
  });
  return out;
}

}  // namespace redoubt::controllers::garbage
