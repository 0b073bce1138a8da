// Answers that somebody else gives (a webhook), remembered for a while. Who asks what is being asked already waits for
// that answer instead of asking again.
//
// The questions run on one loop; askers may be on any. An asker that goes away leaves the question running for the
// others.
#pragma once
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "apiserver/auth/limits.h"
#include "base/event.h"
#include "base/status.h"
#include "base/task.h"

namespace redoubt::apiserver {

template <class T>
class JoinedLookups {
 public:
  using Question = std::function<Task<Result<T>>()>;
  // How long an answer may be given again; zero: not at all. Errors never are.
  using Keep = std::function<std::chrono::milliseconds(const T&)>;

  JoinedLookups(Executor loop, Keep keep) : state_(std::make_shared<State>(loop, std::move(keep))) {}

  // An answer that is still good. Any thread.
  std::optional<T> remembered(const std::string& key) const {
    std::lock_guard lock(state_->mutex);
    auto it = state_->answers.find(key);
    if (it == state_->answers.end() || it->second.good_until < std::chrono::steady_clock::now()) return {};
    return it->second.value;
  }

  // Asks on the loop, or waits for who already does. Any loop.
  Task<Result<T>> look_up(std::string key, Question question) {
    auto state = state_;
    auto waiter = std::make_shared<Waiter>(co_await boost::asio::this_coro::executor);
    {
      std::lock_guard lock(state->mutex);
      auto it = state->under_way.find(key);
      if (it == state->under_way.end()) {
        if (state->under_way.size() >= kMaxQuestionsUnderWay)
          co_return too_many_requests("too many questions to the webhook are under way", 1);
        it = state->under_way.try_emplace(key).first;
        post(state, key, std::move(question));
      }
      it->second.push_back(waiter);
    }
    while (!waiter->outcome) co_await waiter->event.wait();
    co_return std::move(*waiter->outcome);
  }

  // Asks without waiting, unless it is being asked already. Any thread.
  void start(std::string key, Question question) {
    {
      std::lock_guard lock(state_->mutex);
      if (!state_->under_way.try_emplace(key).second) return;
    }
    post(state_, std::move(key), std::move(question));
  }

  // Ends what is being asked; askers get an error. On the loop.
  Task<void> stop() { return state_->scope.join(); }

 private:
  struct Waiter {
    explicit Waiter(Executor e) : executor(e), event(e) {}
    Executor executor;
    Event event;
    std::optional<Result<T>> outcome;  // belongs to the executor's loop
  };
  struct Answer {
    T value;
    std::chrono::steady_clock::time_point good_until;
  };
  struct State {
    State(Executor loop, Keep k) : keep(std::move(k)), scope(loop, "look-ups") {}
    const Keep keep;
    Scope scope;
    std::mutex mutex;  // guards what follows
    std::unordered_map<std::string, Answer> answers;
    std::map<std::string, std::vector<std::shared_ptr<Waiter>>> under_way;
  };
  using StatePtr = std::shared_ptr<State>;

  static void post(StatePtr state, std::string key, Question question) {
    Executor loop = state->scope.executor();
    boost::asio::post(loop, [state = std::move(state), key = std::move(key), question = std::move(question)]() mutable {
      Scope& scope = state->scope;
      scope.spawn(ask(std::move(state), std::move(key), std::move(question)));
    });
  }

  static void finish(State& state, const std::string& key, const Result<T>& outcome) {
    std::vector<std::shared_ptr<Waiter>> waiting;
    {
      std::lock_guard lock(state.mutex);
      auto it = state.under_way.find(key);
      if (it == state.under_way.end()) return;
      waiting = std::move(it->second);
      state.under_way.erase(it);
      auto keep =
          outcome && key.size() <= kMaxRememberedQuestionBytes ? state.keep(*outcome) : std::chrono::milliseconds(0);
      if (keep.count() > 0) {
        auto present = std::chrono::steady_clock::now();
        if (state.answers.size() >= kMaxRememberedAnswers)
          std::erase_if(state.answers, [&](const auto& entry) { return entry.second.good_until < present; });
        if (state.answers.size() >= kMaxRememberedAnswers) state.answers.clear();
        state.answers.insert_or_assign(key, Answer{*outcome, present + keep});
      }
    }
    for (const auto& waiter : waiting) {
      boost::asio::post(waiter->executor, [waiter, outcome] {
        waiter->outcome = outcome;
        waiter->event.notify();
      });
    }
  }

  static Task<void> ask(StatePtr state, std::string key, Question question) {
    // Also when the task is cancelled, nobody is left waiting.
    struct Always {
      State& state;
      const std::string& key;
      ~Always() { finish(state, key, service_unavailable("the server is stopping")); }
    } always{*state, key};
    finish(*state, key, co_await question());
  }

  StatePtr state_;
};

}  // namespace redoubt::apiserver
