#include "client/discovery.h"

#include <algorithm>
#include <set>

#include "schema/codec.h"

namespace redoubt::client {

namespace {
constexpr const char* kAggregated =
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json";
}

bool ApiResource::can(std::string_view verb) const {
  return std::find(verbs.begin(), verbs.end(), verb) != verbs.end();
}

schema::Resource ApiResource::row() const {
  schema::Resource out{};
  out.group = group;
  out.version = version;
  out.name = name;
  out.kind = kind;
  out.namespaced = namespaced;
  return out;
}

Result<void> parse_discovery(std::string_view json, Discovered& into) {
  schema::Arena arena;
  RD_TRY(schema::Value document, schema::parse_json(json, arena, {.max_bytes = SIZE_MAX}));
  if (document.get({"kind"}).as_string() != "APIGroupDiscoveryList")
    return service_unavailable("the server does not know aggregated discovery (apidiscovery.k8s.io/v2)");
  for (const schema::Value& group : schema::items(document.get({"items"}))) {
    std::string group_name(group.get({"metadata", "name"}).as_string());
    std::set<std::string_view> seen;
    // Versions come in the order of preference: the first that has a resource counts.
    for (const schema::Value& version : schema::items(group.get({"versions"}))) {
      std::string version_name(version.get({"version"}).as_string());
      if (version.get({"freshness"}).as_string() == "Stale") {
        into.failed.push_back(group_name.empty() ? version_name : group_name + "/" + version_name);
        continue;
      }
      for (const schema::Value& resource : schema::items(version.get({"resources"}))) {
        std::string_view name = resource.get({"resource"}).as_string();
        if (name.empty() || name.find('/') != std::string_view::npos || !seen.insert(name).second) continue;
        ApiResource& out = into.resources.emplace_back();
        out.group = group_name;
        out.version = version_name;
        out.name = name;
        out.kind = resource.get({"responseKind", "kind"}).as_string();
        out.namespaced = resource.get({"scope"}).as_string() == "Namespaced";
        for (const schema::Value& verb : schema::items(resource.get({"verbs"})))
          out.verbs.emplace_back(verb.as_string());
      }
    }
  }
  return {};
}

Task<Result<Discovered>> discover(Client& api) {
  Discovered out;
  for (const char* path : {"/api", "/apis"}) {
    RD_CO_TRY(RawResponse response, co_await api.request("GET", path, {}, {}, kAggregated));
    RD_CO_TRYV(parse_discovery(response.body, out));
  }
  co_return out;
}

}  // namespace redoubt::client
