// A pod's resolv.conf, from its dnsPolicy, its dnsConfig, the cluster's DNS and the node's own file.
// https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/. Pure.
#pragma once
#include <string>

#include "net/resolv_conf.h"
#include "schema/k8s/core_v1.h"

namespace redoubt::kubelet {

// `cluster_dns` empty: the cluster has none, and ClusterFirst becomes Default.
net::ResolvConf pod_resolv_conf(const k8s::core::v1::Pod& pod, const std::string& cluster_dns,
                                const std::string& cluster_domain, const net::ResolvConf& node);

}  // namespace redoubt::kubelet
