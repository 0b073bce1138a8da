#include "net/loop.h"

#include <pthread.h>

#include <boost/asio/executor_work_guard.hpp>

#include "base/blocking.h"
#include "base/log.h"

namespace redoubt::net {

namespace asio = boost::asio;

LoopPool::LoopPool(size_t count, const char* name) {
  for (size_t i = 0; i < count; ++i) loops_.push_back(std::make_unique<asio::io_context>(1));
  for (size_t i = 0; i < count; ++i) {
    threads_.emplace_back([this, i, name] {
      pthread_setname_np(pthread_self(), fmt::format("{}-{}", name, i).substr(0, 15).c_str());
      auto work = asio::make_work_guard(*loops_[i]);
      loops_[i]->run();
    });
  }
}

LoopPool::~LoopPool() {
  stop();
  wait_for_blocking();
}

void LoopPool::stop() {
  for (auto& loop : loops_) loop->stop();
  for (auto& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void run_until_done(std::function<Task<void>()> task) {
  asio::io_context loop(1);
  Scope scope(loop.get_executor(), "main");
  scope.spawn(task());
  loop.run();
  wait_for_blocking();
}

}  // namespace redoubt::net
