// An authenticating proxy in front of the API server: it proves itself by a certificate of its own authority and says
// in headers who the user is. From anybody else these headers mean nothing. Any thread.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "apiserver/auth/authentication.h"
#include "apiserver/auth/x509.h"
#include "net/http.h"

namespace redoubt::apiserver {

struct FrontProxyOptions {
  std::shared_ptr<const pki::TrustBundle> client_ca;  // --requestheader-client-ca-file; null: no front proxy
  std::vector<std::string> allowed_names;             // CNs; empty: any certificate of that authority
  std::vector<std::string> username_headers = {"x-remote-user"};
  std::vector<std::string> uid_headers;
  std::vector<std::string> group_headers = {"x-remote-group"};
  std::vector<std::string> extra_headers_prefixes = {"x-remote-extra-"};
};

class FrontProxy {
 public:
  explicit FrontProxy(FrontProxyOptions options);
  // Nothing when no such proxy sent this, or when it names no user.
  Attempt authenticate(const net::Request& request) const;
  // Takes all headers away that could say who the user is, those of the default names too: done with every request
  // once it is known whose it is.
  void clear(net::Headers& headers) const;

 private:
  FrontProxyOptions options_;
  std::unique_ptr<CertificateVerifier> verifier_;
};

}  // namespace redoubt::apiserver
