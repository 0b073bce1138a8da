// Groups of extension API servers in the two forms of discovery, beside this server's own. Pure text; any thread.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "apiserver/aggregation/api_services.h"
#include "apiserver/discovery/discovery.h"

namespace redoubt::apiserver {

// What the server of a group version said of its resources, as discovered_resources() made it (empty: nothing yet), and
// whether it still says so: one that doesn't answer any more keeps its resources, as stale ones.
struct SaidResources {
  std::string entries;
  bool current = false;
};
// A server's APIResourceList as entries of APIVersionDiscovery's resources, without the brackets; nothing when it can't
// be read. Linear in its size.
std::optional<std::string> discovered_resources(std::string_view group, std::string_view version,
                                                std::string_view resource_list);
using KnownResources = std::function<SaidResources(const std::string& group_version)>;

// The document at /apis with the others' groups, or at /apis/G of one of them; nothing where the server's own document
// is right as it is. `accept`: the request's header.
std::optional<DiscoveryDocument> merged_discovery(const ApiServiceTable& services, const KnownResources& resources,
                                                  std::string_view path, std::string_view accept);

// One version of a group as APIGroupDiscovery has it.
std::string version_discovery(std::string_view version, const SaidResources& said);

// The index at /openapi/v3 with the group versions of servers that answer; nothing where there is none.
std::optional<DiscoveryDocument> merged_openapi_index(const ApiServiceTable& services, const KnownResources& resources,
                                                      std::string_view own);

}  // namespace redoubt::apiserver
