// A place among the requests under way; gives itself back.
#pragma once
#include <atomic>
#include <cstddef>
#include <utility>

namespace redoubt::apiserver {

class Seat {
 public:
  Seat() = default;
  // `count` outlives the seat.
  explicit Seat(std::atomic<size_t>& count) : count_(&count), number_(count.fetch_add(1) + 1) {}
  Seat(Seat&& other) noexcept : count_(std::exchange(other.count_, nullptr)), number_(other.number_) {}
  Seat& operator=(Seat&& other) noexcept {
    std::swap(count_, other.count_);
    std::swap(number_, other.number_);
    return *this;
  }
  ~Seat() {
    if (count_ != nullptr) count_->fetch_sub(1);
  }
  // How many were taken when this one was, itself included.
  size_t number() const { return number_; }

 private:
  std::atomic<size_t>* count_ = nullptr;
  size_t number_ = 0;
};

}  // namespace redoubt::apiserver
