#include "egress/ssh/session.h"

#include <gtest/gtest.h>

#include "base/deadline.h"
#include "net/loop.h"
#include "sshd.h"

using namespace redoubt;
using namespace redoubt::egress::ssh;
using namespace std::chrono_literals;
using test::Listener;
using test::Sshd;

namespace {

SessionOptions options_of(const Sshd& sshd, const std::string& key = "user", const std::string& host = "host") {
  SessionOptions out;
  out.address = {"127.0.0.1", sshd.port()};
  out.user = "root";
  out.private_key = std::make_shared<const std::string>(test::slurp(sshd.file(key)));
  out.trusted = parse_public_keys(sshd.public_key(host));
  return out;
}

// Runs `body` with a connection that is served.
void with_session(SessionOptions options, std::function<Task<void>(std::shared_ptr<Session>)> body) {
  net::run_until_done([&]() -> Task<void> {
    return [](SessionOptions o, std::function<Task<void>(std::shared_ptr<Session>)>& work) -> Task<void> {
      auto session = co_await Session::connect(std::move(o));
      EXPECT_TRUE(session) << session.error().message();
      if (!session) co_return;
      Scope scope(co_await boost::asio::this_coro::executor);
      scope.spawn(Session::run(*session));
      EXPECT_TRUE(co_await finish_within(30s, work(*session)));
      co_await scope.join();
    }(std::move(options), body);
  });
}

Status connect_error(SessionOptions options) {
  Status out(0, "", "connected");
  net::run_until_done([&]() -> Task<void> {
    return [](SessionOptions o, Status& said) -> Task<void> {
      auto session = co_await Session::connect(std::move(o));
      if (!session) said = session.error();
    }(std::move(options), out);
  });
  return out;
}

Task<void> send(net::Stream& stream, std::string text) {
  BytesList pieces;
  pieces.push_back(Bytes::take(std::move(text)));
  EXPECT_TRUE(co_await stream.write(std::move(pieces)));
  EXPECT_TRUE(co_await stream.shutdown_write());
}

Task<void> echo_once(std::shared_ptr<Session> session, uint16_t port, size_t size) {
  auto stream = co_await session->open({"127.0.0.1", port}, 5s);
  EXPECT_TRUE(stream) << stream.error().message();
  if (!stream) co_return;
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 31 + i / 257);
  Scope scope(co_await boost::asio::this_coro::executor);
  scope.spawn(send(**stream, text));
  auto back = co_await net::read_to_end(**stream, size + 1);
  EXPECT_TRUE(back && *back == text);
  co_await scope.join();
}

}  // namespace

TEST(SshSession, CarriesBytesBothWaysAndHalfCloses) {
  Sshd sshd;
  Listener target(Listener::echo);
  with_session(options_of(sshd), [&](auto session) { return echo_once(session, target.port(), 5'000'000); });
}

TEST(SshSession, CarriesManyStreamsAtOnce) {
  Sshd sshd;
  Listener target(Listener::echo);
  with_session(options_of(sshd), [&](std::shared_ptr<Session> session) {
    return [](std::shared_ptr<Session> s, uint16_t port) -> Task<void> {
      Scope scope(co_await boost::asio::this_coro::executor);
      for (int i = 0; i < 50; ++i) scope.spawn(echo_once(s, port, 100'000));
      co_await scope.wait_idle();
      EXPECT_EQ(s->info().streams, 0U);
    }(session, target.port());
  });
}

TEST(SshSession, RefusesAHostWhoseKeyIsNotKnown) {
  Sshd sshd;
  sshd.make_key("other");
  Status said = connect_error(options_of(sshd, "user", "other"));
  EXPECT_EQ(said.code(), 403);
  EXPECT_NE(said.message().find("none of those known"), std::string::npos) << said.message();
  // And one of which nothing at all is known.
  SessionOptions nothing = options_of(sshd);
  nothing.trusted.clear();
  EXPECT_EQ(connect_error(nothing).code(), 403);
}

TEST(SshSession, AKeyThatIsNotAcceptedSaysSo) {
  Sshd sshd;
  sshd.make_key("other");
  Status said = connect_error(options_of(sshd, "other"));
  EXPECT_EQ(said.code(), 401);
  EXPECT_EQ(said.message().find("PRIVATE"), std::string::npos);
  SessionOptions broken = options_of(sshd);
  broken.private_key = std::make_shared<const std::string>("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n");
  EXPECT_EQ(connect_error(broken).code(), 401);
}

TEST(SshSession, AServerThatIsNoneIsAnError) {
  Listener noise([](int fd) { (void)!::write(fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28); });
  Sshd sshd;
  SessionOptions options = options_of(sshd);
  options.address.port = noise.port();
  EXPECT_EQ(connect_error(options).code(), 503);
  options.address.port = Sshd::free_port();
  EXPECT_NE(connect_error(options).message().find("connection refused"), std::string::npos);
}

TEST(SshSession, ADialThatIsRefusedNamesItsTarget) {
  Sshd sshd;
  uint16_t closed = Sshd::free_port();
  with_session(options_of(sshd), [&](std::shared_ptr<Session> session) {
    return [](std::shared_ptr<Session> s, uint16_t port) -> Task<void> {
      auto stream = co_await s->open({"127.0.0.1", port}, 5s);
      EXPECT_FALSE(stream);
      if (!stream) {
        EXPECT_NE(stream.error().message().find(fmt::format("dial tcp 127.0.0.1:{} by SSH", port)), std::string::npos);
        EXPECT_NE(stream.error().message().find("connection refused"), std::string::npos) << stream.error().message();
      }
      EXPECT_TRUE(s->usable());
    }(session, closed);
  });
}

TEST(SshSession, AReaderThatStopsHoldsUpNobodyAndMemoryIsBounded) {
  Sshd sshd;
  std::atomic<size_t> poured{0};
  Listener source([&](int fd) {
    std::string block(65536, 'x');
    for (ssize_t n; (n = ::send(fd, block.data(), block.size(), MSG_NOSIGNAL)) > 0;) poured += static_cast<size_t>(n);
  });
  Listener target(Listener::echo);
  with_session(options_of(sshd), [&](std::shared_ptr<Session> session) {
    return [](std::shared_ptr<Session> s, uint16_t from, uint16_t to, std::atomic<size_t>& sent) -> Task<void> {
      auto stopped = co_await s->open({"127.0.0.1", from}, 5s);
      EXPECT_TRUE(stopped);
      if (!stopped) co_return;
      char byte;
      EXPECT_TRUE(co_await (*stopped)->read_some({&byte, 1}));
      for (int i = 0; i < 5; ++i) co_await echo_once(s, to, 1'000'000);
      size_t before = sent;
      co_await sleep_for(300ms);
      EXPECT_EQ(sent, before) << "the sender goes on though nobody reads";
      // libssh's window, sshd's buffers and the sockets': not what the source could have sent.
      EXPECT_LT(before, 16'000'000U);
      // A reader that takes little bits lets no more pile up than it takes.
      for (int i = 0; i < 200; ++i) EXPECT_TRUE(co_await (*stopped)->read_some({&byte, 1}));
      co_await sleep_for(300ms);
      EXPECT_LT(sent, before + 4'000'000U);
    }(session, source.port(), target.port(), poured);
  });
}

TEST(SshSession, ATargetThatStopsReadingHoldsUpNobody) {
  Sshd sshd;
  Listener deaf([](int fd) {
    char byte;
    (void)!::read(fd, &byte, 1);
    std::this_thread::sleep_for(2s);
  });
  Listener target(Listener::echo);
  with_session(options_of(sshd), [&](std::shared_ptr<Session> session) {
    return [](std::shared_ptr<Session> s, uint16_t dead, uint16_t to) -> Task<void> {
      auto stuck = co_await s->open({"127.0.0.1", dead}, 5s);
      EXPECT_TRUE(stuck);
      if (!stuck) co_return;
      Scope scope(co_await boost::asio::this_coro::executor);
      scope.spawn([](net::Stream& stream) -> Task<void> {
        BytesList pieces;
        pieces.push_back(Bytes::take(std::string(64 << 20, 'x')));
        (void)co_await stream.write(std::move(pieces));
      }(**stuck));
      co_await sleep_for(200ms);
      for (int i = 0; i < 5; ++i) co_await echo_once(s, to, 1'000'000);
      co_await scope.join();
    }(session, deaf.port(), target.port());
  });
}

TEST(SshSession, StreamsFailWhenTheServerIsGone) {
  Sshd sshd;
  Listener silent([](int fd) {
    char byte;
    (void)!::read(fd, &byte, 1);
  });
  with_session(options_of(sshd), [&](std::shared_ptr<Session> session) {
    return [](std::shared_ptr<Session> s, uint16_t to, Sshd& server) -> Task<void> {
      auto stream = co_await s->open({"127.0.0.1", to}, 5s);
      EXPECT_TRUE(stream);
      if (!stream) co_return;
      server.stop();
      char byte;
      auto got = co_await (*stream)->read_some({&byte, 1});
      EXPECT_FALSE(got);
      EXPECT_FALSE(s->usable());
      EXPECT_FALSE(co_await s->open({"127.0.0.1", to}, 1s));
    }(session, silent.port(), sshd);
  });
}

TEST(SshSession, ADialThatGaveUpLeavesNothingBehind) {
  Sshd sshd;
  with_session(options_of(sshd), [&](std::shared_ptr<Session> session) {
    return [](std::shared_ptr<Session> s) -> Task<void> {
      // No time at all: each gives up before the answer is there, which then finds nobody.
      for (int i = 0; i < 100; ++i) {
        auto stream = co_await s->open({"127.0.0.1", 9}, 0ms);
        EXPECT_FALSE(stream);
      }
      co_await sleep_for(100ms);
      EXPECT_EQ(s->info().streams, 0U);
      EXPECT_TRUE(s->usable());
    }(session);
  });
}
