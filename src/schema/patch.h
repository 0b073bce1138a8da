// The three patches of the API on trees. All leave `target` untouched on error. BadRequest or Invalid say what does not
// fit.
#pragma once
#include "base/status.h"
#include "schema/type.h"
#include "schema/value.h"

namespace redoubt::schema {

// RFC 7386.
Value json_merge_patch(const Value& target, const Value& patch, Arena& arena);
// RFC 6902; a failed test is Invalid (422), a malformed patch BadRequest.
Result<Value> json_patch(const Value& target, const Value& patch, Arena& arena);
// Kubernetes' strategic merge patch: patchStrategy and patchMergeKey of the schema; $patch (replace, delete, merge),
// $deleteFromPrimitiveList/x, $setElementOrder/x, $retainKeys.
// https://github.com/kubernetes/community/blob/master/contributors/devel/sig-api-machinery/strategic-merge-patch.md
Result<Value> strategic_merge_patch(const Value& target, const Value& patch, const Type& type, Arena& arena);

}  // namespace redoubt::schema
