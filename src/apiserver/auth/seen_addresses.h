// From where each node's credential was used: the addresses of connections that a node's certificate authenticated.
//
// A kubelet writes its own Node's addresses, so those prove nothing; that a connection came from an address, both ways,
// does. The approver of serving certificates goes by these, which the server writes into each request as it is made
// (kSeenAddressesAnnotation), so that the record goes where the request goes and no client can write it. Any thread.
#pragma once
#include <chrono>
#include <deque>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace redoubt::apiserver {

// On CertificateSigningRequests, comma-separated; only the API server sets it.
inline constexpr std::string_view kSeenAddressesAnnotation = "redoubt.dev/seen-addresses";

class SeenAddresses {
 public:
  // An address counts for an hour after it was last seen: a node that moved has its old one no longer.
  static constexpr std::chrono::hours kRemember{1};
  // Nodes have few addresses; behind a pool of NAT addresses the oldest goes.
  static constexpr size_t kPerNode = 8;
  // Beyond it the node that was added first is forgotten; it is known again by its next request.
  static constexpr size_t kMaxNodes = 32 * 1024;

  void saw(std::string_view node, std::string_view address,
           std::chrono::steady_clock::time_point when = std::chrono::steady_clock::now());
  // Latest first.
  std::vector<std::string> of(std::string_view node,
                              std::chrono::steady_clock::time_point when = std::chrono::steady_clock::now()) const;

 private:
  struct Seen {
    std::string address;
    std::chrono::steady_clock::time_point last;
  };
  mutable std::mutex mutex_;
  std::unordered_map<std::string, std::vector<Seen>> nodes_;
  std::deque<std::string> order_;
};

}  // namespace redoubt::apiserver
