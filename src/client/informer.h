// An Informer keeps a copy of a resource up to date: list once, then watch, list again after 410 or a lost server.
//
// Objects are shared and immutable. Handlers run on the client's loop, in order, and must not block. Belongs to one
// loop.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/event.h"
#include "client/client.h"

namespace redoubt::client {

// The part that needs no type: list, watch, back-off, and telling what changed. (informer.cc)
class Reflector {
 public:
  struct Sink {
    std::function<Result<std::string>(const schema::Value& object)> upsert;  // returns the object's "namespace/name"
    std::function<void(const std::string& key)> erase;
    std::function<std::vector<std::string>()> keys;
  };
  Reflector(Client& api, const schema::Resource& resource, std::string ns, ListOptions options, Sink sink);
  Task<void> run();  // until cancelled
  bool synced() const { return synced_; }
  Task<void> wait_synced();

 private:
  Task<Result<void>> list_and_watch();
  Client& api_;
  const schema::Resource& resource_;
  std::string namespace_;
  ListOptions options_;
  Sink sink_;
  bool synced_ = false;
  Event synced_event_;
};

template <class T>
class Informer {
 public:
  using Ptr = std::shared_ptr<const T>;
  struct Handler {
    // `before` is null for an object not known until now; `after` is null for one that is gone.
    std::function<void(const Ptr& before, const Ptr& after)> changed;
  };

  // `trim` takes away of each object, before it is kept, what nobody here reads (client/trim.h).
  explicit Informer(Client& api, std::string ns = {}, ListOptions options = {}, void (*trim)(schema::Value&) = nullptr)
      : trim_(trim),
        reflector_(api, *schema::find_resource(T::kGroup, T::kVersion, T::kResource), std::move(ns), std::move(options),
                   Reflector::Sink{[this](const schema::Value& v) { return upsert(v); },
                                   [this](const std::string& key) { erase(key); },
                                   [this] {
                                     std::vector<std::string> keys;
                                     for (const auto& [key, object] : objects_) keys.push_back(key);
                                     return keys;
                                   }}) {}

  void on_change(std::function<void(const Ptr& before, const Ptr& after)> changed) {
    handlers_.push_back(Handler{std::move(changed)});
  }
  Task<void> run() { return reflector_.run(); }
  Task<void> wait_synced() { return reflector_.wait_synced(); }
  bool synced() const { return reflector_.synced(); }

  Ptr get(std::string_view ns, std::string_view name) const {
    auto it = objects_.find(key_of(ns, name));
    return it == objects_.end() ? nullptr : it->second;
  }
  Ptr get(const std::string& key) const {
    auto it = objects_.find(key);
    return it == objects_.end() ? nullptr : it->second;
  }
  // "namespace/name" ("name" when cluster-scoped) to object, ordered.
  const std::map<std::string, Ptr>& objects() const { return objects_; }
  static std::string key_of(std::string_view ns, std::string_view name) {
    return ns.empty() ? std::string(name) : std::string(ns) + "/" + std::string(name);
  }

 private:
  Result<std::string> upsert(schema::Value value) {
    if (trim_ != nullptr) trim_(value);
    RD_TRY(T object, schema::from_value<T>(value));
    std::string key = key_of(object.metadata.namespace_, object.metadata.name);
    Ptr after = std::make_shared<const T>(std::move(object));
    Ptr& slot = objects_[key];
    Ptr before = std::exchange(slot, after);
    if (!before || before->metadata.resourceVersion != after->metadata.resourceVersion) tell(before, after);
    return key;
  }
  void erase(const std::string& key) {
    auto it = objects_.find(key);
    if (it == objects_.end()) return;
    Ptr before = it->second;
    objects_.erase(it);
    tell(before, nullptr);
  }
  void tell(const Ptr& before, const Ptr& after) {
    for (const Handler& handler : handlers_) handler.changed(before, after);
  }

  void (*trim_)(schema::Value&);
  std::map<std::string, Ptr> objects_;
  std::vector<Handler> handlers_;
  Reflector reflector_;
};

}  // namespace redoubt::client
