#include "base/blocking.h"

#include <atomic>
#include <boost/asio/thread_pool.hpp>

namespace redoubt {

namespace {

std::atomic<size_t> unfinished{0};

}  // namespace

void post_blocking(std::function<void()> work) {
  static boost::asio::thread_pool pool(4);
  unfinished.fetch_add(1);
  boost::asio::post(pool, [work = std::move(work)]() mutable {
    work();
    work = nullptr;
    if (unfinished.fetch_sub(1) == 1) unfinished.notify_all();
  });
}

void wait_for_blocking() {
  while (size_t left = unfinished.load()) unfinished.wait(left);
}

}  // namespace redoubt
