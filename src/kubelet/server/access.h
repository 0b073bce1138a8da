// Who asks the kubelet, and may they? Certificates of the client CA, tokens by TokenReview, rights by
// SubjectAccessReview.
#pragma once
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "client/client.h"
#include "net/http.h"
#include "pki/certificate.h"

namespace redoubt::kubelet {

struct Caller {
  std::string name;
  std::string uid;
  std::vector<std::string> groups;
};

// The nodes subresource that guards a path, and the verb that says what it does: a command is a "create" whatever the
// method.
std::pair<std::string, std::string> guarded_by(std::string_view method, std::string_view path);

class Access {
 public:
  Access(client::Client& api, std::shared_ptr<const pki::TrustBundle> ca, std::string node)
      : api_(api), ca_(std::move(ca)), node_(std::move(node)) {}
  Task<Result<Caller>> authenticate(const net::Request& request);
  Task<Result<void>> authorize(Caller caller, std::string method, std::string path);

 private:
  struct Known {
    Result<Caller> caller;
    std::chrono::steady_clock::time_point until;
  };
  struct Decided {
    bool allowed;
    std::chrono::steady_clock::time_point until;
  };
  client::Client& api_;
  std::shared_ptr<const pki::TrustBundle> ca_;
  std::string node_;
  std::map<std::string, Known> tokens_;     // bounded; by the token's text
  std::map<std::string, Decided> decided_;  // bounded
};

}  // namespace redoubt::kubelet
