// What is known of a running cluster's paths: one observation a path and endpoint, and the findings behind its verdict.
//
// Values. What could not be seen is Unknown and says so; nothing is assumed.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace redoubt::paths {

// From harmless to grave: the worst of several decides. Unused: the cluster has no such path.
enum class Verdict { Unused, Secure, Unknown, Weak, Open };
std::string_view verdict_name(Verdict verdict);

// One thing that was seen, by whatever way, and what follows from it.
struct Finding {
  Verdict verdict = Verdict::Unknown;
  std::string id;      // "kubelet-self-signed": stable, for scripts
  std::string saw;     // a sentence
  std::string advice;  // what to do; empty where nothing is to be done
};

// A tunnel, as the server that holds it says.
struct TunnelSeen {
  std::string kind, node, peer, identity;  // kind: "reverse", "konnectivity", "ssh"
  bool up = false;                         // takes streams
  std::optional<Timestamp> since;
  int64_t streams = 0, bytes_to_node = 0, bytes_from_node = 0;
  std::optional<std::chrono::microseconds> round_trip;
  std::string last_error;
};

struct Observation {
  std::string path;
  std::string from, to;
  std::string node;                 // which node's; empty for none's
  std::optional<int64_t> live;      // connections or leases that are up
  std::string tls_version, cipher;  // empty: not seen
  std::string tunnel;               // "reverse", "konnectivity", "direct"; empty: not seen
  std::string client_identity;      // who the dialling end showed to be, and by what
  std::string server_identity;      // the same of the answering end
  std::string authorization;        // "Node,RBAC"
  std::string verified_by;          // the authority against which the certificate was checked
  std::optional<int64_t> days_left;
  std::vector<TunnelSeen> tunnels;  // where the path is a tunnel
  std::vector<Finding> findings;

  // The worst finding's; Unknown without any.
  Verdict verdict() const;
  const Finding* worst() const;
  void add(Verdict verdict, std::string id, std::string saw, std::string advice = {});
};

// An active check: what was done, what came back, and what that means.
struct ProbeResult {
  std::string id;  // "apiserver-anonymous"
  std::string path;
  std::string node;  // or empty
  std::string did, saw;
  Verdict verdict = Verdict::Unknown;  // Unknown: could not be done, `saw` says why
  std::string advice;
};

struct Report {
  std::string cluster;         // the API server's URL
  std::string server_version;  // "v1.35.4+redoubt", empty when it would not say
  Timestamp at{};
  bool probed = false;
  std::vector<Observation> observations;
  std::vector<ProbeResult> probes;

  Verdict worst() const;
  size_t count(Verdict verdict) const;
};

}  // namespace redoubt::paths
