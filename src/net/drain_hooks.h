// How a winding-up server reaches its connections. Belongs to one loop.
#pragma once
#include <functional>
#include <list>
#include <memory>

namespace redoubt::net {

// The connections of one loop that want to know when the server winds up. Belongs to that loop.
struct DrainHooks {
  using List = std::list<std::function<void()>>;
  List hooks;
  bool draining = false;

  void drain() {
    draining = true;
    auto all = hooks;  // a hook may end its connection, which takes it off the list
    for (auto& hook : all) hook();
  }
};

class DrainHook {
 public:
  DrainHook(std::shared_ptr<DrainHooks> hooks, std::function<void()> hook) : hooks_(std::move(hooks)) {
    if (hooks_->draining) hook();
    place_ = hooks_->hooks.insert(hooks_->hooks.end(), std::move(hook));
  }
  ~DrainHook() { hooks_->hooks.erase(place_); }
  DrainHook(const DrainHook&) = delete;
  DrainHook& operator=(const DrainHook&) = delete;

 private:
  std::shared_ptr<DrainHooks> hooks_;
  DrainHooks::List::iterator place_;
};

}  // namespace redoubt::net
