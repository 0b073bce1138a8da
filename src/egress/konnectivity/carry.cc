#include "egress/konnectivity/carry.h"

namespace redoubt::konnectivity {

namespace asio = boost::asio;

namespace {

// An idle connection waits with a small buffer, a busy one reads as much as a packet holds.
constexpr size_t kIdleBufferBytes = 2 * 1024;

struct Carried {
  net::StreamPtr stream;
  std::unique_ptr<Connection> connection;
};

Task<void> abort_later(std::shared_ptr<Carried> carried) {
  co_await sleep_for(kCloseLinger);
  carried->stream->abort();
}

Task<void> into_tunnel(std::shared_ptr<Carried> carried) {
  bool deliver = true;
  for (size_t size = kIdleBufferBytes;;) {
    auto buffer = std::make_shared_for_overwrite<char[]>(size);
    char* data = buffer.get();
    auto got = co_await carried->stream->read_some({data, size});
    if (!got) {
      carried->connection->close(got.error().message());
      co_return;
    }
    if (*got == 0) {
      if (deliver) (void)co_await carried->connection->shutdown_write();
      co_return;
    }
    if (deliver) {
      Bytes piece = *got * 4 < size ? Bytes::copy({data, *got}) : Bytes::share(std::move(buffer), {data, *got});
      BytesList pieces;
      pieces.push_back(std::move(piece));
      // A closed connection's client is read on until it ends, so that nothing sent to it is lost to a reset.
      if (auto sent = co_await carried->connection->write(std::move(pieces)); !sent) deliver = false;
    }
    if (*got == size) {
      size = kPacketDataBytes;
    } else if (*got * 4 < size) {
      size = kIdleBufferBytes;
    }
  }
}

Task<void> out_of_tunnel(std::shared_ptr<Carried> carried, Scope& scope) {
  while (true) {
    auto piece = co_await carried->connection->read_piece();
    if (!piece) {
      carried->stream->abort();
      co_return;
    }
    if (piece->empty()) {
      auto ended = co_await carried->stream->shutdown_write();
      if (!ended) {
        carried->stream->abort();
      } else if (carried->connection->closed()) {
        scope.spawn(abort_later(carried));
      }
      co_return;
    }
    BytesList pieces;
    pieces.push_back(std::move(*piece));
    if (auto sent = co_await carried->stream->write(std::move(pieces)); !sent) {
      carried->connection->close(sent.error().message());
      carried->stream->abort();
      co_return;
    }
  }
}

}  // namespace

Task<void> carry(net::StreamPtr stream, std::unique_ptr<Connection> connection) {
  auto executor = co_await asio::this_coro::executor;
  auto carried = std::make_shared<Carried>();
  carried->stream = std::move(stream);
  carried->connection = std::move(connection);
  Scope pumps(executor, "konnectivity carry"), linger(executor, "konnectivity linger");
  pumps.spawn(into_tunnel(carried));
  pumps.spawn(out_of_tunnel(carried, linger));
  std::exception_ptr cancelled;
  try {
    co_await pumps.wait_idle();
  } catch (...) {
    cancelled = std::current_exception();
  }
  co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
  if (cancelled) carried->stream->abort();
  co_await pumps.join();
  co_await linger.join();
  carried->stream->abort();
  if (cancelled) std::rethrow_exception(cancelled);
}

}  // namespace redoubt::konnectivity
