// Lines that a stranger can cause by the thousand: the first few are logged, then one now and then, so that neither the
// log nor the disk is theirs to fill. Any thread.
#pragma once
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>

namespace redoubt {

class LogAllowance {
 public:
  using Clock = std::chrono::steady_clock;
  LogAllowance(double burst, double per_second) : burst_(burst), per_second_(per_second), left_(burst) {}

  // How many lines were left out since the last one, when the line at hand may be logged; nullopt when it may not.
  std::optional<uint64_t> take(Clock::time_point present = Clock::now()) {
    std::lock_guard lock(mutex_);
    left_ = std::min(burst_, left_ + std::chrono::duration<double>(present - last_).count() * per_second_);
    last_ = present;
    if (left_ < 1) {
      ++left_out_;
      return std::nullopt;
    }
    left_ -= 1;
    return std::exchange(left_out_, 0);
  }

 private:
  const double burst_, per_second_;
  std::mutex mutex_;
  double left_;
  Clock::time_point last_ = Clock::now();
  uint64_t left_out_ = 0;
};

}  // namespace redoubt
