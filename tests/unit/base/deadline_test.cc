#include "base/deadline.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

using namespace redoubt;
using namespace std::chrono_literals;

namespace {

Task<void> one_step() {
  co_await boost::asio::post(co_await boost::asio::this_coro::executor, boost::asio::use_awaitable);
}

Task<void> for_ever(size_t& rounds) {
  while (true) {
    co_await finish_within(1h, one_step());
    ++rounds;
  }
}

TEST(Deadline, ACancellationIsNeverLostWheneverItComes) {
  for (int steps = 0; steps < 60; ++steps) {
    boost::asio::io_context loop(1);
    Scope scope(loop.get_executor(), "test");
    size_t rounds = 0;
    scope.spawn(for_ever(rounds));
    for (int i = 0; i < steps; ++i) loop.run_one();
    scope.cancel();
    size_t before = rounds;
    loop.run_for(100ms);
    ASSERT_EQ(scope.running(), 0U) << "cancelled after " << steps << " steps, it went on for " << rounds - before
                                   << " rounds";
  }
}

TEST(Deadline, EndsWorkThatTakesTooLong) {
  boost::asio::io_context loop(1);
  Scope scope(loop.get_executor(), "test");
  bool in_time = true;
  scope.spawn([](bool& out) -> Task<void> { out = co_await finish_within(1ms, sleep_for(1h)); }(in_time));
  loop.run_for(10s);
  EXPECT_FALSE(in_time);
  EXPECT_EQ(scope.running(), 0U);
}

}  // namespace
