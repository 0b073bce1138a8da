// Versions of one group-resource that share a store: from the stored version to the one asked for, and back.
#pragma once
#include "base/status.h"
#include "schema/resource.h"
#include "schema/value.h"

namespace redoubt::apiserver {

// In place. `resource` is the row of the version that the request uses.
Result<void> convert_from_stored(schema::Value& object, const schema::Resource& resource, schema::Arena& arena);
Result<void> convert_to_stored(schema::Value& object, const schema::Resource& resource, schema::Arena& arena);
// The row of the stored version.
const schema::Resource& stored_version(const schema::Resource& resource);

}  // namespace redoubt::apiserver
