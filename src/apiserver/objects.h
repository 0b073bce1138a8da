// Between trees and stored objects: what is extracted when an object is written, and how a tree becomes a record.
#pragma once
#include <memory>
#include <string>

#include "apiserver/resources/hooks.h"
#include "base/status.h"
#include "schema/resource.h"
#include "store/store.h"

namespace redoubt::apiserver {

// "/registry/pods/default/web-1"
std::string storage_key(const schema::Resource& resource, std::string_view ns, std::string_view name);
std::string storage_prefix(const schema::Resource& resource, std::string_view ns);

// A record of `object`, whose metadata.resourceVersion is taken out; the committer puts the new one in.
std::shared_ptr<store::Object> make_record(const Value& object, const schema::Resource& resource, schema::Arena& arena);

// Fills labels, fields, uid, ... of a loaded object: the store's `index` callback.
Result<void> index_object(store::Object& object, std::string_view storage_prefix);

}  // namespace redoubt::apiserver
