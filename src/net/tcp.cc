#include "net/tcp.h"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/blocking.h"
#include "net/socket_stream.h"

namespace redoubt::net {

namespace asio = boost::asio;
using namespace asio::experimental::awaitable_operators;

std::string Address::to_string() const {
  return host.find(':') != std::string::npos ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

Result<Address> parse_address(std::string_view text) {
  size_t colon = text.rfind(':');
  std::string_view host = text.substr(0, colon);
  if (colon == std::string_view::npos) return bad_request(fmt::format("address \"{}\" has no port", text));
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return bad_request(fmt::format("address \"{}\": an IPv6 address needs brackets", text));
  }
  std::string_view digits = text.substr(colon + 1);
  uint16_t port = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc() || end != digits.data() + digits.size())
    return bad_request(fmt::format("address \"{}\" has no valid port", text));
  return Address{std::string(host), port};
}

namespace {

// As users know it: "connect: connection refused", "i/o timeout".
std::string connect_error(const boost::system::error_code& error) {
  if (error == asio::error::timed_out) return "i/o timeout";
  std::string text = error.message();
  if (!text.empty() && text[0] >= 'A' && text[0] <= 'Z') text[0] = static_cast<char>(text[0] + 32);
  return "connect: " + text;
}

Task<bool> connect_within(Socket& socket, Socket::endpoint_type endpoint, std::chrono::nanoseconds timeout,
                          boost::system::error_code& error) {
  asio::steady_timer timer(socket.get_executor(), timeout);
  auto outcome = co_await (socket.async_connect(endpoint, asio::redirect_error(asio::use_awaitable, error)) ||
                           timer.async_wait(asio::use_awaitable));
  if (outcome.index() == 1) error = asio::error::timed_out;
  co_return !error;
}

}  // namespace

Task<Result<StreamPtr>> tcp_connect(Address address, std::chrono::milliseconds timeout) {
  auto executor = co_await asio::this_coro::executor;
  std::vector<asio::ip::tcp::endpoint> endpoints;
  boost::system::error_code error;
  auto literal = asio::ip::make_address(address.host, error);
  if (!error) {
    endpoints.emplace_back(literal, address.port);
  } else {
    std::string host = address.host, port = std::to_string(address.port);
    auto resolved =
        co_await run_blocking([host, port]() -> std::pair<std::vector<asio::ip::tcp::endpoint>, std::string> {
          asio::io_context context;
          asio::ip::tcp::resolver resolver(context);
          boost::system::error_code failure;
          std::vector<asio::ip::tcp::endpoint> found;
          for (const auto& entry : resolver.resolve(host, port, failure)) found.push_back(entry.endpoint());
          return {found, failure ? failure.message() : ""};
        });
    if (resolved.first.empty())
      co_return service_unavailable(fmt::format("dial tcp: lookup {}: {}", host, resolved.second));
    endpoints = std::move(resolved.first);
  }
  for (const auto& endpoint : endpoints) {
    Socket socket(executor);
    if (co_await connect_within(socket, Socket::endpoint_type(endpoint), timeout, error)) {
      boost::system::error_code ignored;
      socket.set_option(asio::ip::tcp::no_delay(true), ignored);
      socket.set_option(asio::socket_base::keep_alive(true), ignored);
      co_return make_socket_stream(std::move(socket));
    }
  }
  co_return service_unavailable(fmt::format("dial tcp {}: {}", address.to_string(), connect_error(error)));
}

Task<Result<StreamPtr>> unix_connect(std::string path, std::chrono::milliseconds timeout) {
  Socket socket(co_await asio::this_coro::executor);
  boost::system::error_code error;
  if (path.size() >= 108) co_return bad_request(fmt::format("unix socket path \"{}\" is too long", path));
  if (!co_await connect_within(socket, asio::local::stream_protocol::endpoint(path), timeout, error)) {
    co_return service_unavailable(fmt::format("dial unix {}: {}", path, connect_error(error)));
  }
  co_return make_socket_stream(std::move(socket));
}

}  // namespace redoubt::net
