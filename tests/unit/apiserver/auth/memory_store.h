// A store of which only the snapshots work: what authentication and authorization read.
#pragma once
#include <map>
#include <memory>
#include <string>

#include "schema/typed.h"
#include "schema/value.h"
#include "store/store.h"

namespace redoubt::apiserver {

class MemorySnapshot : public store::Snapshot {
 public:
  std::map<std::string, store::ObjectPtr, std::less<>> objects;
  store::Revision revision() const override { return 1; }
  size_t size() const override { return objects.size(); }
  const void* identity() const override { return this; }
  store::ObjectPtr find(std::string_view key) const override {
    auto it = objects.find(key);
    return it == objects.end() ? nullptr : it->second;
  }
  void visit(std::string_view prefix, std::string_view,
             const std::function<bool(const store::ObjectPtr&)>& visit) const override {
    for (auto it = objects.lower_bound(prefix); it != objects.end() && it->first.starts_with(prefix); ++it) {
      if (!visit(it->second)) return;
    }
  }
};

class MemoryStore : public store::Store {
 public:
  // Puts an object given as JSON; its name, namespace, uid, labels and spec.nodeName are read off it.
  void put(const std::string& resource, const std::string& json) {
    schema::Arena arena;
    auto value = schema::parse_json(json, arena);
    auto object = std::make_shared<store::Object>();
    object->name = value->get({"metadata", "name"}).as_string();
    object->namespace_ = value->get({"metadata", "namespace"}).as_string();
    object->uid = value->get({"metadata", "uid"}).as_string();
    object->key =
        "/registry/" + resource + "/" + (object->namespace_.empty() ? "" : object->namespace_ + "/") + object->name;
    object->fields.emplace_back("spec.nodeName", value->get({"spec", "nodeName"}).as_string());
    for (const schema::Member& label : schema::members(value->get({"metadata", "labels"})))
      object->labels.emplace_back(label.key, label.value.as_string());
    object->json = Bytes::copy(json);
    object->revision = ++revision_;
    auto next = std::make_shared<MemorySnapshot>(*current(resource));
    next->objects[object->key] = object;
    snapshots_[resource] = next;
  }
  void remove(const std::string& resource, const std::string& key) {
    auto next = std::make_shared<MemorySnapshot>(*current(resource));
    next->objects.erase(key);
    snapshots_[resource] = next;
  }
  Task<std::expected<store::Committed, store::CommitError>> commit(store::Write) override {
    co_return std::unexpected(store::CommitError{store::CommitFailure::Unavailable, "read only", nullptr});
  }
  store::SnapshotPtr snapshot(std::string_view resource) const override { return current(std::string(resource)); }
  Result<store::SnapshotPtr> snapshot_at(std::string_view, store::Revision) const override {
    return gone("no history");
  }
  Result<std::unique_ptr<store::Cursor>> watch(std::string_view, store::Revision) override { return gone("no log"); }
  store::Revision current_revision() const override { return revision_; }
  Task<Result<void>> compact(store::Revision) override { co_return Result<void>{}; }
  Result<void> healthy() const override { return {}; }

 private:
  std::shared_ptr<const MemorySnapshot> current(const std::string& resource) const {
    auto& snapshot = snapshots_[resource];
    if (!snapshot) snapshot = std::make_shared<MemorySnapshot>();
    return snapshot;
  }
  mutable std::map<std::string, std::shared_ptr<const MemorySnapshot>> snapshots_;
  store::Revision revision_ = 0;
};

}  // namespace redoubt::apiserver
