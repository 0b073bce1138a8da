// Asks extension API servers again and again whether they are there and what they serve, and writes the condition
// Available of their APIServices. A changed object, and endpoints that come or go, are looked at within a second; a
// server that fails is asked every two seconds, one that answers every thirty.
#pragma once
#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "apiserver/aggregation/api_services.h"
#include "apiserver/aggregation/extension_servers.h"
#include "apiserver/aggregation/group_discovery.h"
#include "apiserver/rest.h"

namespace redoubt::apiserver {

// The condition Available, with upstream's reasons.
struct Availability {
  bool available = false;
  std::string reason, message;
};

class AvailabilityChecks {
 public:
  // All must outlive this.
  AvailabilityChecks(ExtensionServers& servers, ApiServices& services, Rest& rest)
      : servers_(servers), services_(services), rest_(rest) {}
  // What the server of "GROUP/VERSION" last said. Any thread.
  SaidResources resources(const std::string& group_version) const;
  // Once; from then on everything runs on that loop. stop() there, before the loop ends.
  void start(Executor executor);
  Task<void> stop();

 private:
  // What one object was last judged by.
  struct Look {
    ApiService service;
    std::string endpoints;
    std::chrono::steady_clock::time_point due;
    bool under_way = false;
    bool available = true;
  };
  Task<void> look_after();
  Task<void> judge(std::string name, ApiService service);
  Task<Availability> check(ApiService service);
  Task<Result<std::string>> ask(std::shared_ptr<net::HttpClient> client, ApiService service);
  Task<void> write(std::string name, Availability now);
  std::string endpoints_of(const ApiService& service) const;
  void forget(const std::string& name);

  ExtensionServers& servers_;
  ApiServices& services_;
  Rest& rest_;
  std::unique_ptr<Scope> scope_;
  std::map<std::string, Look> looks_;  // by name of the APIService; of the loop
  mutable std::mutex mutex_;           // guards what follows
  std::map<std::string, SaidResources> resources_;
};

}  // namespace redoubt::apiserver
