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

// What guards a request: any one of the `subresources` of nodes, with the verb that says what is done. A command is a
// "create" whatever the method, so that nodes/proxy with "get" opens no shell.
struct Guard {
  std::string verb;
  std::vector<std::string> subresources;
};
// `what` is the first segment of the path, decoded: the very text that picks the handler. Fine-grained subresources as
// KEP-2862 has them; pods, healthz and configz are open to nodes/proxy too.
Guard guarded_by(std::string_view method, std::string_view what);

class Access {
 public:
  Access(client::Client& api, std::shared_ptr<const pki::TrustBundle> ca, std::string node)
      : api_(api), ca_(std::move(ca)), node_(std::move(node)) {}
  Task<Result<Caller>> authenticate(const net::Request& request);
  Task<Result<void>> authorize(Caller caller, Guard guard);

 private:
  struct Known {
    Result<Caller> caller;
    std::chrono::steady_clock::time_point until;
  };
  struct Decided {
    bool allowed;
    std::chrono::steady_clock::time_point until;
  };
  Task<Result<bool>> allowed(const Caller& caller, std::string verb, std::string subresource);

  client::Client& api_;
  std::shared_ptr<const pki::TrustBundle> ca_;
  std::string node_;
  std::map<std::string, Known> tokens_;     // bounded; by the token's text
  std::map<std::string, Decided> decided_;  // bounded
};

}  // namespace redoubt::kubelet
