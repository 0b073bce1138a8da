// The health check node ports of Services with externalTrafficPolicy Local: a cloud's load balancer asks each node
// whether it has an endpoint of its own
// (https://kubernetes.io/docs/concepts/services-networking/service/#external-traffic-policy).
//
// Plain HTTP, as load balancers speak it; says nothing but a Service's name and a count. Belongs to one loop.
#pragma once
#include <map>
#include <memory>
#include <string>

#include "base/task.h"
#include "net/loop.h"

namespace redoubt::kubeproxy {

class HealthChecks {
 public:
  struct Wanted {
    uint16_t port = 0;
    std::string service;  // "ns/name"
    size_t local_endpoints = 0;
    bool operator==(const Wanted&) const = default;
  };
  explicit HealthChecks(net::LoopPool& loops);
  ~HealthChecks();
  // Opens, closes and updates so that exactly these are answered. A port that can't be had is logged and tried again at
  // the next call. `healthy`: whether this proxy's rules are up to date.
  Task<void> set(std::map<uint16_t, Wanted> wanted, bool healthy);

 private:
  struct Port;
  net::LoopPool& loops_;
  std::map<uint16_t, std::unique_ptr<Port>> ports_;
};

}  // namespace redoubt::kubeproxy
