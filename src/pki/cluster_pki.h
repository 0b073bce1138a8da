// The authorities, keys and certificates that a server makes on its first start and finds again on the next: one
// folder, keys 0600.
//
//   ca.{crt,key}                         clients and the API server
//   kubelet-ca.{crt,key}                 kubelets' serving certificates, which no client of the API server trusts
//   front-proxy-ca.{crt,key}             authenticating proxies and the aggregator
//   sa.{key,pub}                         ServiceAccount tokens
//   apiserver.{crt,key}                  the API server's own
//   apiserver-kubelet-client.{crt,key}   it, towards kubelets
//   front-proxy-client.{crt,key}         it, towards aggregated API servers
//   NAME.{crt,key}                       each component and the administrator
//
// What exists is kept; a certificate past seven tenths of its life, or without a name that is needed, or of an
// authority that no longer signs, is made anew. While an authority is rotated (pki/rotation.h) NAME-next.{crt,key} and
// NAME-previous.crt lie beside it, and everything trusts all of them.
#pragma once
#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "base/status.h"
#include "pki/certificate.h"
#include "pki/given.h"

namespace redoubt::pki {

struct ClusterPkiOptions {
  std::string folder;
  std::vector<std::string> apiserver_dns_names;     // besides kubernetes, kubernetes.default, ...
  std::vector<std::string> apiserver_ip_addresses;  // addresses it is reached by, the Service's virtual one included
  std::chrono::seconds leaf_lifetime{std::chrono::hours(24 * 365)};
  Given given;  // what an administrator gives in place of some of these
};

struct ClusterPki {
  KeyPair ca;  // the one that signs
  KeyPair kubelet_ca;
  KeyPair front_proxy_ca;
  // What is trusted: the signing one first, then the next and the previous while a rotation is under way. Towards
  // kubelets a given authority is trusted as well, before the cluster's own.
  std::string ca_bundle;
  std::string kubelet_ca_bundle;
  std::string front_proxy_ca_bundle;
  // By whom clients know the API server, and whose certificates it takes from clients: the given ones, and ca_bundle.
  std::string root_bundle;
  std::string client_ca_bundle;
  // Who signs certificate requests: given, or `ca` and `kubelet_ca`. The first certificate signs.
  KeyPair client_signer;
  KeyPair kubelet_client_signer;
  KeyPair kubelet_serving_signer;
  KeyPair apiserver;
  // Of `ca`, for clients in this process and on this machine (the name kLoopbackName), where `apiserver` is given:
  // that may not carry 127.0.0.1. Empty otherwise.
  KeyPair loopback;
  KeyPair apiserver_kubelet_client;
  KeyPair front_proxy_client;
  std::string service_account_key;                     // private, PEM: the one that signs
  std::vector<std::string> service_account_verifiers;  // PEM, the signing one first
  // By file name: "admin", "controller-manager", "scheduler", "kube-proxy".
  std::map<std::string, KeyPair> clients;
  Timestamp renew_at{};  // when the first of these is due

  bool operator==(const ClusterPki&) const = default;
};

// The name by which clients on this machine ask for ClusterPki::loopback.
inline constexpr std::string_view kLoopbackName = "apiserver-loopback-client";

// Blocking; takes the folder's lock. Errors name the file. With `in_use`, a given file that can't be used is said in
// the log, and what is in use stays: the server's own certificates are looked after all the same.
Result<ClusterPki> ensure_cluster_pki(const ClusterPkiOptions& options, const ClusterPki* in_use = nullptr);

// When a certificate is due to be replaced: at seven tenths of its life.
Timestamp renewal_time(const Certificate& certificate);

// What lies in the folder, and what was given in place of it, for people: authorities first, then leaves, by name.
struct PkiEntry {
  std::string name;       // "apiserver", "ca-next"
  std::string authority;  // who signed it, by name; empty for authorities
  Certificate certificate;
  Timestamp renew_at{};
  std::string external{};  // given by an administrator, who renews it: flag and file
};
Result<std::vector<PkiEntry>> list_pki(const std::string& folder);

// Makes a leaf anew, with its subject, names and lifetime, signed by its authority as it is now. Takes the folder's
// lock; a running server takes the new one up. BadRequest for a name that is no leaf, or is given by a file.
Result<void> reissue_leaf(const std::string& folder, const std::string& name);

// Held by whoever changes the folder, so that a server and a command take turns. Blocking.
class FolderLock {
 public:
  static Result<FolderLock> take(const std::string& folder);
  FolderLock(FolderLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FolderLock& operator=(FolderLock&&) = delete;
  ~FolderLock();

 private:
  explicit FolderLock(int fd) : fd_(fd) {}
  int fd_;
};

// NAME.crt and NAME.key; NotFound when there is no certificate.
Result<KeyPair> load_pair(const std::string& folder, const std::string& name);
Result<void> save_pair(const std::string& folder, const std::string& name, const KeyPair& pair);

}  // namespace redoubt::pki
