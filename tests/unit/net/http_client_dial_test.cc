// Many requests to a backend that can't be reached: each gets its error, none waits for another's dial.
#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "net/http_client.h"
#include "net/tls.h"

using namespace redoubt;
using namespace redoubt::net;
using namespace std::chrono_literals;

namespace {

Task<void> ask(HttpClient& client, int& failed) {
  ClientRequest request;
  auto response = co_await client.send(std::move(request));
  EXPECT_FALSE(response);
  if (!response) EXPECT_EQ(response.error().message(), "i/o timeout");
  ++failed;
}

// 50 requests at once by dials that fail after 200 ms each; how many dials there were.
int ask_in_vain(bool tls) {
  boost::asio::io_context loop(1);
  Scope scope(loop.get_executor(), "test");
  int dials = 0, failed = 0;
  HttpClient::Options options;
  options.host = "backend:1";
  if (tls) options.tls = TlsClientContext::make({}).value();
  options.dial = [&dials]() -> Task<Result<StreamPtr>> {
    ++dials;
    co_await sleep_for(200ms);
    co_return service_unavailable("i/o timeout");
  };
  auto client = HttpClient::make(loop.get_executor(), std::move(options));
  auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 50; ++i) scope.spawn(ask(*client, failed));
  loop.run();
  EXPECT_EQ(failed, 50);
  EXPECT_LT(std::chrono::steady_clock::now() - began, 2s);
  return dials;
}

}  // namespace

TEST(HttpClientDial, EachDialsForItselfWhereOneConnectionServesOneRequest) {
  EXPECT_EQ(ask_in_vain(false), 50);
}

TEST(HttpClientDial, AFailedDialIsTheFailureOfAllWhoWaitedForIt) {
  EXPECT_EQ(ask_in_vain(true), 1);
}
