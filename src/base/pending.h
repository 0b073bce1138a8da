// A value that is here already, or a task that will bring it.
//
// For calls that nearly always know the answer at once: the common path makes no coroutine, and only who really has to
// wait does.
//
//   auto answer = ask(question);
//   auto value = answer.is_here() ? std::move(answer.value()) : co_await answer.task();
#pragma once
#include <optional>
#include <type_traits>
#include <utility>

#include "base/task.h"

namespace redoubt {

template <class T>
class Pending {
 public:
  Pending(T now) : now_(std::move(now)) {}              // NOLINT(google-explicit-constructor)
  Pending(Task<T> later) : later_(std::move(later)) {}  // NOLINT(google-explicit-constructor)
  // From what a T can be made of: a value or an Error for a Result.
  template <class U>
    requires(std::is_convertible_v<U, T> && !std::is_same_v<std::remove_cvref_t<U>, T>)
  Pending(U&& now) : now_(std::in_place, std::forward<U>(now)) {}  // NOLINT(google-explicit-constructor)
  bool is_here() const { return now_.has_value(); }
  // When is_here().
  T& value() { return *now_; }
  // Otherwise; once.
  Task<T> task() { return std::move(*later_); }

 private:
  std::optional<T> now_;
  std::optional<Task<T>> later_;
};

}  // namespace redoubt
