// How a node gets in: with a bootstrap token and the CA's hash it asks for a client certificate, and with that for a
// serving one.
//
// Nothing is trusted before the hash matches: the first connection accepts only a chain with that CA, and learns the CA
// from it.
#pragma once
#include <string>

#include "base/status.h"
#include "base/task.h"
#include "client/client.h"
#include "kubelet/options.h"
#include "pki/certificate.h"

namespace redoubt::kubelet {

struct NodeIdentity {
  std::string ca_pem;
  pki::KeyPair client;
};

// The kept identity, when it is still good for a while; else a new one by the bootstrap token. Forbidden or
// Unauthorized say what is wrong with the token; a wrong hash says so.
Task<Result<NodeIdentity>> ensure_identity(Options options);

// A serving certificate for `names`, asked for with the node's own client certificate; waits for its approval. Kept in
// root_dir/pki.
Task<Result<pki::KeyPair>> ensure_serving_certificate(client::Client& api, Options options);

}  // namespace redoubt::kubelet
