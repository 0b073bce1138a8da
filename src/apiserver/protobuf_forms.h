// Stored objects as items of protobuf lists, made on demand and kept with the object while there is room: typed clients
// list the same objects again and again, and reading their JSON is most of what such a list costs.
//
// Any thread.
#pragma once
#include "base/bytes.h"
#include "schema/type.h"
#include "store/store.h"

namespace redoubt::apiserver {

// Memory that the kept forms of all objects may take together; the oldest go first. About 8,000 pods.
inline constexpr size_t kProtobufFormsBytes = 24 << 20;

// The object, in its stored version, as an item of a list's message: the field's tag, the size and the bare message (no
// envelope). `type` is the object's, `list` its list's.
Result<Bytes> protobuf_item_of(const store::ObjectPtr& object, const schema::Type& type, const schema::Type& list);

}  // namespace redoubt::apiserver
