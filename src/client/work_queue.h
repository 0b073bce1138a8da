// A queue of keys to reconcile: each key at most once at a time, failures again later with growing delay.
//
// A key added while it is being worked on is worked on once more afterwards. Belongs to one loop.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/status.h"
#include "base/task.h"

namespace redoubt::client {

class WorkQueue {
 public:
  // What became of one reconcile: done, or again after a delay (an error backs off by itself: 5 ms doubling to 1000 s).
  struct Outcome {
    std::optional<std::chrono::milliseconds> again_after;
  };
  using Reconcile = std::function<Task<Result<Outcome>>(std::string key)>;

  WorkQueue(Executor executor, const char* name, Reconcile reconcile, size_t workers = 4);
  ~WorkQueue();
  void add(std::string key);
  void add_after(std::string key, std::chrono::milliseconds delay);
  Task<void> run();  // until cancelled
  size_t length() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace redoubt::client
