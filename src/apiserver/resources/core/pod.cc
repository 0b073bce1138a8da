#include "apiserver/resources/kinds.h"
#include "apiserver/resources/networking/ip_checks.h"
#include "schema/codec.h"

namespace redoubt::apiserver {

namespace {

SelectableFields fields(const Value& pod) {
  auto text = [&](std::initializer_list<std::string_view> path) { return std::string(pod.get(path).as_string()); };
  SelectableFields out;
  out.emplace_back("spec.nodeName", text({"spec", "nodeName"}));
  out.emplace_back("spec.restartPolicy", text({"spec", "restartPolicy"}));
  out.emplace_back("spec.schedulerName", text({"spec", "schedulerName"}));
  out.emplace_back("spec.serviceAccountName", text({"spec", "serviceAccountName"}));
  out.emplace_back("spec.hostNetwork", pod.get({"spec", "hostNetwork"}).as_bool() ? "true" : "false");
  out.emplace_back("status.phase", text({"status", "phase"}));
  out.emplace_back("status.podIP", text({"status", "podIP"}));
  out.emplace_back("status.nominatedNodeName", text({"status", "nominatedNodeName"}));
  return out;
}

void defaults(Value& pod, Arena& arena) {
  Value& spec = pod.object_at(arena, "spec");
  default_pod_spec(spec, arena);
  set_default(spec, arena, "enableServiceLinks", Value::boolean(true));
  if (spec.get({"hostNetwork"}).as_bool()) {
    for (Value& container : schema::items(spec.get({"containers"}))) {
      for (Value& port : schema::items(container.get({"ports"})))
        set_default(port, arena, "hostPort", port.get({"containerPort"}));
    }
  }
  // A limit without a request asks for as much as it may take.
  for (const char* list : {"initContainers", "containers"}) {
    for (Value& container : schema::items(spec.get({list}))) {
      for (const schema::Member& limit : schema::members(container.get({"resources", "limits"}))) {
        Value& requests = container.object_at(arena, "resources").object_at(arena, "requests");
        set_default(requests, arena, limit.key, limit.value);
      }
    }
  }
}

// Guaranteed: every container has cpu and memory limits equal to its requests. BestEffort: nobody asks for anything.
std::string_view qos_class(const Value& spec) {
  bool any = false, guaranteed = true;
  for (const char* list : {"initContainers", "containers"}) {
    for (const Value& container : schema::items(spec.get({list}))) {
      Value requests = container.get({"resources", "requests"}), limits = container.get({"resources", "limits"});
      for (const char* resource : {"cpu", "memory"}) {
        Value r = requests.get({resource}), l = limits.get({resource});
        any = any || r.is_string() || l.is_string();
        guaranteed = guaranteed && l.is_string() && (r.is_null() || r.equals(l));
      }
    }
  }
  return !any ? "BestEffort" : guaranteed ? "Guaranteed" : "Burstable";
}

void prepare_create(Value& pod, Arena& arena) {
  Value status = Value::object(arena);
  status.set(arena, "phase", Value::string("Pending"));
  status.set(arena, "qosClass", Value::string(qos_class(pod.get({"spec"}))));
  pod.set(arena, "status", status);
}

void validate(const Value& pod, Causes& causes) {
  validate_pod_spec(pod.get({"spec"}), "spec", causes);
}

// Of a pod's spec only images, activeDeadlineSeconds (down), more tolerations, and what binding and the kubelet's
// helpers write may change.
void validate_update(const Value& pod, const Value& old, Causes& causes) {
  Arena arena;
  Value now = pod.get({"spec"}).clone(arena), before = old.get({"spec"}).clone(arena);
  std::string_view was = before.get({"nodeName"}).as_string();
  if (was.empty()) before.set(arena, "nodeName", now.get({"nodeName"}));
  for (const char* list : {"containers", "initContainers", "ephemeralContainers"}) {
    Value a = now.get({list}), b = before.get({list});
    for (size_t i = 0; i < a.size() && i < b.size(); ++i) {
      if (a.at(i).get({"image"}).as_string().empty()) required(causes, fmt::format("spec.{}[{}].image", list, i));
      b.at(i).set(arena, "image", a.at(i).get({"image"}));
      Value resources = a.at(i).get({"resources"});  // by the resize subresource
      if (resources.is_null()) {
        b.at(i).erase("resources");
      } else {
        b.at(i).set(arena, "resources", resources);
      }
    }
  }
  if (now.get({"ephemeralContainers"}).size() >= before.get({"ephemeralContainers"}).size() &&
      now.has("ephemeralContainers")) {
    before.set(arena, "ephemeralContainers", now.get({"ephemeralContainers"}));
  }
  if (now.get({"tolerations"}).size() >= before.get({"tolerations"}).size() && now.has("tolerations"))
    before.set(arena, "tolerations", now.get({"tolerations"}));
  for (const char* free : {"activeDeadlineSeconds", "terminationGracePeriodSeconds", "schedulingGates"}) {
    if (Value* v = now.find(free)) {
      before.set(arena, free, *v);
    } else {
      before.erase(free);
    }
  }
  if (!was.empty() && now.get({"nodeName"}).as_string() != was) before.set(arena, "nodeName", Value::string(was));
  if (!now.equals(before)) {
    add_cause(
        causes, "FieldValueForbidden", "spec",
        "Forbidden: pod updates may not change fields other than "
        "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` "
        "(only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it "
        "was previously negative)");
  }
}

}  // namespace

KindHooks pod_hooks() {
  KindHooks hooks;
  hooks.defaults = defaults;
  hooks.prepare_create = prepare_create;
  hooks.validate = validate;
  hooks.validate_update = validate_update;
  // A node writes these, and every other node leads traffic to them.
  hooks.validate_status = [](const Value& pod, Causes& causes) {
    Value status = pod.get({"status"});
    for (const char* one : {"podIP", "hostIP"}) {
      std::string_view address = status.get({one}).as_string();
      if (!address.empty() && !is_ip(address))
        invalid_value(causes, fmt::format("status.{}", one), address, "must be a valid IP address");
    }
    for (const char* list : {"podIPs", "hostIPs"}) {
      Value addresses = status.get({list});
      for (size_t i = 0; i < addresses.size(); ++i) {
        std::string_view address = addresses.at(i).get({"ip"}).as_string();
        if (!is_ip(address))
          invalid_value(causes, fmt::format("status.{}[{}].ip", list, i), address, "must be a valid IP address");
      }
    }
  };
  hooks.fields = fields;
  hooks.field_labels = {"spec.nodeName",    "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
                        "spec.hostNetwork", "status.phase",       "status.podIP",       "status.nominatedNodeName"};
  return hooks;
}

}  // namespace redoubt::apiserver
