#include "kubelet/pods/dns.h"

#include <algorithm>

namespace redoubt::kubelet {

namespace {

// resolv.conf's limits of today's resolvers, as upstream keeps them.
constexpr size_t kMaxNameservers = 3, kMaxSearches = 32, kMaxSearchBytes = 2048;

void add(std::vector<std::string>& to, const std::string& item) {
  if (std::ranges::find(to, item) == to.end()) to.push_back(item);
}

}  // namespace

net::ResolvConf pod_resolv_conf(const k8s::core::v1::Pod& pod, const std::string& cluster_dns,
                                const std::string& cluster_domain, const net::ResolvConf& node) {
  const std::string& policy = pod.spec.dnsPolicy;
  net::ResolvConf out;
  bool cluster =
      policy == "ClusterFirstWithHostNet" || ((policy.empty() || policy == "ClusterFirst") && !pod.spec.hostNetwork);
  if (policy == "None") {
    // Only what dnsConfig says.
  } else if (cluster && !cluster_dns.empty()) {
    out.nameservers = {cluster_dns};
    out.searches = {pod.metadata.namespace_ + ".svc." + cluster_domain, "svc." + cluster_domain, cluster_domain};
    for (const std::string& search : node.searches) add(out.searches, search);
    out.options = {"ndots:5"};
  } else {
    out = node;
  }
  if (pod.spec.dnsConfig) {
    for (const auto& server : pod.spec.dnsConfig->nameservers) add(out.nameservers, server);
    for (const auto& search : pod.spec.dnsConfig->searches) add(out.searches, search);
    for (const auto& option : pod.spec.dnsConfig->options) {
      std::erase_if(out.options, [&](const std::string& there) {
        return there == option.name || there.starts_with(option.name + ":");
      });
      out.options.push_back(option.value && !option.value->empty() ? option.name + ":" + *option.value : option.name);
    }
  }
  if (out.nameservers.size() > kMaxNameservers) out.nameservers.resize(kMaxNameservers);
  size_t bytes = 0;
  for (size_t i = 0; i < out.searches.size(); ++i) {
    bytes += out.searches[i].size() + 1;
    if (i >= kMaxSearches || bytes > kMaxSearchBytes) {
      out.searches.resize(i);
      break;
    }
  }
  return out;
}

}  // namespace redoubt::kubelet
