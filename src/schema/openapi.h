// OpenAPI documents of what the server serves, made from the same types: what `kubectl explain` and validation read.
#pragma once
#include <span>
#include <string>
#include <string_view>

#include "schema/resource.h"

namespace redoubt::schema {

// Swagger 2.0 of everything (`/openapi/v2`).
std::string openapi_v2(std::span<const Resource* const> resources);
// OpenAPI 3.0 of one group-version (`/openapi/v3/apis/apps/v1`), with paths, parameters and x-kubernetes-* extensions.
std::string openapi_v3(std::string_view group, std::string_view version, std::span<const Resource* const> resources);

}  // namespace redoubt::schema
