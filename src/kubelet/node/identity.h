// A node's identity on disk, as upstream's kubelet keeps it, in root_dir/pki:
//
//   kubelet-client-current.pem   client certificate and key, one file, 0600
//   kubelet-server-current.pem   serving certificate and key
//   ca.crt                       the authorities of the API server, learned at the join and followed since
// and beside the folder `kubeconfig`, which names the three and the server. Each is replaced whole (a rename): whoever
// reads them finds the old or the new.
#pragma once
#include <optional>
#include <string>

#include "base/status.h"
#include "kubelet/options.h"
#include "pki/certificate.h"

namespace redoubt::kubelet {

struct NodeIdentity {
  std::string server;  // "https://10.0.0.1:6443"
  std::string ca_pem;
  pki::KeyPair client;
};

enum class NodeCertificate { Client, Serving };

std::string certificate_path(const Options& options, NodeCertificate which);
std::string kubeconfig_path(const Options& options);

// The kept pair; nothing when there is none, or the two don't belong together. Blocking, as all here.
std::optional<pki::KeyPair> load_certificate(const Options& options, NodeCertificate which);
Result<void> save_certificate(const Options& options, NodeCertificate which, const pki::KeyPair& pair);
Result<void> save_roots(const Options& options, const std::string& ca_pem);

// What a kept identity says; nothing when the node has not joined or its certificate has ended (then `why` says when).
std::optional<NodeIdentity> load_identity(const Options& options, std::string& why);
Result<void> save_identity(const Options& options, const NodeIdentity& identity);

}  // namespace redoubt::kubelet
