// The API server as a client of kubelets (path apiserver-kubelet): which address, and who has to answer there.
//
// A kubelet's serving certificate must chain to the kubelet authority and carry the CommonName system:node:NAME of the
// very node meant, so that no node can answer for another. With a bundle of the administrator's
// (--kubelet-certificate-authority) it must chain to that and carry the address or name dialled, as upstream checks it.
// There is no way to skip verification. Any thread; clients belong to the calling loop.
#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/proxy/address_guard.h"
#include "apiserver/proxy/client_pool.h"
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
  enum class NameCheck { NodeName, Address };
  struct Options {
    egress::Dialer& dialer;
    std::string ca_pem;           // of kubelets' serving certificates
    std::string certificate_pem;  // ours, towards kubelets
    std::string private_key_pem;
    NameCheck name_check = NameCheck::NodeName;
    // The first type that a node has an address of is taken (--kubelet-preferred-address-types). Upstream prefers the
    // host's name, which only a cluster's own DNS knows.
    std::vector<std::string> preferred_address_types = {"InternalIP", "ExternalIP", "InternalDNS", "ExternalDNS",
                                                        "Hostname"};
    std::chrono::milliseconds timeout{5'000};  // --kubelet-timeout: until a connection stands
    AddressGuard guard{{}};
  };
  explicit KubeletAccess(Options options) : options_(std::move(options)) {}

  // From a Node's JSON. An error as users know it when the node says no address yet.
  Result<KubeletLocation> locate(std::string_view node_json) const;
  // The calling loop's client for that kubelet; its connections are shared with other requests. Hold it while a request
  // of yours runs.
  Result<std::shared_ptr<net::HttpClient>> client(Executor executor, const KubeletLocation& where,
                                                  egress::PathId path = egress::PathId::ApiserverKubelet) const;
  // Later connections trust `ca_pem` and present the new certificate; what is empty stays as it is.
  void replace_credentials(std::string ca_pem, std::string certificate_pem, std::string private_key_pem);
  // Drops kept connections; see ClientPool.
  void clear() { pool_.clear(); }

 private:
  Options options_;
  mutable std::mutex mutex_;
  uint64_t generation_ = 0;
  mutable ClientPool pool_;
};

// What went wrong on the way to a kubelet or backend, for the client: a certificate that is not the right one is a 502
// that names path, node and cause; everything else stays what it was.
bool is_verification_failure(const Status& status);
Status verification_failure(std::string_view path, std::string_view node, std::string_view address,
                            const Status& status);

}  // namespace redoubt::apiserver
