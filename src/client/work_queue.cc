#include "client/work_queue.h"

#include <deque>
#include <map>
#include <set>

#include "base/event.h"
#include "base/log.h"

namespace redoubt::client {

namespace {
constexpr std::chrono::milliseconds kFirstBackoff{5}, kLongestBackoff{1'000'000};
}

struct WorkQueue::State {
  State(Executor e, const char* n, Reconcile r, size_t w)
      : executor(e), name(n), reconcile(std::move(r)), workers(w), grown(e), delays(e, n) {}
  Executor executor;
  const char* name;
  Reconcile reconcile;
  size_t workers;
  std::deque<std::string> ready;
  std::set<std::string> waiting;  // in ready
  std::set<std::string> active;
  std::set<std::string> again;  // added while active
  std::map<std::string, int> failures;
  std::map<std::string, std::chrono::steady_clock::time_point> delayed;  // the earliest timer of each key
  Event grown;
  Scope delays;

  void add(std::string key) {
    if (active.contains(key)) {
      again.insert(std::move(key));
      return;
    }
    if (!waiting.insert(key).second) return;
    ready.push_back(std::move(key));
    grown.notify();
  }
};

WorkQueue::WorkQueue(Executor executor, const char* name, Reconcile reconcile, size_t workers)
    : state_(std::make_shared<State>(executor, name, std::move(reconcile), workers)) {}
WorkQueue::~WorkQueue() {
  state_->delays.cancel();
}

void WorkQueue::add(std::string key) {
  state_->add(std::move(key));
}
size_t WorkQueue::length() const {
  return state_->ready.size();
}

void WorkQueue::add_after(std::string key, std::chrono::milliseconds delay) {
  auto due = std::chrono::steady_clock::now() + delay;
  // The earliest timer of a key counts; a later one is not needed: whoever works on the key then says when again.
  auto [it, fresh] = state_->delayed.try_emplace(key, due);
  if (!fresh && it->second <= due) return;
  it->second = due;
  state_->delays.spawn([](std::weak_ptr<State> weak, std::string k, std::chrono::steady_clock::time_point at,
                          std::chrono::milliseconds d) -> Task<void> {
    co_await sleep_for(d);
    auto state = weak.lock();
    if (!state) co_return;
    auto found = state->delayed.find(k);
    if (found == state->delayed.end() || found->second != at) co_return;  // an earlier one took over
    state->delayed.erase(found);
    state->add(std::move(k));
  }(state_, std::move(key), due, delay));
}

namespace {

template <class State, class Queue>
Task<void> work(std::shared_ptr<State> state, Queue* queue) {
  while (true) {
    while (state->ready.empty()) co_await state->grown.wait();
    std::string key = std::move(state->ready.front());
    state->ready.pop_front();
    state->waiting.erase(key);
    state->active.insert(key);
    auto outcome = co_await state->reconcile(key);
    state->active.erase(key);
    if (!outcome) {
      int count = std::min(state->failures[key]++, 20);
      auto delay = std::min(kFirstBackoff * (1 << count), kLongestBackoff);
      log_debug("reconcile failed", {{"queue", state->name}, {"key", key}, {"error", outcome.error().message()}});
      if (count == 5)
        log_warning("reconcile keeps failing",
                    {{"queue", state->name}, {"key", key}, {"error", outcome.error().message()}});
      queue->add_after(key, delay);
    } else {
      state->failures.erase(key);
      if (outcome->again_after) queue->add_after(key, *outcome->again_after);
    }
    if (state->again.erase(key) > 0) state->add(key);
  }
}

}  // namespace

Task<void> WorkQueue::run() {
  auto state = state_;
  Scope scope(state->executor, state->name);
  for (size_t i = 0; i < state->workers; ++i) scope.spawn(work(state, this));
  std::exception_ptr cancelled;
  try {
    co_await scope.wait_idle();
  } catch (...) {
    cancelled = std::current_exception();
  }
  co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
  co_await scope.join();
  if (cancelled) std::rethrow_exception(cancelled);
}

}  // namespace redoubt::client
