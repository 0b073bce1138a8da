// What a kubelet may write: the Node authorizer says which kinds and names, this looks into the objects. Upstream's
// NodeRestriction admission. A pure function of the request and the newest state; any thread.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "schema/value.h"
#include "store/store.h"

namespace redoubt::apiserver {

struct NodeWrite {
  std::string_view node;  // who asks: NAME of system:node:NAME
  std::string_view group, resource, subresource, namespace_;
  std::string_view name;  // of the object written
};

// Why the write is forbidden, or nothing. `object` is null for a delete, `old` for a create.
std::optional<std::string> node_restriction(const store::Store& store, const NodeWrite& write,
                                            const schema::Value& object, const schema::Value& old);

}  // namespace redoubt::apiserver
