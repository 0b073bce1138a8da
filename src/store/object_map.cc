#include "store/object_map.h"

#include <algorithm>

namespace redoubt::store {

namespace {

constexpr size_t kMaxChunk = 128;  // objects; one is copied for each changed one

// The chunk that holds `key` or would: the last whose first key is not greater.
template <class Chunks>
size_t find_chunk(const Chunks& chunks, std::string_view key) {
  auto it = std::upper_bound(chunks.begin(), chunks.end(), key,
                             [](std::string_view k, const auto& chunk) { return k < chunk->front()->key; });
  return it == chunks.begin() ? 0 : static_cast<size_t>(it - chunks.begin()) - 1;
}

template <class Chunk>
auto lower_bound_in(Chunk& chunk, std::string_view key) {
  return std::lower_bound(chunk.begin(), chunk.end(), key,
                          [](const ObjectPtr& o, std::string_view k) { return o->key < k; });
}

}  // namespace

ObjectPtr ObjectMap::find(std::string_view key) const {
  if (chunks_.empty()) return nullptr;
  const Chunk& chunk = *chunks_[find_chunk(chunks_, key)];
  auto it = lower_bound_in(chunk, key);
  return it != chunk.end() && (*it)->key == key ? *it : nullptr;
}

void ObjectMap::visit(std::string_view prefix, std::string_view from,
                      const std::function<bool(const ObjectPtr&)>& visit) const {
  if (chunks_.empty()) return;
  std::string_view start = from > prefix ? from : prefix;
  size_t i = find_chunk(chunks_, start);
  auto it = lower_bound_in(*chunks_[i], start);
  for (;; ++it) {
    if (it == chunks_[i]->end()) {
      if (++i == chunks_.size()) return;
      it = chunks_[i]->begin();
    }
    if (!std::string_view((*it)->key).starts_with(prefix)) return;
    if (!visit(*it)) return;
  }
}

std::vector<ObjectPtr>& ObjectMapBuilder::own(size_t i) {
  if (!owned_[i]) {
    map_.chunks_[i] = std::make_shared<const ObjectMap::Chunk>(*map_.chunks_[i]);
    owned_[i] = true;
  }
  // Owned chunks were made here and are not published yet.
  return const_cast<ObjectMap::Chunk&>(*map_.chunks_[i]);
}

size_t ObjectMapBuilder::chunk_for(std::string_view key) const {
  return find_chunk(map_.chunks_, key);
}

void ObjectMapBuilder::put(ObjectPtr object) {
  if (map_.chunks_.empty()) {
    map_.chunks_.push_back(std::make_shared<const ObjectMap::Chunk>(ObjectMap::Chunk{std::move(object)}));
    owned_.push_back(true);
    map_.size_ = 1;
    return;
  }
  size_t i = chunk_for(object->key);
  auto& chunk = own(i);
  auto it = lower_bound_in(chunk, object->key);
  if (it != chunk.end() && (*it)->key == object->key) {
    *it = std::move(object);
    return;
  }
  bool at_end = it == chunk.end() && i + 1 == map_.chunks_.size();
  chunk.insert(it, std::move(object));
  ++map_.size_;
  if (chunk.size() <= kMaxChunk) return;
  // Keys often ascend: then the full chunk stays full and a new one begins.
  size_t keep = at_end ? chunk.size() - 1 : chunk.size() / 2;
  auto right = std::make_shared<const ObjectMap::Chunk>(chunk.begin() + static_cast<ptrdiff_t>(keep), chunk.end());
  chunk.resize(keep);
  map_.chunks_.insert(map_.chunks_.begin() + static_cast<ptrdiff_t>(i) + 1, std::move(right));
  owned_.insert(owned_.begin() + static_cast<ptrdiff_t>(i) + 1, true);
}

void ObjectMapBuilder::erase(std::string_view key) {
  if (map_.chunks_.empty()) return;
  size_t i = chunk_for(key);
  auto probe = lower_bound_in(*map_.chunks_[i], key);
  if (probe == map_.chunks_[i]->end() || (*probe)->key != key) return;
  auto& chunk = own(i);
  chunk.erase(lower_bound_in(chunk, key));
  --map_.size_;
  if (chunk.empty()) {
    map_.chunks_.erase(map_.chunks_.begin() + static_cast<ptrdiff_t>(i));
    owned_.erase(owned_.begin() + static_cast<ptrdiff_t>(i));
  }
}

}  // namespace redoubt::store
