#include "apiserver/audit/bodies.h"

#include <fmt/format.h>

#include "schema/codec.h"
#include "schema/resource.h"

namespace redoubt::apiserver::audit {

namespace {

using schema::Value;

const schema::Type* type_of(std::string_view api_version, std::string_view kind) {
  size_t slash = api_version.find('/');
  std::string_view group = slash == std::string_view::npos ? std::string_view() : api_version.substr(0, slash);
  std::string_view version = slash == std::string_view::npos ? api_version : api_version.substr(slash + 1);
  if (const schema::Resource* r = schema::find_resource_by_kind(group, version, kind)) return r->type;
  std::string package = group.empty() ? "core" : std::string(group.substr(0, group.find('.')));
  if (const schema::Type* t = schema::find_type(fmt::format("io.k8s.api.{}.{}.{}", package, version, kind))) return t;
  return schema::find_type(fmt::format("io.k8s.apimachinery.pkg.apis.meta.v1.{}", kind));
}

void drop_managed_fields(Value& object) {
  if (Value* metadata = object.find("metadata")) metadata->erase("managedFields");
}

}  // namespace

BodyFacts read_body_facts(std::string_view content_type, std::string_view body, bool omit_managed_fields,
                          bool with_json) {
  BodyFacts out;
  if (body.empty()) return out;
  std::string_view media = content_type.substr(0, content_type.find(';'));
  while (media.ends_with(' ')) media.remove_suffix(1);
  schema::Arena arena;
  schema::DecodeLimits limits{.max_bytes = SIZE_MAX};
  Result<Value> parsed = Value::null();
  if (media == "application/vnd.kubernetes.protobuf") {
    parsed = schema::parse_protobuf(body, arena, type_of, limits);
  } else if (media.ends_with("yaml")) {
    parsed = schema::parse_yaml(body, arena, limits);
  } else {
    parsed = schema::parse_json(body, arena, limits);
  }
  if (!parsed || (!parsed->is_object() && !parsed->is_array())) return out;
  Value metadata = parsed->get({"metadata"});
  out.name = metadata.get({"name"}).as_string();
  out.uid = metadata.get({"uid"}).as_string();
  out.resource_version = metadata.get({"resourceVersion"}).as_string();
  if (!with_json) return out;
  if (omit_managed_fields && parsed->is_object()) {
    drop_managed_fields(*parsed);
    for (Value& item : schema::items(parsed->get({"items"}))) drop_managed_fields(item);
    for (Value& row : schema::items(parsed->get({"rows"}))) {
      if (Value* object = row.find("object")) drop_managed_fields(*object);
    }
  }
  out.json = schema::to_json(*parsed, nullptr);
  return out;
}

}  // namespace redoubt::apiserver::audit
