#include "apiserver/kubernetes_service.h"

#include <boost/asio/ip/address.hpp>

#include "apiserver/apiserver_state.h"
#include "apiserver/default_service_cidr.h"
#include "apiserver/own_request.h"
#include "base/log.h"

namespace redoubt::apiserver {

std::vector<OwnObject> kubernetes_service(const std::string& cluster_ip, const std::string& address, uint16_t port) {
  std::vector<OwnObject> out;
  out.push_back(
      {"", "services", "default", "kubernetes",
       fmt::format(
           R"({{"metadata":{{"name":"kubernetes","labels":{{"component":"apiserver","provider":"kubernetes"}}}},"spec":{{"clusterIP":"{}","ports":[{{"name":"https","port":443,)"
           R"("protocol":"TCP","targetPort":{}}}],"sessionAffinity":"None","type":"ClusterIP"}}}})",
           cluster_ip, port)});
  // A server that only its own machine reaches has none: from a pod loopback is the pod.
  bool reachable = !boost::asio::ip::make_address(address).is_loopback();
  std::string subsets = fmt::format(
      R"([{{"addresses":[{{"ip":"{}"}}],"ports":[{{"name":"https","port":{},"protocol":"TCP"}}]}}])", address, port);
  out.push_back(
      {"", "endpoints", "default", "kubernetes",
       fmt::format(
           R"({{"metadata":{{"name":"kubernetes","labels":{{"endpointslice.kubernetes.io/skip-mirror":"true"}}}},"subsets":{}}})",
           reachable ? subsets : "[]"),
       true});
  std::string endpoints = fmt::format(R"([{{"addresses":["{}"],"conditions":{{"ready":true}}}}])", address);
  out.push_back(
      {"discovery.k8s.io", "endpointslices", "default", "kubernetes",
       fmt::format(
           R"({{"metadata":{{"name":"kubernetes","labels":{{"kubernetes.io/service-name":"kubernetes"}}}},"addressType":"{}","endpoints":{},)"
           R"("ports":[{{"name":"https","port":{},"protocol":"TCP"}}]}})",
           ip_family(address), reachable ? endpoints : "[]", port),
       true});
  return out;
}

Task<Result<void>> fit_address_type(Rest& rest, std::string address) {
  OwnRequest own("delete", "discovery.k8s.io", "endpointslices", "default", "kubernetes");
  auto there = rest.load(own.context);
  if (!there || there->second.get({"addressType"}).as_string() == ip_family(address)) co_return Result<void>{};
  auto removed = co_await rest.delete_object(own.context, there->first, Value::object(own.context.arena));
  if (!removed && !removed.error().is("NotFound")) co_return Error(removed.error());
  co_return Result<void>{};
}

Task<void> ApiServer::keep_published() {
  // Upstream's intervals.
  constexpr std::chrono::seconds kSyncEvery{10};
  constexpr int kRepairTicks = 18;  // three minutes
  pipeline::Services& s = *state_;
  for (int tick = 0;; tick = (tick + 1) % kRepairTicks) {
    auto kept = co_await sync_default_service_cidr(*s.rest, s.service_ips->cidrs(), false);
    if (!kept) log_warning("ServiceCIDR kubernetes could not be kept", {{"error", kept.error().message()}});
    for (OwnObject& object :
         kubernetes_service(s.service_ips->first(), s.options.advertise_address, s.options.advertise_port)) {
      kept = co_await ensure_object(*s.rest, std::move(object));
      if (!kept) log_warning("the Service kubernetes could not be kept", {{"error", kept.error().message()}});
    }
    if (tick == 0) co_await s.service_ips->repair();
    co_await sleep_for(kSyncEvery);
  }
}

}  // namespace redoubt::apiserver
