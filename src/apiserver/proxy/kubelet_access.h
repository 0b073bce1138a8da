// The API server as a client of kubelets (path apiserver-kubelet): which address, and who has to answer there.
//
// A kubelet's serving certificate must chain to the kubelet authority and carry the CommonName system:node:NAME of the
// very node meant, so that no node can answer for another. There is no way to skip that. Any thread.
#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "egress/dialer.h"
#include "net/http_client.h"

namespace redoubt::apiserver {

// Where a kubelet listens, by its Node object.
struct KubeletLocation {
  std::string node;
  net::Address address;
  std::string authority() const { return address.to_string(); }
};

class KubeletAccess {
 public:
  struct Options {
    egress::Dialer& dialer;
    std::string ca_pem;           // of kubelets' serving certificates
    std::string certificate_pem;  // ours, towards kubelets
    std::string private_key_pem;
    // The first type that a node has an address of is taken.
    std::vector<std::string> preferred_address_types = {"InternalIP", "ExternalIP", "InternalDNS", "ExternalDNS",
                                                        "Hostname"};
  };
  explicit KubeletAccess(Options options) : options_(std::move(options)) {}

  // From a Node's JSON. ServiceUnavailable when it says no address yet.
  Result<KubeletLocation> locate(std::string_view node_json) const;
  // A client for the calling task's loop, with connections of its own.
  Result<std::unique_ptr<net::HttpClient>> client(Executor executor, const KubeletLocation& where) const;
  // Later connections trust `ca_pem` and present the new certificate.
  void replace_credentials(std::string ca_pem, std::string certificate_pem, std::string private_key_pem);

 private:
  Options options_;
  mutable std::mutex mutex_;
};

}  // namespace redoubt::apiserver
