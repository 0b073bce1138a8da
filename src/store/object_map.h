// The persistent ordered map behind snapshots: sorted chunks of objects under one vector, copied on write, shared
// between versions.
//
// A version is immutable and cheap to keep. A batch of changes copies the vector once and each touched chunk once; a
// list walks contiguous arrays. Versions may be read from any thread; a Builder belongs to one.
#pragma once
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "store/store.h"

namespace redoubt::store {

class ObjectMap {
 public:
  size_t size() const { return size_; }
  ObjectPtr find(std::string_view key) const;
  void visit(std::string_view prefix, std::string_view from, const std::function<bool(const ObjectPtr&)>& visit) const;

 private:
  friend class ObjectMapBuilder;
  using Chunk = std::vector<ObjectPtr>;
  std::vector<std::shared_ptr<const Chunk>> chunks_;  // none is empty; keys ascend over all of them
  size_t size_ = 0;
};

// Applies changes to a version; the chunks it already copied are changed in place.
class ObjectMapBuilder {
 public:
  explicit ObjectMapBuilder(const ObjectMap& base) : map_(base), owned_(base.chunks_.size(), false) {}
  ObjectPtr find(std::string_view key) const { return map_.find(key); }
  void put(ObjectPtr object);
  void erase(std::string_view key);
  ObjectMap take() { return std::move(map_); }

 private:
  std::vector<ObjectPtr>& own(size_t i);
  size_t chunk_for(std::string_view key) const;
  ObjectMap map_;
  std::vector<bool> owned_;
};

}  // namespace redoubt::store
