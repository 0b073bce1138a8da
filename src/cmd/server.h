// The control plane of one process: store, API server, and what runs beside it, wired together.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "apiserver/proxy/proxy_policy.h"
#include "base/status.h"
#include "client/client.h"
#include "cmd/audit.h"
#include "cmd/flags/authentication.h"
#include "cmd/flags/authorization.h"
#include "net/loop.h"
#include "net/tls.h"
#include "pki/cluster_pki.h"
#include "pki/live_pki.h"

namespace redoubt::cmd {

// The Konnectivity server within this process: --konnectivity-...
struct KonnectivityInProcess {
  uint16_t agent_port = 0;  // 0: there is none
  std::string agent_bind_address;
  std::string agent_namespace = "kube-system", agent_service_account = "konnectivity-agent";
  std::string authentication_audience = "system:konnectivity-server";
  std::string proxy_strategies = "destHost";
  int server_count = 1;
};

// How nodes, pods and Services are reached.
struct EgressOptions {
  std::string config_file;                // --egress-selector-config-file
  std::string without_tunnel = "direct";  // --nodes-without-tunnel: direct, refuse
  std::string ssh_user, ssh_keyfile;      // --ssh-user, --ssh-keyfile: with both, nodes are reached by SSH
  std::string ssh_known_hosts;            // --ssh-known-hosts
  uint16_t ssh_port = 22;                 // --ssh-port
  KonnectivityInProcess konnectivity;
};

// The secure port's certificates and what it speaks; lifetimes of what is signed here.
struct TlsOptions {
  std::string cert_file, private_key_file;  // --tls-cert-file, --tls-private-key-file; default: made by the server
  std::string root_ca_file;                 // --root-ca-file: whom clients know the given certificate by
  std::vector<std::string> sni_cert_keys;   // --tls-sni-cert-key: "cert,key" or "cert,key:name,*.name"
  net::TlsPolicy policy;                    // --tls-min-version, --tls-cipher-suites
  std::chrono::seconds certificate_duration{std::chrono::hours(24 * 365)};
  std::chrono::seconds cluster_signing_duration{std::chrono::hours(24 * 365)};
};

// External authorities: who signs certificate requests, under kube-controller-manager's names. Files are PEM.
struct SigningOptions {
  struct Pair {
    std::string cert_file, key_file;
  };
  Pair all_clients;      // --cluster-signing-{cert,key}-file
  Pair client;           // --cluster-signing-kube-apiserver-client-{cert,key}-file
  Pair kubelet_client;   // --cluster-signing-kubelet-client-{cert,key}-file
  Pair kubelet_serving;  // --cluster-signing-kubelet-serving-{cert,key}-file
};

// How the API server reaches nodes, pods and Services. Files are PEM.
struct ConnectOptions {
  std::string kubelet_certificate_authority;  // empty: the cluster's own
  std::string kubelet_client_certificate, kubelet_client_key;
  std::string proxy_client_cert_file, proxy_client_key_file;  // --proxy-client-{cert,key}-file
  std::vector<std::string> kubelet_preferred_address_types{"InternalIP", "ExternalIP", "InternalDNS", "ExternalDNS",
                                                           "Hostname"};
  std::chrono::milliseconds kubelet_timeout{5'000};
  apiserver::ProxyPolicy proxy;
};

struct ServerOptions {
  std::string data_dir = "/var/lib/redoubt";
  std::string bind_address = "0.0.0.0";
  uint16_t secure_port = 6443;
  std::string advertise_address;  // default: the address of the default route
  std::string service_cluster_ip_range = "10.96.0.0/12";
  std::string service_node_port_range = "30000-32767";
  std::string cluster_cidr = "10.244.0.0/16";
  std::string write_kubeconfig;  // default: DATA/admin.kubeconfig
  std::vector<std::string> tls_sans;
  size_t loops = 0;  // default: one a core
  size_t max_requests_inflight = 400;
  size_t max_mutating_requests_inflight = 200;
  EgressOptions egress;
  ConnectOptions connect;
  std::vector<std::string> node_address_allow;  // CIDRs whose addresses kubelet certificates may carry
  AuthenticationFlags authentication;
  AuthorizationFlags authorization;
  TlsOptions tls;
  SigningOptions signing;
  AuditFlags audit;
  std::string encryption_provider_config;  // default: a key of the installation's own, DATA/pki/encryption
  bool encryption_provider_config_automatic_reload = false;
};

class Server {
 public:
  // Starts everything and returns when /readyz is ok. Blocking.
  static Result<std::unique_ptr<Server>> start(ServerOptions options);
  virtual ~Server() = default;
  // As they are now; they change while the server runs, see live_pki().
  virtual pki::ClusterPki pki() const = 0;
  virtual pki::LivePki& live_pki() const = 0;
  virtual const ServerOptions& options() const = 0;
  virtual std::string service_ip() const = 0;
  // How a component of this process reaches the API server: the secure port, with a certificate of its own.
  virtual client::Config client_config(const pki::KeyPair& identity, std::string user_agent) const = 0;
  // Lets requests under way end, then stops. Blocking.
  virtual void stop() = 0;
};

// The source address of the machine's default route; 127.0.0.1 when there is none.
std::string default_address();

}  // namespace redoubt::cmd
