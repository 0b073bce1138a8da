#include "net/stream.h"

#include <gtest/gtest.h>

#include "net/loop.h"

using namespace redoubt;

namespace {

Task<void> write_and_reuse(std::string& got) {
  auto executor = co_await boost::asio::this_coro::executor;
  auto [a, b] = net::make_pipe(executor);
  {
    // As TLS does it: one buffer for all writes, lent for the time of each.
    std::string buffer = "first";
    BytesList pieces{Bytes::of_static(buffer)};
    EXPECT_TRUE(co_await a->write(std::move(pieces)));
    buffer = "other";
  }
  EXPECT_TRUE(co_await a->shutdown_write());
  auto all = co_await net::read_to_end(*b, 100);
  got = all ? *all : all.error().message();
}

}  // namespace

TEST(Pipe, KeepsNoMemoryThatWasOnlyLentForTheWrite) {
  std::string got;
  net::run_until_done([&]() -> Task<void> { return write_and_reuse(got); });
  EXPECT_EQ(got, "first");
}
