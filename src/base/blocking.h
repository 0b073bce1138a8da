// Runs blocking calls (files, name look-ups, fork and exec) on a small pool of threads, so that no loop ever waits.
#pragma once
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <optional>
#include <type_traits>

#include "base/task.h"

namespace redoubt {

// Queues `work` on the blocking pool (four threads, started on first use). Any thread.
void post_blocking(std::function<void()> work);

// Waits until the pool has nothing queued and nothing running. Whoever is about to destroy a loop calls it: a job wakes
// its loop as the last thing it does, and the loop must be there until that has returned. Not from the pool's threads.
void wait_for_blocking();

// Suspends until `work()` has run on the blocking pool, and returns its value on the caller's loop. `work` is moved
// there: it must not touch anything that belongs to a loop. Not cancellable: it always waits for the end. Exceptions of
// `work` are rethrown here.
template <class Work>
Task<std::invoke_result_t<Work>> run_blocking(Work work) {
  using T = std::invoke_result_t<Work>;
  Executor executor = co_await boost::asio::this_coro::executor;
  std::exception_ptr failure;
  if constexpr (std::is_void_v<T>) {
    co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>&, void()>(
        [&](auto handler) {
          auto shared = std::make_shared<decltype(handler)>(std::move(handler));
          post_blocking([&, shared] {
            try {
              work();
            } catch (...) {
              failure = std::current_exception();
            }
            boost::asio::post(executor, [shared] { std::move (*shared)(); });
          });
        },
        boost::asio::use_awaitable);
    if (failure) std::rethrow_exception(failure);
  } else {
    std::optional<T> value;
    co_await boost::asio::async_initiate<const boost::asio::use_awaitable_t<>&, void()>(
        [&](auto handler) {
          auto shared = std::make_shared<decltype(handler)>(std::move(handler));
          post_blocking([&, shared] {
            try {
              value.emplace(work());
            } catch (...) {
              failure = std::current_exception();
            }
            boost::asio::post(executor, [shared] { std::move (*shared)(); });
          });
        },
        boost::asio::use_awaitable);
    if (failure) std::rethrow_exception(failure);
    co_return std::move(*value);
  }
}

}  // namespace redoubt
