#include <algorithm>

#include "apiserver/resources/hooks.h"
#include "schema/codec.h"

namespace redoubt::apiserver {

const std::string_view kLabelMessage =
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or "
    "'123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const std::string_view kSubdomainMessage =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. "
    "'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

namespace {

constexpr size_t kMaxAnnotationBytes = 256 * 1024;

bool is_lower_alnum(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}
bool is_alnum(char c) {
  return is_lower_alnum(c) || (c >= 'A' && c <= 'Z');
}

bool label_syntax(std::string_view text) {
  if (text.empty() || !is_lower_alnum(text.front()) || !is_lower_alnum(text.back())) return false;
  return std::all_of(text.begin(), text.end(), [](char c) { return is_lower_alnum(c) || c == '-'; });
}

// The name part of a label key: letters, digits, '-', '_', '.', at most 63.
bool name_part(std::string_view text) {
  if (text.empty() || text.size() > 63 || !is_alnum(text.front()) || !is_alnum(text.back())) return false;
  return std::all_of(text.begin(), text.end(), [](char c) { return is_alnum(c) || c == '-' || c == '_' || c == '.'; });
}

void validate_name(std::string_view name, const KindHooks& hooks, const std::string& field, bool prefix,
                   Causes& causes) {
  std::string shown(name);
  std::string checked(name);
  if (prefix && checked.ends_with('-')) checked.back() = 'a';  // what is generated follows the dash
  switch (hooks.name_rule) {
    case KindHooks::NameRule::PathSegment:
      if (name == "." || name == "..")
        invalid_value(causes, field, shown, fmt::format("may not be '{}'", name));
      else if (size_t at = name.find_first_of("/%"); at != std::string_view::npos)
        invalid_value(causes, field, shown, fmt::format("may not contain '{}'", name[at]));
      break;
    case KindHooks::NameRule::Label:
      if (checked.size() > 63)
        invalid_value(causes, field, shown, "must be no more than 63 characters");
      else if (!label_syntax(checked))
        invalid_value(causes, field, shown, kLabelMessage);
      break;
    case KindHooks::NameRule::Label1035:
      if (checked.size() > 63)
        invalid_value(causes, field, shown, "must be no more than 63 characters");
      else if (!label_syntax(checked) || !(checked[0] >= 'a' && checked[0] <= 'z'))
        invalid_value(causes, field, shown,
                      "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an "
                      "alphabetic character, and end with an alphanumeric character "
                      "(e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')");
      break;
    case KindHooks::NameRule::Subdomain:
      if (checked.size() > 253)
        invalid_value(causes, field, shown, "must be no more than 253 characters");
      else if (!is_dns1123_subdomain(checked))
        invalid_value(causes, field, shown, kSubdomainMessage);
      break;
  }
}

}  // namespace

bool is_dns1123_label(std::string_view text) {
  return text.size() <= 63 && label_syntax(text);
}

bool is_dns1123_subdomain(std::string_view text) {
  if (text.size() > 253) return false;
  while (true) {
    size_t dot = text.find('.');
    if (!label_syntax(text.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

bool is_qualified_name(std::string_view text) {
  size_t slash = text.find('/');
  if (slash == std::string_view::npos) return name_part(text);
  return is_dns1123_subdomain(text.substr(0, slash)) && name_part(text.substr(slash + 1));
}

bool is_label_value(std::string_view text) {
  return text.empty() || name_part(text);
}

void add_cause(Causes& causes, std::string_view reason, std::string field, std::string message) {
  causes.push_back({std::string(reason), std::move(message), std::move(field)});
}
void required(Causes& causes, std::string field, std::string_view detail) {
  add_cause(causes, "FieldValueRequired", std::move(field),
            detail.empty() ? "Required value" : fmt::format("Required value: {}", detail));
}
void invalid_value(Causes& causes, std::string field, std::string_view shown, std::string_view detail) {
  add_cause(causes, "FieldValueInvalid", std::move(field), fmt::format("Invalid value: \"{}\": {}", shown, detail));
}
void not_supported(Causes& causes, std::string field, std::string_view value,
                   std::initializer_list<std::string_view> supported) {
  std::string list;
  for (std::string_view one : supported) list += fmt::format("{}\"{}\"", list.empty() ? "" : ", ", one);
  add_cause(causes, "FieldValueNotSupported", std::move(field),
            fmt::format("Unsupported value: \"{}\": supported values: {}", value, list));
}
void immutable(Causes& causes, const Value& now, const Value& before, std::string field) {
  if (now.equals(before)) return;
  add_cause(causes, "FieldValueInvalid", std::move(field),
            fmt::format("Invalid value: {}: field is immutable", schema::to_json(now, nullptr)));
}
void set_default(Value& object, Arena& arena, std::string_view key, Value value) {
  if (object.is_object() && !object.has(key)) object.set(arena, key, value);
}

void validate_metadata(const Value& object, const schema::Resource& resource, const KindHooks& hooks, Causes& causes) {
  Value metadata = object.get({"metadata"});
  std::string_view name = metadata.get({"name"}).as_string();
  std::string_view generate_name = metadata.get({"generateName"}).as_string();
  if (!generate_name.empty()) validate_name(generate_name, hooks, "metadata.generateName", true, causes);
  if (name.empty()) {
    required(causes, "metadata.name", "name or generateName is required");
  } else {
    validate_name(name, hooks, "metadata.name", false, causes);
  }
  std::string_view ns = metadata.get({"namespace"}).as_string();
  if (resource.namespaced && ns.empty()) required(causes, "metadata.namespace");
  if (!ns.empty() && !is_dns1123_label(ns)) invalid_value(causes, "metadata.namespace", ns, kLabelMessage);
  for (const schema::Member& label : schema::members(metadata.get({"labels"}))) {
    if (!is_qualified_name(label.key)) {
      invalid_value(causes, "metadata.labels", label.key,
                    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with "
                    "an alphanumeric character (e.g. 'MyName',  or 'my.name',  or "
                    "'123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')");
    }
    if (!is_label_value(label.value.as_string())) {
      invalid_value(causes, "metadata.labels", label.value.as_string(),
                    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and "
                    "must start and end with an alphanumeric character (e.g. "
                    "'MyValue',  or 'my_value',  or '12345', regex used for validation is "
                    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')");
    }
  }
  size_t annotation_bytes = 0;
  for (const schema::Member& annotation : schema::members(metadata.get({"annotations"}))) {
    annotation_bytes += annotation.key.size() + annotation.value.as_string().size();
    std::string lower(annotation.key);
    for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (!is_qualified_name(lower))
      invalid_value(causes, "metadata.annotations", annotation.key,
                    "name part must consist of alphanumeric characters, '-', '_' or '.'");
  }
  if (annotation_bytes > kMaxAnnotationBytes) {
    add_cause(causes, "FieldValueTooLong", "metadata.annotations",
              fmt::format("Too long: may not be more than {} bytes", kMaxAnnotationBytes));
  }
  Value owners = metadata.get({"ownerReferences"});
  size_t controllers = 0;
  for (size_t i = 0; i < owners.size(); ++i) {
    std::string path = fmt::format("metadata.ownerReferences[{}]", i);
    for (const char* field : {"apiVersion", "kind", "name", "uid"}) {
      if (owners.at(i).get({field}).as_string().empty())
        invalid_value(causes, path + "." + field, "", std::string(field) + " must not be empty");
    }
    if (owners.at(i).get({"controller"}).as_bool() && ++controllers == 2)
      invalid_value(causes, "metadata.ownerReferences", "", "Only one reference can have Controller set to true");
  }
  for (const Value& finalizer : schema::items(metadata.get({"finalizers"}))) {
    if (!is_qualified_name(finalizer.as_string()))
      invalid_value(causes, "metadata.finalizers", finalizer.as_string(),
                    "name part must consist of alphanumeric characters, '-', '_' or '.'");
  }
}

void validate_metadata_update(const Value& object, const Value& old, Causes& causes) {
  for (const char* field : {"name", "namespace", "uid", "creationTimestamp"}) {
    Value now = object.get({"metadata", field}), before = old.get({"metadata", field});
    if (!now.equals(before)) immutable(causes, now, before, std::string("metadata.") + field);
  }
  if (!old.get({"metadata", "deletionTimestamp"}).is_null()) {
    for (const Value& finalizer : schema::items(object.get({"metadata", "finalizers"}))) {
      bool known = false;
      for (const Value& before : schema::items(old.get({"metadata", "finalizers"})))
        known = known || before.equals(finalizer);
      if (!known) {
        add_cause(causes, "FieldValueForbidden", "metadata.finalizers",
                  "Forbidden: no new finalizers can be added if the object is being deleted");
        break;
      }
    }
  }
}

}  // namespace redoubt::apiserver
