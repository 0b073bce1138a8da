#include "schema/openapi_schemas.h"

#include <algorithm>

#include "base/json_text.h"

namespace redoubt::schema {

namespace {

struct Special {
  FieldKind kind;
  std::string_view name;
  std::string_view v2, v3;  // the schema's members, without the description
};

// Types with a JSON form of their own, under the names that clients look for.
constexpr Special kSpecial[] = {
    {FieldKind::Quantity, "io.k8s.apimachinery.pkg.api.resource.Quantity", R"("type":"string")",
     R"("oneOf":[{"type":"string"},{"type":"number"}])"},
    {FieldKind::IntOrString, "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
     R"("type":"string","format":"int-or-string")",
     R"("format":"int-or-string","oneOf":[{"type":"integer"},{"type":"string"}])"},
    {FieldKind::Time, "io.k8s.apimachinery.pkg.apis.meta.v1.Time", R"("type":"string","format":"date-time")",
     R"("type":"string","format":"date-time")"},
    {FieldKind::MicroTime, "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime", R"("type":"string","format":"date-time")",
     R"("type":"string","format":"date-time")"},
    {FieldKind::Duration, "io.k8s.apimachinery.pkg.apis.meta.v1.Duration", R"("type":"string")", R"("type":"string")"},
    {FieldKind::RawExtension, "io.k8s.apimachinery.pkg.runtime.RawExtension", R"("type":"object")",
     R"("type":"object")"},
    {FieldKind::FieldsV1, "io.k8s.apimachinery.pkg.apis.meta.v1.FieldsV1", R"("type":"object")", R"("type":"object")"},
    {FieldKind::Json, "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON", "", ""},
};

std::string text(std::string_view value) {
  std::string out;
  append_json_string(out, value);
  return out;
}

void append_description(std::string& out, uint32_t doc) {
  std::string_view words = documentation(doc);
  if (!words.empty()) out += "\"description\":" + text(words) + ",";
}

// Drops the comma after the last member and closes.
std::string closed(std::string object) {
  if (object.ends_with(',')) object.pop_back();
  return object + "}";
}

}  // namespace

std::string OpenApiSchemas::ref_to(std::string_view name) const {
  return fmt::format(R"({{"$ref":"#/{}/{}"}})", version_ == OpenApiVersion::V2 ? "definitions" : "components/schemas",
                     name);
}

void OpenApiSchemas::need(const Type& type) {
  if (known_.emplace(type.name, &type).second) pending_.push_back(&type);
}

std::string OpenApiSchemas::ref(const Type& type) {
  need(type);
  return ref_to(type.name);
}

void OpenApiSchemas::name_kind(const Type& type, std::string_view group, std::string_view version,
                               std::string_view kind) {
  std::string one = fmt::format(R"({{"group":"{}","kind":"{}","version":"{}"}})", group, kind, version);
  std::vector<std::string>& all = kinds_[type.name];
  if (std::find(all.begin(), all.end(), one) == all.end()) all.push_back(std::move(one));
}

// The schema of one value of the field, lists and maps aside.
std::string OpenApiSchemas::scalar(const Field& field) {
  switch (field.kind) {
    case FieldKind::Bool:
      return R"({"type":"boolean"})";
    case FieldKind::Int32:
      return R"({"type":"integer","format":"int32"})";
    case FieldKind::Int64:
      return R"({"type":"integer","format":"int64"})";
    case FieldKind::Double:
      return R"({"type":"number","format":"double"})";
    case FieldKind::String:
      return R"({"type":"string"})";
    case FieldKind::Bytes:
      return R"({"type":"string","format":"byte"})";
    case FieldKind::Message:
      return field.type == nullptr ? R"({"type":"object"})" : ref(*field.type);
    default:
      break;
  }
  for (const Special& special : kSpecial) {
    if (special.kind != field.kind) continue;
    special_.emplace(special.name, fmt::format("{{{}}}", version_ == OpenApiVersion::V2 ? special.v2 : special.v3));
    return ref_to(special.name);
  }
  return "{}";
}

// scalar(), with the default that values of structs and plain values have in lists and maps.
std::string OpenApiSchemas::element(const Field& field) {
  std::string one = scalar(field);
  if (version_ == OpenApiVersion::V2) return one;
  switch (field.kind) {
    case FieldKind::Message:
      return fmt::format(R"({{"allOf":[{}],"default":{{}}}})", one);
    case FieldKind::String:
      return R"({"type":"string","default":""})";
    default:
      return one;
  }
}

std::string OpenApiSchemas::property(const Field& field) {
  std::string out = "{";
  append_description(out, field.doc);
  if (!field.default_json.empty()) out += fmt::format("\"default\":{},", field.default_json);
  if (field.map) {
    std::string one = field.repeated ? fmt::format(R"({{"type":"array","items":{}}})", element(field)) : element(field);
    out += fmt::format(R"("type":"object","additionalProperties":{},)", one);
  } else if (field.repeated) {
    out += fmt::format(R"("type":"array","items":{},)", element(field));
  } else {
    std::string one = scalar(field);
    if (!one.starts_with("{\"$ref\"")) {
      if (one.size() > 2) out += one.substr(1, one.size() - 2) + ",";
    } else if (version_ == OpenApiVersion::V2) {
      out += one.substr(1, one.size() - 2) + ",";
    } else {
      if (field.kind == FieldKind::Message && !field.pointer && field.default_json.empty()) out += "\"default\":{},";
      out += fmt::format(R"("allOf":[{}],)", one);
    }
  }
  if (!field.enum_values.empty() && field.kind == FieldKind::String && !field.repeated && !field.map &&
      version_ == OpenApiVersion::V3) {
    out += "\"enum\":[";
    for (std::string_view value : field.enum_values) out += text(value) + ",";
    out.back() = ']';
    out += ',';
  }
  static constexpr std::string_view kListTypes[] = {"", "atomic", "set", "map"};
  if (field.list_type != ListType::None)
    out += fmt::format(R"("x-kubernetes-list-type":"{}",)", kListTypes[static_cast<size_t>(field.list_type)]);
  if (!field.list_map_keys.empty()) {
    out += "\"x-kubernetes-list-map-keys\":[";
    for (std::string_view key : field.list_map_keys) out += text(key) + ",";
    out.back() = ']';
    out += ',';
  }
  if (field.map_atomic) out += R"("x-kubernetes-map-type":"atomic",)";
  if (!field.patch_merge_key.empty())
    out += fmt::format(R"("x-kubernetes-patch-merge-key":"{}",)", field.patch_merge_key);
  if (field.patch_merge || field.patch_retain_keys)
    out += fmt::format(R"("x-kubernetes-patch-strategy":"{}",)", !field.patch_retain_keys ? "merge"
                                                                 : field.patch_merge      ? "merge,retainKeys"
                                                                                          : "retainKeys");
  return closed(std::move(out));
}

void OpenApiSchemas::append_properties(std::string& out, const Type& type, std::vector<std::string_view>& required,
                                       bool& first) {
  for (const Field& field : type.fields) {
    if (field.inlined) {
      if (field.type != nullptr) append_properties(out, *field.type, required, first);
      continue;
    }
    if (!first) out += ',';
    first = false;
    append_json_string(out, field.name);
    out += ':';
    out += property(field);
    if (field.required) required.push_back(field.name);
  }
}

std::string OpenApiSchemas::definition(const Type& type) {
  std::string out = "{";
  append_description(out, type.doc);
  if (type.list_wrapper && !type.fields.empty()) {
    return out + fmt::format(R"("type":"array","items":{}}})", element(type.fields.front()));
  }
  std::vector<std::string_view> required;
  std::string properties;
  bool first = true;
  append_properties(properties, type, required, first);
  out += "\"type\":\"object\",";
  if (!required.empty()) {
    std::sort(required.begin(), required.end());
    out += "\"required\":[";
    for (std::string_view name : required) out += text(name) + ",";
    out.back() = ']';
    out += ',';
  }
  if (!properties.empty()) out += fmt::format("\"properties\":{{{}}},", properties);
  if (auto it = kinds_.find(type.name); it != kinds_.end()) {
    std::sort(it->second.begin(), it->second.end());
    out += fmt::format("\"x-kubernetes-group-version-kind\":[{}],", fmt::join(it->second, ","));
  }
  return closed(std::move(out));
}

std::string OpenApiSchemas::take_definitions() {
  std::map<std::string, std::string, std::less<>> made;
  while (!pending_.empty()) {
    const Type* type = pending_.back();
    pending_.pop_back();
    made.emplace(type->name, definition(*type));
  }
  made.merge(special_);
  std::string out;
  for (const auto& [name, schema] : made) {
    if (!out.empty()) out += ',';
    append_json_string(out, name);
    out += ':';
    out += schema;
  }
  return out;
}

}  // namespace redoubt::schema
