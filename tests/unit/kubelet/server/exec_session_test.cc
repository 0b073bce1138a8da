#include "kubelet/server/exec_session.h"

#include <gtest/gtest.h>

#include <boost/asio/this_coro.hpp>

#include "net/loop.h"

using namespace redoubt;
using namespace std::chrono_literals;

namespace {

BytesList text(std::string_view what) {
  return BytesList{Bytes::of_static(what)};
}

// A session over two pipes: `client` and `runtime` are the ends of those who talk through it.
struct Talk {
  net::StreamPtr client, runtime;
  std::unique_ptr<Scope> session;
};

Task<Talk> begin(std::chrono::milliseconds abandoned) {
  auto executor = co_await boost::asio::this_coro::executor;
  auto [client, near_client] = net::make_pipe(executor, 4096);
  auto [runtime, near_runtime] = net::make_pipe(executor, 4096);
  Talk talk{std::move(client), std::move(runtime), std::make_unique<Scope>(executor, "session")};
  talk.session->spawn(kubelet::carry_exec(std::move(near_client), std::move(near_runtime), abandoned));
  co_return talk;
}

Task<void> both_ways() {
  Talk talk = co_await begin(10s);
  EXPECT_TRUE(co_await talk.client->write(text("in")));
  EXPECT_TRUE(co_await talk.client->shutdown_write());
  auto in = co_await net::read_to_end(*talk.runtime, 100);
  EXPECT_EQ(in.value_or("?"), "in");
  EXPECT_TRUE(co_await talk.runtime->write(text("out")));
  EXPECT_TRUE(co_await talk.runtime->shutdown_write());
  auto out = co_await net::read_to_end(*talk.client, 100);
  EXPECT_EQ(out.value_or("?"), "out");
  co_await talk.session->wait_idle();
}

Task<void> client_goes_while_the_command_writes() {
  Talk talk = co_await begin(10s);
  // More than all buffers on the way hold: without a reader the command would wait for ever.
  static const std::string kMuch(4096, 'x');
  talk.session->spawn([](Talk& t) -> Task<void> {
    for (int i = 0; i < 100; ++i) {
      EXPECT_TRUE(co_await t.runtime->write(text(kMuch)));
    }
    EXPECT_TRUE(co_await t.runtime->shutdown_write());
  }(talk));
  co_await sleep_for(10ms);
  talk.client->abort();
  auto rest = co_await net::read_to_end(*talk.runtime, 100);
  EXPECT_EQ(rest.value_or("?"), "") << "its input ends, rather than that it is cut off";
  co_await talk.session->wait_idle();
}

Task<void> client_goes_and_the_command_does_not() {
  Talk talk = co_await begin(50ms);
  talk.client->abort();
  auto began = std::chrono::steady_clock::now();
  while (true) {
    if (!co_await talk.runtime->write(text("y\n"))) break;
    co_await sleep_for(1ms);
    if (std::chrono::steady_clock::now() - began > 10s) break;
  }
  EXPECT_LT(std::chrono::steady_clock::now() - began, 10s);
  co_await talk.session->wait_idle();
}

Task<void> runtime_breaks_off() {
  Talk talk = co_await begin(10s);
  talk.runtime->abort();
  auto rest = co_await net::read_to_end(*talk.client, 100);
  EXPECT_FALSE(rest.has_value()) << "no clean end where there was none";
  co_await talk.session->wait_idle();
}

Task<void> is_cancelled() {
  Talk talk = co_await begin(10s);
  co_await sleep_for(1ms);
  co_await talk.session->join();
  EXPECT_FALSE(co_await talk.client->write(text("x")));
  EXPECT_FALSE(co_await talk.runtime->write(text("x")));
}

}  // namespace

TEST(ExecSession, CarriesBothDirectionsToTheirEnds) {
  net::run_until_done([] { return both_ways(); });
}
TEST(ExecSession, ACommandGoesOnToItsEndWithoutItsClient) {
  net::run_until_done([] { return client_goes_while_the_command_writes(); });
}
TEST(ExecSession, ACommandThatNeverEndsIsCutOffInTime) {
  net::run_until_done([] { return client_goes_and_the_command_does_not(); });
}
TEST(ExecSession, ABrokenRuntimeIsNoEndOfOutput) {
  net::run_until_done([] { return runtime_breaks_off(); });
}
TEST(ExecSession, IsCancelledAtOnce) {
  net::run_until_done([] { return is_cancelled(); });
}
