#include "net/socket_stream.h"

#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include "net/limits.h"
#include "net/pieces.h"
#include "net/unsent.h"

namespace redoubt::net {

namespace asio = boost::asio;

namespace {

// Buffers handed to the kernel in one call.
constexpr size_t kMaxGather = 64;

class SocketStream : public PieceStream, public LimitsUnsent {
 public:
  explicit SocketStream(Socket socket) : socket_(std::move(socket)) {}
  ~SocketStream() override { abort(); }

  Task<Result<size_t>> read_some(std::span<char> into) override {
    boost::system::error_code error;
    size_t n = co_await socket_.async_read_some(asio::buffer(into.data(), into.size()),
                                                asio::redirect_error(asio::use_awaitable, error));
    if (error == asio::error::eof) co_return size_t{0};
    if (error) co_return failed("read", error);
    co_return n;
  }

  // Waits for the socket with no buffer; then reads into one that is handed on whole, or copied from where it holds
  // little.
  Task<Result<BytesList>> read_pieces(size_t max) override {
    static thread_local std::shared_ptr<char[]> spare;
    boost::system::error_code error;
    if (!socket_.native_non_blocking()) socket_.native_non_blocking(true, error);
    while (true) {
      if (!spare) spare = std::make_shared_for_overwrite<char[]>(kSocketReadBytes);
      ssize_t n = ::recv(socket_.native_handle(), spare.get(), std::min(max, kSocketReadBytes), 0);
      if (n == 0) co_return BytesList();
      if (n > 0) {
        BytesList pieces;
        auto size = static_cast<size_t>(n);
        if (size < kSocketReadBytes / 8) {
          pieces.push_back(Bytes::copy({spare.get(), size}));
        } else {
          const char* data = spare.get();
          pieces.push_back(Bytes::share(std::move(spare), {data, size}));
          spare = nullptr;
        }
        co_return pieces;
      }
      if (errno == EINTR) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK)
        co_return failed("read", boost::system::error_code(errno, boost::system::system_category()));
      co_await socket_.async_wait(Socket::wait_read, asio::redirect_error(asio::use_awaitable, error));
      if (error) co_return failed("read", error);
    }
  }

  Task<Result<void>> write(BytesList pieces) override {
    std::vector<asio::const_buffer> buffers;
    for (size_t i = 0; i < pieces.size();) {
      buffers.clear();
      for (; i < pieces.size() && buffers.size() < kMaxGather; ++i) {
        if (!pieces[i].empty()) buffers.emplace_back(pieces[i].data(), pieces[i].size());
      }
      if (buffers.empty()) break;
      boost::system::error_code error;
      co_await asio::async_write(socket_, buffers, asio::redirect_error(asio::use_awaitable, error));
      if (error) co_return failed("write", error);
    }
    co_return Result<void>{};
  }

  Task<Result<void>> shutdown_write() override {
    boost::system::error_code error;
    socket_.shutdown(Socket::shutdown_send, error);
    if (error && error != asio::error::not_connected) co_return failed("shutdown", error);
    co_return Result<void>{};
  }

  void limit_unsent(int bytes) override {
    // Of a unix socket it is refused, and means nothing.
    ::setsockopt(socket_.native_handle(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &bytes, sizeof bytes);
  }

  void abort() noexcept override {
    boost::system::error_code ignored;
    socket_.close(ignored);
  }

 private:
  static Error failed(const char* what, const boost::system::error_code& error) {
    if (error == asio::error::operation_aborted)
      return service_unavailable(fmt::format("{}: the connection was closed on this side", what));
    return service_unavailable(fmt::format("{}: {}", what, error.message()));
  }

  Socket socket_;
};

}  // namespace

void limit_unsent(Stream& stream, int bytes) {
  if (auto* can = dynamic_cast<LimitsUnsent*>(&stream)) can->limit_unsent(bytes);
}

StreamPtr make_socket_stream(Socket socket) {
  return std::make_unique<SocketStream>(std::move(socket));
}

}  // namespace redoubt::net
