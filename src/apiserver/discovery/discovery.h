// Discovery: what the server serves, for clients that ask. Legacy lists and the aggregated form (v2).
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace redoubt::apiserver {

struct DiscoveryDocument {
  std::string content_type;
  std::string body;
  std::string etag;
};

// The document at /api, /apis, /api/v1, /apis/G or /apis/G/V; nothing for another path. `accept`: the request's header.
std::optional<DiscoveryDocument> discovery(std::string_view path, std::string_view accept);
// /version
std::string version_json();

}  // namespace redoubt::apiserver
