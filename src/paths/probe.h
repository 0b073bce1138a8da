// Active checks: what an attacker on the network, or with a small credential, would try first. Each says what it did
// and what it saw. None changes the cluster: reads, refused handshakes, and writes as dry runs.
//
// For clusters that one is allowed to test; the caller asks. Only addresses that the kubeconfig and the Node objects
// name are touched.
#pragma once
#include <string>

#include "base/task.h"
#include "client/client.h"
#include "paths/facts.h"
#include "pki/certificate.h"

namespace redoubt::paths {

struct ProbeOptions {
  // The cluster's client authority with its key, where this machine holds it: for an expired certificate and for
  // another node's. Empty: those probes are not done, and say so.
  pki::KeyPair authority;
};

// Appends to facts.probes. `config` is the client's own: what is asked under other names goes by verified TLS too.
Task<void> probe(client::Client& api, client::Config config, Facts& facts, ProbeOptions options);

// The parts. The first two are blocking.
void probe_apiserver(const Facts& facts, const ProbeOptions& options, std::vector<ProbeResult>& out);
void probe_node(const Facts& facts, const NodeFacts& node, const ProbeOptions& options, std::vector<ProbeResult>& out);
class Asker;
Task<void> probe_as_others(Asker& asker, Facts& facts);
Task<void> probe_proxies(client::Client& api, Asker& asker, Facts& facts);

}  // namespace redoubt::paths
