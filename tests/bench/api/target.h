// The server under load: connections to it, spread over the client's loops, and workers that share them.
//
// The same for every server that is measured. Everything is bounded in count and in time.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "client/client.h"
#include "net/http_client.h"
#include "net/loop.h"

namespace redoubt::bench {

// What came back, its body counted and thrown away unless `keep`.
struct Answer {
  int status = 0;
  size_t bytes = 0;
  std::string body;
};

// One HTTP/2 connection of its own. Belongs to its loop.
class Connection {
 public:
  Connection(Executor executor, const client::Config& config);
  Task<Result<Answer>> send(net::ClientRequest request, bool keep = false);
  Task<Result<net::ClientResponse>> open(net::ClientRequest request);
  Executor executor() const { return executor_; }

 private:
  Executor executor_;
  std::unique_ptr<net::HttpClient> http_;
};

// How long each of a number of operations took, and all of them together.
struct Timing {
  double seconds = 0;
  size_t done = 0;
  size_t failed = 0;
  size_t bytes = 0;
  std::string first_error;
  std::vector<double> milliseconds;  // sorted
  double per_second() const { return static_cast<double>(done) / seconds; }
  double percentile(double p) const;
};

struct Load {
  size_t count = 1000;
  size_t workers = 64;
  size_t connections = 4;
  std::chrono::seconds limit{30};
  int expect = 200;
};

class Target {
 public:
  Target(net::LoopPool& loops, client::Config config) : loops_(loops), config_(std::move(config)) {}
  // `workers` tasks, each sending its next request when its last is answered, until `count` are done or the time is up.
  Timing run(const Load& load, const std::function<net::ClientRequest(size_t)>& request_of);
  // One request; for set-up. The program ends when it fails otherwise than with `or_status`.
  Answer ask(net::ClientRequest request, int or_status = 0);
  net::LoopPool& loops() { return loops_; }
  const client::Config& config() const { return config_; }

 private:
  net::LoopPool& loops_;
  client::Config config_;
};

net::ClientRequest get(std::string target, std::string accept = "application/json");
net::ClientRequest post(std::string target, std::string json);

// Runs a task on each loop and waits for all of them.
void run_on_all(net::LoopPool& loops, const std::function<Task<void>(size_t loop)>& task);

}  // namespace redoubt::bench
