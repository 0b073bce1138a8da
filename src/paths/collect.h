// Looks at a cluster as its client: what the API says, what the server's and the nodes' addresses show.
//
// Works on any Kubernetes. What is refused, or not there, stays empty in the Facts, with the reason; nothing is assumed
// and nothing is changed (SubjectAccessReviews are questions, not objects). Belongs to the client's loop.
#pragma once
#include <string>

#include "base/status.h"
#include "base/task.h"
#include "client/client.h"
#include "paths/facts.h"

namespace redoubt::paths {

struct CollectOptions {
  std::string node;  // this one only; empty: all
  // Connect to kubelets' addresses to see their certificates. Off where the observer is the server, which dials by
  // egress and nothing else.
  bool look_at_nodes = true;
  bool read_processes = true;  // flags of a kube-apiserver on this machine
};

// ServiceUnavailable or Unauthorized when the API server can't be asked at all; NotFound for a node that is none.
Task<Result<Facts>> collect(client::Client& api, client::Config config, CollectOptions options);

// The parts, in files of their own; each fills in what it can.
Task<void> collect_rights(client::Client& api, Facts& facts);         // RBAC, reviews, old tokens
Task<void> collect_registrations(client::Client& api, Facts& facts);  // webhooks and aggregated APIs
Task<void> collect_flags(client::Client& api, Facts& facts, bool read_processes);
Task<void> collect_nodes(client::Client& api, Facts& facts, CollectOptions options);

}  // namespace redoubt::paths
