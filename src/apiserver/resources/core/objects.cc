// The small kinds of core/v1: namespaces, nodes, ConfigMaps, secrets, events.
#include "apiserver/resources/kinds.h"
#include "base/encoding.h"
#include "schema/codec.h"

namespace redoubt::apiserver {

namespace {

constexpr size_t kMaxDataBytes = 1024 * 1024;

std::string text(const Value& object, std::initializer_list<std::string_view> path) {
  return std::string(object.get(path).as_string());
}

void check_data(const Value& object, Causes& causes) {
  size_t total = 0;
  for (const char* part : {"data", "binaryData"}) {
    for (const schema::Member& entry : schema::members(object.get({part}))) {
      total += entry.value.as_string().size();
      bool ok = !entry.key.empty() && entry.key.size() <= 253 && entry.key != "." && entry.key != ".." &&
                !entry.key.starts_with("..");
      for (char c : entry.key)
        ok = ok && (std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.');
      if (!ok) {
        invalid_value(causes, fmt::format("{}[{}]", part, entry.key), entry.key,
                      "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  "
                      "or 'KEY_NAME',  or 'key-name', regex used for validation is "
                      "'[-._a-zA-Z0-9]+')");
      }
    }
  }
  if (total > kMaxDataBytes)
    add_cause(causes, "FieldValueTooLong", "", fmt::format("Too long: may not be more than {} bytes", kMaxDataBytes));
}

void check_immutable(const Value& object, const Value& old, Causes& causes) {
  if (!old.get({"immutable"}).as_bool()) return;
  if (!object.get({"immutable"}).as_bool())
    add_cause(causes, "FieldValueForbidden", "immutable", "Forbidden: field is immutable when `immutable` is set");
  for (const char* part : {"data", "binaryData"}) {
    if (!object.get({part}).equals(old.get({part})))
      add_cause(causes, "FieldValueForbidden", part, "Forbidden: field is immutable when `immutable` is set");
  }
}

}  // namespace

KindHooks config_map_hooks() {
  KindHooks hooks;
  hooks.validate = check_data;
  hooks.validate_update = check_immutable;
  return hooks;
}

KindHooks secret_hooks() {
  KindHooks hooks;
  hooks.defaults = [](Value& secret, Arena& arena) {
    set_default(secret, arena, "type", Value::string("Opaque"));
    if (Value* plain = secret.find("stringData")) {
      Value given = *plain;
      Value& data = secret.object_at(arena, "data");
      for (const schema::Member& entry : schema::members(given))
        data.set(arena, entry.key, Value::string(arena.copy(base64_encode(entry.value.as_string()))));
      secret.erase("stringData");
    }
  };
  hooks.validate = check_data;
  hooks.validate_update = [](const Value& secret, const Value& old, Causes& causes) {
    immutable(causes, secret.get({"type"}), old.get({"type"}), "type");
    check_immutable(secret, old, causes);
  };
  hooks.fields = [](const Value& secret) { return SelectableFields{{"type", text(secret, {"type"})}}; };
  hooks.field_labels = {"type"};
  return hooks;
}

KindHooks namespace_hooks() {
  KindHooks hooks;
  hooks.name_rule = KindHooks::NameRule::Label;
  hooks.spec_bumps_generation = false;
  hooks.defaults = [](Value& ns, Arena& arena) {
    Value& labels = ns.object_at(arena, "metadata").object_at(arena, "labels");
    labels.set(arena, "kubernetes.io/metadata.name", ns.get({"metadata", "name"}));
  };
  hooks.prepare_create = [](Value& ns, Arena& arena) {
    Value finalizers = Value::array(arena);
    finalizers.push_back(arena, Value::string("kubernetes"));
    ns.object_at(arena, "spec").set(arena, "finalizers", finalizers);
    ns.object_at(arena, "status").set(arena, "phase", Value::string("Active"));
  };
  hooks.fields = [](const Value& ns) { return SelectableFields{{"status.phase", text(ns, {"status", "phase"})}}; };
  hooks.field_labels = {"status.phase"};
  return hooks;
}

KindHooks node_hooks() {
  KindHooks hooks;
  hooks.spec_bumps_generation = false;
  hooks.fields = [](const Value& node) {
    return SelectableFields{{"spec.unschedulable", node.get({"spec", "unschedulable"}).as_bool() ? "true" : "false"}};
  };
  hooks.field_labels = {"spec.unschedulable"};
  hooks.validate_update = [](const Value& node, const Value& old, Causes& causes) {
    // A pod CIDR is given once.
    if (!old.get({"spec", "podCIDR"}).as_string().empty())
      immutable(causes, node.get({"spec", "podCIDR"}), old.get({"spec", "podCIDR"}), "spec.podCIDR");
  };
  return hooks;
}

KindHooks event_hooks() {
  KindHooks hooks;
  hooks.spec_bumps_generation = false;
  hooks.fields = [](const Value& event) {
    SelectableFields out;
    for (const char* field : {"kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"}) {
      out.emplace_back(std::string("involvedObject.") + field, text(event, {"involvedObject", field}));
    }
    out.emplace_back("reason", text(event, {"reason"}));
    out.emplace_back("type", text(event, {"type"}));
    out.emplace_back("source", text(event, {"source", "component"}));
    out.emplace_back("reportingComponent", text(event, {"reportingComponent"}));
    return out;
  };
  hooks.field_labels = {"involvedObject.kind",
                        "involvedObject.namespace",
                        "involvedObject.name",
                        "involvedObject.uid",
                        "involvedObject.apiVersion",
                        "involvedObject.resourceVersion",
                        "involvedObject.fieldPath",
                        "reason",
                        "type",
                        "source",
                        "reportingComponent"};
  return hooks;
}

}  // namespace redoubt::apiserver
