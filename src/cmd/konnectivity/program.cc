#include "cmd/konnectivity/program.h"

#include <boost/asio/post.hpp>
#include <cstdlib>
#include <future>

#include "base/random.h"
#include "cmd/commands/commands.h"
#include "cmd/konnectivity/health.h"

namespace redoubt::cmd {

namespace {

// Probes and scrapers; more are somebody holding connections open.
constexpr size_t kMaxPortConnections = 100;

Task<void> finish(Task<void> winding_up, std::promise<void>& done) {
  co_await std::move(winding_up);
  done.set_value();
}

}  // namespace

std::chrono::milliseconds to_ms(std::chrono::nanoseconds value) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(value);
}

std::string id_or_new(const std::string& given, const char* variable) {
  if (!given.empty()) return given;
  const char* set = std::getenv(variable);
  return set != nullptr && *set != 0 ? set : random_uuid();
}

Result<void> KonnectivityProgram::run() {
  if (auto started = start(); !started) {
    // What has begun must not meet members that are going.
    loops_.stop();
    return started;
  }
  wait_for_signal();
  std::promise<void> done;
  on_loop([this, &done] { end_.spawn(finish(wind_up(), done)); });
  done.get_future().wait();
  loops_.stop();
  stopped();
  return {};
}

void KonnectivityProgram::on_loop(std::function<void()> work) {
  boost::asio::post(executor(), std::move(work));
}

Result<void> KonnectivityProgram::start_server(net::HttpServerOptions http) {
  RD_TRY(auto started, start_listening(loops_, std::move(http)));
  servers_.push_back(std::move(started));
  return {};
}

Result<void> KonnectivityProgram::start_port(const std::string& address, int port, net::Handler handler) {
  net::HttpServerOptions http;
  http.handler = std::move(handler);
  http.address = address == "localhost" ? "127.0.0.1" : address;
  http.port = static_cast<uint16_t>(port);
  http.max_connections = kMaxPortConnections;
  return start_server(std::move(http));
}

}  // namespace redoubt::cmd
