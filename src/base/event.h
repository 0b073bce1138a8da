// Wake-ups between coroutines: the two small signals that everything else is built from.
#pragma once
#include <chrono>
#include <memory>

#include "base/task.h"

namespace redoubt {

// A flag that coroutines of one loop wait for. notify() wakes every waiter; a wait that starts later sleeps until the
// next notify(). Use from its loop's thread only. Waiting is cancellable.
class Event {
 public:
  explicit Event(Executor executor);
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void notify();
  Task<void> wait();
  // False when `timeout` passed first.
  Task<bool> wait_for(std::chrono::nanoseconds timeout);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace redoubt
