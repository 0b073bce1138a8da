// Server-side printed tables (meta.k8s.io/v1 Table): what `kubectl get` shows.
#pragma once
#include <string>
#include <string_view>

#include "schema/resource.h"
#include "schema/value.h"

namespace redoubt::apiserver {

// `{"kind":"Table",...,"rows":[`, with the resource's column definitions (left out when `columns` is false, as later
// watch events do).
void append_table_head(std::string& out, const schema::Resource& resource, std::string_view list_meta_json,
                       bool columns);
// One row: cells and the object as `include` says (None, Metadata (default) or Object).
void append_table_row(std::string& out, const schema::Resource& resource, const schema::Value& object,
                      std::string_view include);

}  // namespace redoubt::apiserver
