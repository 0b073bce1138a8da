// What konnectivity-server and konnectivity-agent have in common as programs: one loop, a few ports, an orderly end.
//
// Made, started and stopped on the main thread; everything else happens on the loop.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/task.h"
#include "net/http_server.h"
#include "net/loop.h"

namespace redoubt::cmd {

std::chrono::milliseconds to_ms(std::chrono::nanoseconds value);
// What was given, else what the environment's variable says, else a new one.
std::string id_or_new(const std::string& given, const char* variable);

class KonnectivityProgram {
 public:
  virtual ~KonnectivityProgram() = default;
  // Runs it until a signal. Blocking.
  Result<void> run();

 protected:
  virtual Result<void> start() = 0;
  // Ends tasks_, then the servers. The last that happens on the loop.
  virtual Task<void> wind_up() = 0;
  virtual void stopped() {}

  Executor executor() { return loops_.executor(0); }
  void on_loop(std::function<void()> work);
  Result<void> start_server(net::HttpServerOptions http);
  // Plain HTTP, for probes and metrics: "localhost" is 127.0.0.1, an empty address all.
  Result<void> start_port(const std::string& address, int port, net::Handler handler);

  net::LoopPool loops_{1, "konnectivity"};
  Scope tasks_{loops_.executor(0), "konnectivity"};
  Scope end_{loops_.executor(0), "konnectivity end"};
  std::vector<std::unique_ptr<net::HttpServer>> servers_;
};

}  // namespace redoubt::cmd
