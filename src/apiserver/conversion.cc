#include "apiserver/conversion.h"

namespace redoubt::apiserver {

namespace {

using schema::Arena;
using schema::Value;

void rename(Value& object, Arena& arena, std::string_view from, std::string_view to) {
  if (Value* there = object.find(from)) {
    Value moved = *there;
    object.erase(from);
    object.set(arena, to, moved);
  }
}

// core/v1 Event <-> events.k8s.io/v1 Event: the same fields under other names.
void core_event_to_events(Value& e, Arena& arena) {
  rename(e, arena, "involvedObject", "regarding");
  rename(e, arena, "message", "note");
  rename(e, arena, "source", "deprecatedSource");
  rename(e, arena, "firstTimestamp", "deprecatedFirstTimestamp");
  rename(e, arena, "lastTimestamp", "deprecatedLastTimestamp");
  rename(e, arena, "count", "deprecatedCount");
  rename(e, arena, "reportingComponent", "reportingController");
}

void events_event_to_core(Value& e, Arena& arena) {
  rename(e, arena, "regarding", "involvedObject");
  rename(e, arena, "note", "message");
  rename(e, arena, "deprecatedSource", "source");
  rename(e, arena, "deprecatedFirstTimestamp", "firstTimestamp");
  rename(e, arena, "deprecatedLastTimestamp", "lastTimestamp");
  rename(e, arena, "deprecatedCount", "count");
  rename(e, arena, "reportingController", "reportingComponent");
}

// autoscaling/v1 knows one metric, CPU utilization, in a field of its own.
void hpa_v2_to_v1(Value& hpa, Arena& arena) {
  Value& spec = hpa.object_at(arena, "spec");
  for (const Value& metric : schema::items(spec.get({"metrics"}))) {
    if (metric.get({"resource", "name"}).as_string() == "cpu" &&
        metric.get({"resource", "target", "averageUtilization"}).is_int()) {
      spec.set(arena, "targetCPUUtilizationPercentage", metric.get({"resource", "target", "averageUtilization"}));
    }
  }
  spec.erase("metrics");
  spec.erase("behavior");
  if (Value* status = hpa.find("status")) {
    for (const Value& metric : schema::items(status->get({"currentMetrics"}))) {
      if (metric.get({"resource", "name"}).as_string() == "cpu") {
        Value now = metric.get({"resource", "current", "averageUtilization"});
        if (now.is_int()) status->set(arena, "currentCPUUtilizationPercentage", now);
      }
    }
    status->erase("currentMetrics");
    status->erase("conditions");
  }
}

void hpa_v1_to_v2(Value& hpa, Arena& arena) {
  Value& spec = hpa.object_at(arena, "spec");
  if (Value percentage = spec.get({"targetCPUUtilizationPercentage"}); percentage.is_int()) {
    Value target = Value::object(arena), resource = Value::object(arena), metric = Value::object(arena),
          metrics = Value::array(arena);
    target.set(arena, "type", Value::string("Utilization"));
    target.set(arena, "averageUtilization", percentage);
    resource.set(arena, "name", Value::string("cpu"));
    resource.set(arena, "target", target);
    metric.set(arena, "type", Value::string("Resource"));
    metric.set(arena, "resource", resource);
    metrics.push_back(arena, metric);
    spec.set(arena, "metrics", metrics);
    spec.erase("targetCPUUtilizationPercentage");
  }
}

}  // namespace

const schema::Resource& stored_version(const schema::Resource& resource) {
  if (resource.storage_version == resource.version) return resource;
  std::string_view version = resource.storage_version;
  size_t slash = version.find('/');
  std::string_view group = slash == std::string_view::npos ? resource.group : version.substr(0, slash);
  if (group == "core") group = "";
  if (slash != std::string_view::npos) version.remove_prefix(slash + 1);
  const schema::Resource* found = schema::find_resource(group, version, resource.name);
  return found == nullptr ? resource : *found;
}

Result<void> convert_from_stored(Value& object, const schema::Resource& resource, Arena& arena) {
  object.set(arena, "apiVersion", Value::string(arena.copy(resource.api_version())));
  if (resource.name == "events") core_event_to_events(object, arena);
  if (resource.name == "horizontalpodautoscalers") hpa_v2_to_v1(object, arena);
  return {};
}

Result<void> convert_to_stored(Value& object, const schema::Resource& resource, Arena& arena) {
  object.set(arena, "apiVersion", Value::string(arena.copy(stored_version(resource).api_version())));
  if (resource.name == "events") events_event_to_core(object, arena);
  if (resource.name == "horizontalpodautoscalers") hpa_v1_to_v2(object, arena);
  return {};
}

}  // namespace redoubt::apiserver
