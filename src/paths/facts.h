// What was fetched from a cluster and what its addresses showed: the judge's only input, so that every verdict can be
// reproduced by hand, and tested without a cluster.
//
// Values. An empty optional is something that could not be seen; the text beside it says why.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "paths/handshake.h"
#include "paths/observation.h"

namespace redoubt::paths {

struct Rule {
  std::vector<std::string> verbs, groups, resources, names, urls;
};
struct Subject {
  std::string kind, ns, name;  // "User", "Group", "ServiceAccount"
};
// A role binding with what its role allows.
struct Grant {
  std::string binding;  // "ClusterRoleBinding/x", "RoleBinding/ns/x"
  std::string ns;       // empty: the whole cluster
  std::string role;
  std::vector<Subject> subjects;
  std::vector<Rule> rules;
  bool built_in = false;  // both carry kubernetes.io/bootstrapping
};

// A question to the API server that changes nothing: may `user` do this?
struct Review {
  std::string user;
  std::string what;  // "list secrets"
  bool allowed = false;
};

// A webhook, an aggregated API server, or a conversion webhook.
struct Registration {
  std::string name;  // "ValidatingWebhookConfiguration/x: w.example.com"
  std::string url;   // or empty:
  std::string service;
  bool has_ca = false;
  bool skips_verification = false;
};

// KubeletConfiguration, as far as it matters here.
struct KubeletConfig {
  bool anonymous = false;
  bool webhook_authentication = false;
  std::string authorization_mode;
  int64_t read_only_port = 0;
  bool serving_certificate_from_cluster = false;  // serverTLSBootstrap, or a file of its own
  std::string tls_min_version;
};

struct NodeFacts {
  std::string name;
  std::vector<std::string> addresses;  // internal ones first
  uint16_t kubelet_port = 10250;
  bool control_plane = false;
  std::optional<bool> lease_live;
  std::optional<Handshake> kubelet;         // straight to an address; connected says whether the port is open to us
  std::optional<Answer> kubelet_anonymous;  // GET /pods without a credential; with probes only
  std::optional<int> through_server;        // status of GET nodes/N/proxy/healthz at the API server
  std::string through_server_error;
  std::optional<KubeletConfig> config;
  std::string config_error;
  // By the server's own word (Redoubt).
  std::string way;  // "reverse", "direct"
  bool confidential = false;
  std::string why_not_confidential;
};

// What a Redoubt server says of itself at /redoubt/paths/state.
struct ServerState {
  std::string version;
  std::vector<std::string> authorization_modes;
  std::string anonymous;  // "health", "all", "none"
  bool kubelets_verified = false;
  std::string kubelet_authority;  // its name
  std::string kubelet_ca_pem;
  std::string proxy_plaintext;       // "refuse", "allow"
  std::string proxy_unverified_tls;  // "report", "refuse"
  std::string without_tunnel;        // "direct", "refuse"
  std::string store;                 // "embedded"
  std::string egress;                // "Reverse", or what the configuration says for the cluster
  bool node_restriction = false;
  bool extends_tokens = false;
  bool secrets_encrypted = false;
  std::vector<TunnelSeen> tunnels;
};

struct Facts {
  std::string server_url;
  Peer server;
  std::string server_name;  // for the certificate
  std::string ca_pem;       // what the kubeconfig trusts
  std::string identity;     // how we are known: "client certificate kubernetes-admin", "bearer token"
  std::string server_version;
  bool redoubt = false;
  Timestamp at{};
  Handshake handshake;            // with the API server
  std::string handshake_problem;  // why its chain is not right; empty: it is

  std::optional<ServerState> state;
  std::optional<std::map<std::string, std::string>> apiserver_flags;  // without their dashes
  std::string flags_source;
  std::map<std::string, double> metrics;  // "name{labels}" -> value; of the families that matter here
  bool metrics_seen = false;

  std::optional<std::vector<Grant>> grants;
  std::string grants_error;
  std::vector<Review> reviews;
  bool reviews_seen = false;

  std::optional<std::vector<std::string>> legacy_tokens;  // "ns/name (service account x)"
  std::string legacy_tokens_error;
  std::optional<std::vector<Registration>> registrations;
  std::string registrations_error;
  std::optional<std::string> service_ip;  // of the kubernetes Service

  std::vector<NodeFacts> nodes;
  std::string nodes_error;
  size_t nodes_left_out = 0;
  std::map<std::string, bool> component_leases;  // "kube-scheduler" -> live
  std::optional<int64_t> konnectivity_agents;    // pods that are ready

  std::vector<ProbeResult> probes;
};

}  // namespace redoubt::paths
