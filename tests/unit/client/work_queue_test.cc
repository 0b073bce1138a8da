#include "client/work_queue.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <vector>

namespace redoubt::client {
namespace {

using namespace std::chrono_literals;

TEST(WorkQueue, TheEarliestTimerOfAKeyCounts) {
  boost::asio::io_context loop;
  std::vector<std::chrono::milliseconds> ran;
  auto began = std::chrono::steady_clock::now();
  WorkQueue queue(loop.get_executor(), "test", [&](std::string) -> Task<Result<WorkQueue::Outcome>> {
    ran.push_back(std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - began));
    co_return WorkQueue::Outcome{};
  });
  Scope scope(loop.get_executor());
  scope.spawn(queue.run());
  queue.add_after("k", 10'000ms);
  queue.add_after("k", 20ms);
  queue.add_after("k", 5'000ms);
  loop.run_for(200ms);
  ASSERT_EQ(ran.size(), 1u);
  EXPECT_LT(ran[0], 150ms);
}

TEST(WorkQueue, AKeyAddedWhileItIsWorkedOnRunsOnceMore) {
  boost::asio::io_context loop;
  int runs = 0;
  WorkQueue* self = nullptr;
  WorkQueue queue(loop.get_executor(), "test", [&](std::string key) -> Task<Result<WorkQueue::Outcome>> {
    if (++runs == 1) {
      self->add(key);
      self->add(key);
    }
    co_await sleep_for(1ms);
    co_return WorkQueue::Outcome{};
  });
  self = &queue;
  Scope scope(loop.get_executor());
  scope.spawn(queue.run());
  queue.add("k");
  loop.run_for(100ms);
  EXPECT_EQ(runs, 2);
}

}  // namespace
}  // namespace redoubt::client
