// The authorities, keys and certificates that a server makes on its first start and finds again on the next: one
// folder, keys 0600.
//
//   ca.{crt,key}            clients and the API server          kubelet-ca.{crt,key}   kubelets' serving certificates,
//   and nothing else front-proxy-ca.{crt,key}                                    sa.{key,pub}           ServiceAccount
//   tokens apiserver.{crt,key}     the API server's own                apiserver-kubelet-client.{crt,key}   it, towards
//   kubelets NAME.{crt,key}          each component and the administrator
// What exists is kept; a certificate that is about to end, or does not carry a name that is needed, is made anew.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "pki/certificate.h"

namespace redoubt::pki {

struct ClusterPkiOptions {
  std::string folder;
  std::vector<std::string> apiserver_dns_names;     // besides kubernetes, kubernetes.default, ...
  std::vector<std::string> apiserver_ip_addresses;  // addresses it is reached by, the Service's virtual one included
};

struct ClusterPki {
  KeyPair ca;
  KeyPair kubelet_ca;
  KeyPair front_proxy_ca;
  KeyPair apiserver;
  KeyPair apiserver_kubelet_client;
  std::string service_account_key;  // private, PEM
  // By file name: "admin", "controller-manager", "scheduler", "kube-proxy".
  std::map<std::string, KeyPair> clients;
};

// Blocking. Errors name the file.
Result<ClusterPki> ensure_cluster_pki(const ClusterPkiOptions& options);

}  // namespace redoubt::pki
