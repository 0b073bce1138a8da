// Upstream's EgressSelectorConfiguration (apiserver.k8s.io/v1beta1, --egress-selector-config-file), with our own
// protocols Reverse, SSH and Konnectivity (the server in this process) beside Direct, HTTPConnect and GRPC, and our own
// selection "node" beside cluster, controlplane, etcd.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "egress/dialer.h"

namespace redoubt::egress {

enum class Protocol { Direct, HttpConnect, Grpc, Reverse, Ssh, Konnectivity };

struct Connection {
  Protocol protocol = Protocol::Direct;
  // transport.uds.udsName (HTTPConnect, GRPC), or
  std::string uds_name;
  // transport.tcp (HTTPConnect): "https://host:port" with files, or "http://host:port".
  std::string tcp_url;
  std::string ca_bundle_file;
  std::string client_key_file;
  std::string client_cert_file;
};

struct EgressConfiguration {
  std::map<Network, Connection> selections;
  // What is not configured: Node goes as Cluster does; that and all else directly, as upstream.
  const Connection& of(Network network) const;
};

// What holds without a file: nodes and cluster by the reverse tunnel, control plane and etcd directly.
EgressConfiguration default_configuration();

// Of a file's text, YAML or JSON. BadRequest names the field and what it must be. Doesn't read the files it names.
Result<EgressConfiguration> parse_configuration(std::string_view text);

}  // namespace redoubt::egress
