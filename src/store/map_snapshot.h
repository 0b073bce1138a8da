// A resource at one revision, as an immutable map. Any thread.
#pragma once
#include <memory>

#include "store/object_map.h"
#include "store/store.h"

namespace redoubt::store {

class MapSnapshot : public Snapshot {
 public:
  MapSnapshot(std::shared_ptr<const ObjectMap> map, Revision revision) : map_(std::move(map)), revision_(revision) {}
  Revision revision() const override { return revision_; }
  size_t size() const override { return map_->size(); }
  ObjectPtr find(std::string_view key) const override { return map_->find(key); }
  void visit(std::string_view prefix, std::string_view from,
             const std::function<bool(const ObjectPtr&)>& v) const override {
    map_->visit(prefix, from, v);
  }
  const void* identity() const override { return map_.get(); }

 private:
  std::shared_ptr<const ObjectMap> map_;
  Revision revision_;
};

}  // namespace redoubt::store
