// Asking the cluster for a certificate: a CertificateSigningRequest, and the wait for what becomes of it.
#pragma once
#include <chrono>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/task.h"
#include "client/client.h"
#include "pki/certificate.h"

namespace redoubt::kubelet {

struct CertificateWish {
  std::string signer;
  pki::Subject subject;
  std::vector<std::string> dns_names, ip_addresses;
  std::vector<std::string> usages;
};

// With a new key of its own. Waits for approval as long as the request exists, and says in the log that it does; a
// request that somebody removed is an error (NotFound), a denied or failed one Forbidden with the reason. `patience` 0
// is endless.
Task<Result<pki::KeyPair>> request_certificate(client::Client& api, CertificateWish wish,
                                               std::chrono::seconds patience);

}  // namespace redoubt::kubelet
