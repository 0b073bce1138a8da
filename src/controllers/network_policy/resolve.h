// A NetworkPolicy's selectors, resolved to addresses and port numbers. Pure.
// https://kubernetes.io/docs/concepts/services-networking/network-policies/
#pragma once
#include <map>
#include <string>
#include <vector>

#include "controllers/controller.h"
#include "networkpolicy/resolved.h"
#include "schema/k8s/networking_v1.h"

namespace redoubt::controllers {

// What of a pod counts.
struct PolicyPod {
  struct Port {
    std::string name, protocol;  // lower case
    uint16_t number = 0;
  };
  std::string namespace_;
  std::map<std::string, std::string> labels;
  std::vector<std::string> addresses;
  std::vector<Port> ports;
};

// Nothing for pods that have no address of their own: of the host's network, ended, not started.
std::optional<PolicyPod> policy_pod(const core::Pod& pod);
// The cluster's DNS on every node stands for the pods that would serve it elsewhere (kube-system, k8s-app=kube-dns), so
// that usual policies about DNS mean what they say. Nothing when the Service has a selector: then there are such pods.
std::optional<PolicyPod> dns_pod(const core::Service& kube_dns);

networkpolicy::Policy resolve_policy(const k8s::networking::v1::NetworkPolicy& policy,
                                     const std::vector<PolicyPod>& pods,
                                     const std::map<std::string, std::map<std::string, std::string>>& namespace_labels);

}  // namespace redoubt::controllers
