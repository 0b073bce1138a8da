// What a server serves, asked of the server itself, so that custom resources count like the built-in ones.
//
// Uses aggregated discovery (apidiscovery.k8s.io/v2): two requests for everything.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "client/client.h"

namespace redoubt::client {

// One resource in the version that the server prefers for it.
struct ApiResource {
  std::string group, version, name, kind;
  bool namespaced = true;
  std::vector<std::string> verbs;

  bool can(std::string_view verb) const;
  // "deployments.apps"; "pods" in the core group.
  std::string group_resource() const { return group.empty() ? name : name + "." + group; }
  // A row for the client's calls. Holds views into this object.
  schema::Resource row() const;
};

struct Discovered {
  std::vector<ApiResource> resources;
  // Group versions that the server could not say anything of ("metrics.k8s.io/v1beta1"): an aggregated API that is
  // down.
  std::vector<std::string> failed;
};

// Reads the body of one aggregated discovery document; appends to `into`.
Result<void> parse_discovery(std::string_view json, Discovered& into);
Task<Result<Discovered>> discover(Client& api);

}  // namespace redoubt::client
