// The control plane of one process: store, API server, and what runs beside it, wired together.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "client/client.h"
#include "cmd/flags/authentication.h"
#include "cmd/flags/authorization.h"
#include "net/loop.h"
#include "pki/cluster_pki.h"

namespace redoubt::cmd {

// How nodes, pods and Services are reached.
struct EgressOptions {
  std::string config_file;                // --egress-selector-config-file
  std::string without_tunnel = "direct";  // --nodes-without-tunnel: direct, refuse
};

struct ServerOptions {
  std::string data_dir = "/var/lib/redoubt";
  std::string bind_address = "0.0.0.0";
  uint16_t secure_port = 6443;
  std::string advertise_address;  // default: the address of the default route
  std::string service_cluster_ip_range = "10.96.0.0/12";
  std::string cluster_cidr = "10.244.0.0/16";
  std::string write_kubeconfig;  // default: DATA/admin.kubeconfig
  std::vector<std::string> tls_sans;
  size_t loops = 0;  // default: one a core
  size_t max_requests_inflight = 400;
  size_t max_mutating_requests_inflight = 200;
  EgressOptions egress;
  std::vector<std::string> node_address_allow;  // CIDRs whose addresses kubelet certificates may carry
  AuthenticationFlags authentication;
  AuthorizationFlags authorization;
};

class Server {
 public:
  // Starts everything and returns when /readyz is ok. Blocking.
  static Result<std::unique_ptr<Server>> start(ServerOptions options);
  virtual ~Server() = default;
  virtual const pki::ClusterPki& pki() const = 0;
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
