// Keeps this node's table of NetworkPolicies right (table "redoubt-policy").
//
// Changes are gathered a moment and applied in one transaction; a table that somebody took away is put back. While the
// API server is away, and after this process ends, what is installed stays. Belongs to the client's loop.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "base/event.h"
#include "client/client.h"
#include "client/informer.h"
#include "networkpolicy/resolved.h"
#include "schema/k8s/core_v1.h"

namespace redoubt::networkpolicy {

class Enforcer {
 public:
  Enforcer(client::Client& api, std::string node_name);
  Task<void> run();  // until cancelled

 private:
  Task<Result<void>> install();
  client::Client& api_;
  std::string node_name_;
  client::Informer<k8s::core::v1::ConfigMap> maps_;
  client::Informer<k8s::core::v1::Node> node_;
  std::map<std::string, Policy> policies_;  // by ConfigMap
  Event changed_;
  std::string installed_;  // script
};

// Blocking; for `redoubt reset`.
Result<void> remove_rules();

}  // namespace redoubt::networkpolicy
