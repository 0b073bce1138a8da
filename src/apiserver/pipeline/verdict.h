// What a step of the pipeline says: go on, the error to answer with, or a task to wait for that says which.
//
// Nearly every step of nearly every request decides at once, so a step is a plain function: only one that has to ask
// somebody else (a webhook, an issuer, a queue) makes a coroutine.
#pragma once
#include <optional>
#include <utility>

#include "base/status.h"
#include "base/task.h"

namespace redoubt::apiserver {

// A value that is there, or that a task will bring.
template <class T>
class Pending {
 public:
  Pending(T now) : now_(std::move(now)) {}                         // NOLINT(google-explicit-constructor)
  Pending(Task<T> later) : later_(std::move(later)) {}             // NOLINT(google-explicit-constructor)
  Pending(Error error) : now_(std::in_place, std::move(error)) {}  // NOLINT(google-explicit-constructor)
  bool is_here() const { return now_.has_value(); }
  // When is_here().
  T& value() { return *now_; }
  // Otherwise; once.
  Task<T> task() { return std::move(*later_); }

 private:
  std::optional<T> now_;
  std::optional<Task<T>> later_;
};

class Verdict : public Pending<Result<void>> {
 public:
  using Pending::Pending;
  Verdict() : Pending(Result<void>{}) {}
};

}  // namespace redoubt::apiserver
