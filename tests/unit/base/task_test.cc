#include "base/task.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "base/blocking.h"
#include "base/event.h"

using namespace redoubt;
using namespace std::chrono_literals;

namespace {

// Runs one task to its end on a loop of its own.
void run(std::function<Task<void>(Executor)> body) {
  boost::asio::io_context loop;
  Scope scope(loop.get_executor(), "test");
  scope.spawn(body(loop.get_executor()));
  loop.run();
  wait_for_blocking();
}

Task<void> wait_for_ever(bool& ended) {
  struct Guard {
    bool& ended;
    ~Guard() { ended = true; }
  } guard{ended};
  co_await sleep_for(1h);
}

Task<void> wait_for(Event& event, int& woken) {
  co_await event.wait();
  ++woken;
}

Task<void> joins(Executor executor, bool& ended) {
  Scope scope(executor, "child");
  scope.spawn(wait_for_ever(ended));
  co_await sleep_for(1ms);
  EXPECT_EQ(scope.running(), 1u);
  co_await scope.join();
  EXPECT_EQ(scope.running(), 0u);
}

Task<void> spawns_after_cancel(Executor executor, bool& ended) {
  Scope scope(executor, "child");
  scope.cancel();
  scope.spawn(wait_for_ever(ended));
  co_await scope.wait_idle();
}

Task<void> notifies(Executor executor, int& woken) {
  Event event(executor);
  Scope scope(executor, "child");
  for (int i = 0; i < 3; ++i) scope.spawn(wait_for(event, woken));
  co_await sleep_for(1ms);
  event.notify();
  co_await scope.wait_idle();
  EXPECT_FALSE(co_await event.wait_for(1ms));
  scope.spawn([](Event& e) -> Task<void> {
    co_await sleep_for(1ms);
    e.notify();
  }(event));
  EXPECT_TRUE(co_await event.wait_for(10s));
  co_await scope.wait_idle();
}

Task<void> blocks(std::thread::id loop_thread) {
  auto other = co_await run_blocking([] { return std::this_thread::get_id(); });
  EXPECT_NE(other, loop_thread);
  EXPECT_EQ(std::this_thread::get_id(), loop_thread);
  bool caught = false;
  try {
    co_await run_blocking([]() -> int { throw std::runtime_error("x"); });
  } catch (const std::runtime_error&) {
    caught = true;
  }
  EXPECT_TRUE(caught);
}

}  // namespace

TEST(Scope, JoinCancelsAndWaits) {
  bool ended = false;
  run([&](Executor e) { return joins(e, ended); });
  EXPECT_TRUE(ended);
}

TEST(Scope, NeverStartsWhatIsSpawnedAfterCancel) {
  bool ended = false;
  run([&](Executor e) { return spawns_after_cancel(e, ended); });
  EXPECT_FALSE(ended);
}

TEST(Event, WakesAllWaitersAndTimesOut) {
  int woken = 0;
  run([&](Executor e) { return notifies(e, woken); });
  EXPECT_EQ(woken, 3);
}

TEST(Blocking, RunsElsewhereAndComesBack) {
  run([](Executor) { return blocks(std::this_thread::get_id()); });
}

TEST(Scope, CancelBeforeTheFirstStepNeverStartsTheTask) {
  boost::asio::io_context loop(1);
  Scope scope(loop.get_executor(), "test");
  bool ran = false;
  scope.spawn([](bool& flag) -> Task<void> {
    flag = true;
    co_await sleep_for(std::chrono::hours(1));
  }(ran));
  scope.cancel();
  loop.run();  // neither sleeps nor throws
  EXPECT_FALSE(ran);
  EXPECT_EQ(scope.running(), 0u);
}

TEST(Scope, TaskThatCancelsItselfWithoutEverWaitingEnds) {
  boost::asio::io_context loop(1);
  Scope scope(loop.get_executor(), "test");
  scope.spawn([](Scope& self) -> Task<void> {
    self.cancel();
    co_return;
  }(scope));
  loop.run();
  EXPECT_EQ(scope.running(), 0u);
}
