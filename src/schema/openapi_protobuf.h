// The Swagger document in the protobuf form that kubectl and client-go ask for
// (`application/com.github.proto-openapi.spec.v2@v1.0+protobuf`): message openapi.v2.Document of gnostic-models.
// https://github.com/google/gnostic-models/blob/main/openapiv2/OpenAPIv2.proto
#pragma once
#include <string>
#include <string_view>

#include "base/status.h"

namespace redoubt::schema {

// `json` is what openapi_v2() gave. InternalError when it holds something that the messages here have no place for.
Result<std::string> openapi_v2_protobuf(std::string_view json);

}  // namespace redoubt::schema
