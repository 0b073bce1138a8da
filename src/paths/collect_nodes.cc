// Nodes: their kubelets' certificates and configuration, their leases; and the control plane's leases.
#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/this_coro.hpp>

#include "base/blocking.h"
#include "net/http.h"
#include "paths/collect.h"
#include "paths/objects.h"

namespace redoubt::paths {

namespace {

NodeFacts read_node(const schema::Value& v) {
  NodeFacts n;
  n.name = text_at(v, {"metadata", "name"});
  schema::Value labels = v.get({"metadata", "labels"});
  n.control_plane = labels.find("node-role.kubernetes.io/control-plane") != nullptr;
  if (int64_t port = v.get({"status", "daemonEndpoints", "kubeletEndpoint", "Port"}).as_int(); port > 0)
    n.kubelet_port = static_cast<uint16_t>(port);
  schema::Value addresses = v.get({"status", "addresses"});
  for (const char* type : {"InternalIP", "ExternalIP"}) {
    for (const schema::Value& a : schema::items(addresses)) {
      if (text_at(a, {"type"}) == type) n.addresses.push_back(text_at(a, {"address"}));
    }
  }
  return n;
}

KubeletConfig read_config(const schema::Value& v) {
  KubeletConfig c;
  schema::Value k = v.get({"kubeletconfig"});
  c.anonymous = k.get({"authentication", "anonymous", "enabled"}).as_bool();
  c.webhook_authentication = k.get({"authentication", "webhook", "enabled"}).as_bool();
  c.authorization_mode = text_at(k, {"authorization", "mode"});
  c.read_only_port = k.get({"readOnlyPort"}).as_int();
  c.serving_certificate_from_cluster = k.get({"serverTLSBootstrap"}).as_bool() || !text_at(k, {"tlsCertFile"}).empty();
  c.tls_min_version = text_at(k, {"tlsMinVersion"});
  return c;
}

Task<void> look_at(client::Client& api, NodeFacts& n, bool connect) {
  std::string proxy = "/api/v1/nodes/" + net::percent_encode(n.name) + "/proxy/";
  auto health = co_await api.request("GET", proxy + "healthz", {});
  n.through_server = health ? health->status : health.error().code();
  if (!health) n.through_server_error = health.error().message();
  auto config =
      co_await with_object(api, proxy + "configz", [&](const schema::Value& v) { n.config = read_config(v); });
  if (!config) n.config_error = config.error().message();
  if (!connect || n.addresses.empty()) co_return;
  Peer peer{n.addresses.front(), n.kubelet_port};
  n.kubelet = co_await run_blocking([peer] { return shake_hands(peer, Offer{}); });
}

struct Work {
  client::Client& api;
  std::vector<NodeFacts>& nodes;
  bool connect;
  size_t next = 0;
};
Task<void> worker(Work& work) {
  while (work.next < work.nodes.size()) {
    NodeFacts& node = work.nodes[work.next++];
    co_await look_at(work.api, node, work.connect);
  }
}

bool is_live(const schema::Value& lease, Timestamp at) {
  auto renewed = parse_rfc3339(text_at(lease, {"spec", "renewTime"}));
  return renewed && at - *renewed < kLeaseGrace;
}

}  // namespace

Task<void> collect_nodes(client::Client& api, Facts& f, CollectOptions options) {
  auto add = [&](const schema::Value& v) {
    if (f.nodes.size() < kMaxNodes)
      f.nodes.push_back(read_node(v));
    else
      ++f.nodes_left_out;
  };
  std::string one = options.node.empty() ? "" : "fieldSelector=metadata.name%3D" + net::percent_encode(options.node);
  auto listed = co_await for_each_object(api, "/api/v1/nodes", one, false, add);
  if (!listed) f.nodes_error = listed.error().message();
  constexpr const char* kLeases = "/apis/coordination.k8s.io/v1/namespaces/";
  (void)co_await for_each_object(
      api, std::string(kLeases) + "kube-node-lease/leases", "", false, [&](const schema::Value& v) {
        auto node = std::ranges::find(f.nodes, text_at(v, {"metadata", "name"}), &NodeFacts::name);
        if (node != f.nodes.end()) node->lease_live = is_live(v, f.at);
      });
  (void)co_await for_each_object(api, std::string(kLeases) + "kube-system/leases", "", false,
                                 [&](const schema::Value& v) {
                                   std::string name = text_at(v, {"metadata", "name"});
                                   if (name == "kube-scheduler" || name == "kube-controller-manager")
                                     f.component_leases[name] = is_live(v, f.at);
                                 });
  int64_t agents = 0;
  auto pods =
      co_await for_each_object(api, "/api/v1/namespaces/kube-system/pods", "labelSelector=k8s-app%3Dkonnectivity-agent",
                               true, [&](const schema::Value&) { ++agents; });
  if (pods) f.konnectivity_agents = agents;

  Work work{api, f.nodes, options.look_at_nodes};
  Scope scope(co_await boost::asio::this_coro::executor, "paths");
  for (size_t i = 0; i < std::min(kParallelNodes, f.nodes.size()); ++i) scope.spawn(worker(work));
  std::exception_ptr cancelled;
  try {
    co_await scope.wait_idle();
  } catch (...) {
    cancelled = std::current_exception();
  }
  if (cancelled) {
    // The workers hold references to what this function's caller owns.
    co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
    co_await scope.join();
    std::rethrow_exception(cancelled);
  }
}

}  // namespace redoubt::paths
