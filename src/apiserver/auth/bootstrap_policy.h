// The default roles and bindings, with upstream's names and rules, as objects to reconcile when a server starts.
#pragma once
#include <string>
#include <vector>

namespace redoubt::apiserver {

struct PolicyObject {
  std::string resource;    // "clusterroles", "clusterrolebindings", "roles", "rolebindings"
  std::string namespace_;  // "" for cluster-wide
  std::string name;
  std::string json;  // complete but for what the server fills in
};

// Cluster roles first, then what refers to them.
std::vector<PolicyObject> bootstrap_policy();

}  // namespace redoubt::apiserver
