// One watch of Services and EndpointSlices for all on a node that follow them (service proxy, DNS, network policies).
//
// Belongs to the client's loop. Users add their handlers before start().
#pragma once
#include "client/informer.h"
#include "schema/k8s/core_v1.h"
#include "schema/k8s/discovery_v1.h"

namespace redoubt::client {

struct ServiceWatch {
  explicit ServiceWatch(Client& api) : services(api), slices(api) {}
  // Until `scope` is cancelled; the watch outlives that.
  void start(Scope& scope) {
    scope.spawn(services.run());
    scope.spawn(slices.run());
  }
  Task<void> wait_synced() {
    co_await services.wait_synced();
    co_await slices.wait_synced();
  }
  Informer<k8s::core::v1::Service> services;
  Informer<k8s::discovery::v1::EndpointSlice> slices;
};

}  // namespace redoubt::client
