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

namespace redoubt::pki {

struct ClusterPkiOptions {
  std::string folder;
  std::vector<std::string> apiserver_dns_names;     // besides kubernetes, kubernetes.default, ...
  std::vector<std::string> apiserver_ip_addresses;  // addresses it is reached by, the Service's virtual one included
  std::chrono::seconds leaf_lifetime{std::chrono::hours(24 * 365)};
  // Instead of apiserver.{crt,key}: --tls-cert-file and --tls-private-key-file, renewed by whoever made them and read
  // again when they change.
  std::string apiserver_certificate_file, apiserver_key_file;
};

struct ClusterPki {
  KeyPair ca;  // the one that signs
  KeyPair kubelet_ca;
  KeyPair front_proxy_ca;
  // What is trusted: the signing one first, then the next and the previous while a rotation is under way.
  std::string ca_bundle;
  std::string kubelet_ca_bundle;
  std::string front_proxy_ca_bundle;
  KeyPair apiserver;
  KeyPair apiserver_kubelet_client;
  KeyPair front_proxy_client;
  std::string service_account_key;                     // private, PEM: the one that signs
  std::vector<std::string> service_account_verifiers;  // PEM, the signing one first
  // By file name: "admin", "controller-manager", "scheduler", "kube-proxy".
  std::map<std::string, KeyPair> clients;
  Timestamp renew_at{};  // when the first of these is due

  bool operator==(const ClusterPki&) const = default;
};

// Blocking; takes the folder's lock. Errors name the file.
Result<ClusterPki> ensure_cluster_pki(const ClusterPkiOptions& options);

// When a certificate is due to be replaced: at seven tenths of its life.
Timestamp renewal_time(const Certificate& certificate);

// What lies in the folder, for people: authorities first, then leaves, by name.
struct PkiEntry {
  std::string name;       // "apiserver", "ca-next"
  std::string authority;  // who signed it, by name; empty for authorities
  Certificate certificate;
  Timestamp renew_at{};
};
Result<std::vector<PkiEntry>> list_pki(const std::string& folder);

// Makes a leaf anew, with its subject, names and lifetime, signed by its authority as it is now. Takes the folder's
// lock; a running server takes the new one up. BadRequest for a name that is no leaf.
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
