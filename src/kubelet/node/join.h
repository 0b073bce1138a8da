// How a node gets in: with a bootstrap token and the CA's hash (or a bootstrap kubeconfig) it asks for a client
// certificate, which is its identity from then on.
//
// Nothing is trusted, and nothing said, before the server has shown a chain with the pinned authority. Every way to
// fail has its own words; none of them holds the token's secret.
#pragma once
#include <string>

#include "base/status.h"
#include "base/task.h"
#include "client/client.h"
#include "kubelet/node/identity.h"
#include "kubelet/options.h"

namespace redoubt::kubelet {

// The kept identity while it is valid; else a new one, by what `options` give for it.
Task<Result<NodeIdentity>> ensure_identity(Options options);

// Whether ensure_identity() would need a bootstrap token. Blocking.
bool needs_bootstrap(const Options& options);

// Checks what can be checked before anything is sent: the token's form, the hashes' form. BadRequest.
Result<void> check_bootstrap(const Options& options);

// What `cluster_info` (the ConfigMap's JSON; may be empty) says about a token that the server refused.
std::string explain_refused_token(const std::string& token, std::string_view cluster_info);

}  // namespace redoubt::kubelet
