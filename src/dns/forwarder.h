// Asks upstream resolvers what is not the cluster's, and keeps their answers.
//
// Each question goes out from a socket and a port of its own with a random id, so that an answer can't be guessed
// (RFC 5452); truncated ones are asked again over TCP. The same question asked by many goes out once. While no resolver
// answers, an expired answer still serves. Belongs to one loop.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/event.h"
#include "base/task.h"
#include "dns/cache.h"
#include "dns/message.h"
#include "net/tcp.h"

namespace redoubt::dns {

struct Forwarded {
  std::shared_ptr<const std::string> wire;
  uint32_t age = 0;                   // seconds since it was got
  std::optional<uint32_t> stale_ttl;  // when it has expired
};

class Forwarder {
 public:
  explicit Forwarder(Executor executor);
  ~Forwarder();
  // In the order in which they are asked.
  void set_upstreams(std::vector<net::Address> upstreams);
  // What the cache knows, still fresh; nothing else is waited for.
  std::optional<Forwarded> cached(const Question& question);
  // Nothing when no resolver answers in time, or too many questions wait already.
  Task<std::optional<Forwarded>> ask(Question question);
  size_t waiting() const { return flights_.size(); }

 private:
  struct Upstream {
    net::Address address;
    std::chrono::steady_clock::time_point rest_until{};
  };
  struct Flight;
  Task<std::shared_ptr<const std::string>> ask_upstreams(Question question);
  std::vector<net::Address> order() const;
  void pause(const net::Address& address);

  Executor executor_;
  std::vector<Upstream> upstreams_;
  Cache cache_;
  std::map<std::string, std::shared_ptr<Flight>> flights_;
};

}  // namespace redoubt::dns
