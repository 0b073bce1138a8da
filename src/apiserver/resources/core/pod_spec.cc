// A pod's spec, as pods and the templates of all workloads hold it: defaults and validation.
#include <set>

#include "apiserver/resources/hooks.h"
#include "schema/scalars.h"

namespace redoubt::apiserver {

namespace {

void default_probe(Value& container, Arena& arena, std::string_view name) {
  Value* probe = container.find(name);
  if (probe == nullptr || !probe->is_object()) return;
  set_default(*probe, arena, "timeoutSeconds", Value::integer(1));
  set_default(*probe, arena, "periodSeconds", Value::integer(10));
  set_default(*probe, arena, "successThreshold", Value::integer(1));
  set_default(*probe, arena, "failureThreshold", Value::integer(3));
  if (Value* get = probe->find("httpGet")) {
    set_default(*get, arena, "path", Value::string("/"));
    set_default(*get, arena, "scheme", Value::string("HTTP"));
  }
  if (Value* grpc = probe->find("grpc")) set_default(*grpc, arena, "service", Value::string(""));
}

void default_container(Value& container, Arena& arena) {
  if (!container.has("imagePullPolicy")) {
    std::string_view image = container.get({"image"}).as_string();
    size_t slash = image.rfind('/'), colon = image.rfind(':');
    bool tagged = image.find('@') != std::string_view::npos ||
                  (colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash));
    bool latest = !tagged || image.ends_with(":latest");
    container.set(arena, "imagePullPolicy", Value::string(latest ? "Always" : "IfNotPresent"));
  }
  set_default(container, arena, "terminationMessagePath", Value::string("/dev/termination-log"));
  set_default(container, arena, "terminationMessagePolicy", Value::string("File"));
  for (Value& port : schema::items(container.get({"ports"})))
    set_default(port, arena, "protocol", Value::string("TCP"));
  for (Value& env : schema::items(container.get({"env"}))) {
    if (Value* from = env.find("valueFrom")) {
      if (Value* field = from->find("fieldRef")) set_default(*field, arena, "apiVersion", Value::string("v1"));
    }
  }
  for (const char* probe : {"livenessProbe", "readinessProbe", "startupProbe"}) default_probe(container, arena, probe);
  if (Value* lifecycle = container.find("lifecycle")) {
    for (const char* hook : {"postStart", "preStop"}) {
      if (Value* handler = lifecycle->find(hook)) {
        if (Value* get = handler->find("httpGet")) {
          set_default(*get, arena, "path", Value::string("/"));
          set_default(*get, arena, "scheme", Value::string("HTTP"));
        }
      }
    }
  }
}

void default_mode(Value* source, Arena& arena) {
  if (source != nullptr && source->is_object()) set_default(*source, arena, "defaultMode", Value::integer(0644));
}

void default_downward(Value* source, Arena& arena) {
  if (source == nullptr) return;
  for (Value& item : schema::items(source->get({"items"}))) {
    if (Value* field = item.find("fieldRef")) set_default(*field, arena, "apiVersion", Value::string("v1"));
  }
}

void default_volume(Value& volume, Arena& arena) {
  if (volume.size() == 1) volume.set(arena, "emptyDir", Value::object(arena));
  for (const char* source : {"secret", "configMap", "downwardAPI", "projected"})
    default_mode(volume.find(source), arena);
  default_downward(volume.find("downwardAPI"), arena);
  if (Value* host = volume.find("hostPath")) set_default(*host, arena, "type", Value::string(""));
  if (Value* projected = volume.find("projected")) {
    for (Value& source : schema::items(projected->get({"sources"}))) {
      default_downward(source.find("downwardAPI"), arena);
      if (Value* token = source.find("serviceAccountToken"))
        set_default(*token, arena, "expirationSeconds", Value::integer(3600));
    }
  }
}

void validate_resources(const Value& container, const std::string& path, Causes& causes) {
  Value limits = container.get({"resources", "limits"}), requests = container.get({"resources", "requests"});
  for (const schema::Member& request : schema::members(requests)) {
    auto amount = schema::Quantity::parse(request.value.as_string());
    if (amount && *amount < schema::Quantity()) {
      invalid_value(causes, fmt::format("{}.resources.requests[{}]", path, request.key), request.value.as_string(),
                    "must be greater than or equal to 0");
    }
    Value limit = limits.get({request.key});
    auto most = schema::Quantity::parse(limit.as_string());
    if (amount && most && limit.is_string() && *amount > *most) {
      invalid_value(causes, fmt::format("{}.resources.requests", path), request.value.as_string(),
                    fmt::format("must be less than or equal to {} limit of {}", request.key, limit.as_string()));
    }
  }
}

void validate_container(const Value& container, const std::string& path, const std::set<std::string_view>& volumes,
                        std::set<std::string_view>& names, Causes& causes) {
  std::string_view name = container.get({"name"}).as_string();
  if (name.empty()) {
    required(causes, path + ".name");
  } else if (!is_dns1123_label(name)) {
    invalid_value(causes, path + ".name", name, kLabelMessage);
  } else if (!names.insert(name).second) {
    add_cause(causes, "FieldValueDuplicate", path + ".name", fmt::format("Duplicate value: \"{}\"", name));
  }
  std::string_view image = container.get({"image"}).as_string();
  if (image.empty()) required(causes, path + ".image");
  std::string_view policy = container.get({"imagePullPolicy"}).as_string();
  if (!policy.empty() && policy != "Always" && policy != "IfNotPresent" && policy != "Never") {
    not_supported(causes, path + ".imagePullPolicy", policy, {"Always", "IfNotPresent", "Never"});
  }
  Value ports = container.get({"ports"});
  for (size_t i = 0; i < ports.size(); ++i) {
    int64_t port = ports.at(i).get({"containerPort"}).as_int();
    std::string at = fmt::format("{}.ports[{}]", path, i);
    if (port == 0) {
      required(causes, at + ".containerPort");
    } else if (port < 1 || port > 65535) {
      add_cause(causes, "FieldValueInvalid", at + ".containerPort",
                fmt::format("Invalid value: {}: must be between 1 and 65535, inclusive", port));
    }
    std::string_view protocol = ports.at(i).get({"protocol"}).as_string();
    if (protocol != "TCP" && protocol != "UDP" && protocol != "SCTP")
      not_supported(causes, at + ".protocol", protocol, {"SCTP", "TCP", "UDP"});
  }
  Value env = container.get({"env"});
  for (size_t i = 0; i < env.size(); ++i) {
    if (env.at(i).get({"name"}).as_string().empty()) required(causes, fmt::format("{}.env[{}].name", path, i));
    if (!env.at(i).get({"value"}).as_string().empty() && env.at(i).has("valueFrom")) {
      invalid_value(causes, fmt::format("{}.env[{}].valueFrom", path, i), "",
                    "may not be specified when `value` is not empty");
    }
  }
  Value mounts = container.get({"volumeMounts"});
  std::set<std::string_view> paths;
  for (size_t i = 0; i < mounts.size(); ++i) {
    std::string at = fmt::format("{}.volumeMounts[{}]", path, i);
    std::string_view volume = mounts.at(i).get({"name"}).as_string(),
                     where = mounts.at(i).get({"mountPath"}).as_string();
    if (volume.empty()) {
      required(causes, at + ".name");
    } else if (!volumes.contains(volume)) {
      add_cause(causes, "FieldValueNotFound", at + ".name", fmt::format("Not found: \"{}\"", volume));
    }
    if (where.empty()) {
      required(causes, at + ".mountPath");
    } else if (!paths.insert(where).second) {
      invalid_value(causes, at + ".mountPath", where, "must be unique");
    }
    std::string_view sub = mounts.at(i).get({"subPath"}).as_string();
    if (sub.starts_with('/')) invalid_value(causes, at + ".subPath", sub, "must be a relative path");
    if (sub == ".." || sub.starts_with("../") || sub.find("/../") != std::string_view::npos || sub.ends_with("/.."))
      invalid_value(causes, at + ".subPath", sub, "must not contain '..'");
  }
  validate_resources(container, path, causes);
}

}  // namespace

void default_pod_spec(Value& spec, Arena& arena) {
  set_default(spec, arena, "restartPolicy", Value::string("Always"));
  set_default(spec, arena, "terminationGracePeriodSeconds", Value::integer(30));
  set_default(spec, arena, "dnsPolicy", Value::string("ClusterFirst"));
  set_default(spec, arena, "securityContext", Value::object(arena));
  set_default(spec, arena, "schedulerName", Value::string("default-scheduler"));
  if (Value* account = spec.find("serviceAccountName")) set_default(spec, arena, "serviceAccount", *account);
  for (const char* list : {"initContainers", "containers", "ephemeralContainers"}) {
    for (Value& container : schema::items(spec.get({list}))) default_container(container, arena);
  }
  for (Value& volume : schema::items(spec.get({"volumes"}))) default_volume(volume, arena);
}

void validate_pod_spec(const Value& spec, const std::string& path, Causes& causes) {
  std::set<std::string_view> volumes, names;
  Value list = spec.get({"volumes"});
  for (size_t i = 0; i < list.size(); ++i) {
    std::string at = fmt::format("{}.volumes[{}]", path, i);
    std::string_view name = list.at(i).get({"name"}).as_string();
    if (name.empty()) {
      required(causes, at + ".name");
    } else if (!is_dns1123_label(name)) {
      invalid_value(causes, at + ".name", name, kLabelMessage);
    } else if (!volumes.insert(name).second) {
      add_cause(causes, "FieldValueDuplicate", at + ".name", fmt::format("Duplicate value: \"{}\"", name));
    }
    if (list.at(i).size() > 2)
      add_cause(causes, "FieldValueForbidden", at, "Forbidden: may not specify more than 1 volume type");
  }
  Value containers = spec.get({"containers"});
  if (containers.empty()) required(causes, path + ".containers");
  Value inits = spec.get({"initContainers"});
  for (size_t i = 0; i < inits.size(); ++i)
    validate_container(inits.at(i), fmt::format("{}.initContainers[{}]", path, i), volumes, names, causes);
  for (size_t i = 0; i < containers.size(); ++i)
    validate_container(containers.at(i), fmt::format("{}.containers[{}]", path, i), volumes, names, causes);
  std::string_view restart = spec.get({"restartPolicy"}).as_string();
  if (restart != "Always" && restart != "OnFailure" && restart != "Never")
    not_supported(causes, path + ".restartPolicy", restart, {"Always", "OnFailure", "Never"});
  std::string_view dns = spec.get({"dnsPolicy"}).as_string();
  if (dns != "ClusterFirst" && dns != "ClusterFirstWithHostNet" && dns != "Default" && dns != "None") {
    not_supported(causes, path + ".dnsPolicy", dns, {"ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"});
  }
  if (Value grace = spec.get({"terminationGracePeriodSeconds"}); grace.is_int() && grace.as_int() < 0) {
    add_cause(causes, "FieldValueInvalid", path + ".terminationGracePeriodSeconds",
              fmt::format("Invalid value: {}: must be greater than or equal to 0", grace.as_int()));
  }
}

void validate_label_selector(const Value& selector, const std::string& path, Causes& causes) {
  for (const schema::Member& label : schema::members(selector.get({"matchLabels"}))) {
    if (!is_qualified_name(label.key))
      invalid_value(causes, path + ".matchLabels", label.key,
                    "name part must consist of alphanumeric characters, '-', '_' or '.'");
    if (!is_label_value(label.value.as_string()))
      invalid_value(causes, path + ".matchLabels", label.value.as_string(),
                    "a valid label must be an empty string or consist of alphanumeric characters");
  }
  Value expressions = selector.get({"matchExpressions"});
  for (size_t i = 0; i < expressions.size(); ++i) {
    std::string at = fmt::format("{}.matchExpressions[{}]", path, i);
    std::string_view op = expressions.at(i).get({"operator"}).as_string();
    size_t values = expressions.at(i).get({"values"}).size();
    if (op == "In" || op == "NotIn") {
      if (values == 0) required(causes, at + ".values", "must be specified when `operator` is 'In' or 'NotIn'");
    } else if (op == "Exists" || op == "DoesNotExist") {
      if (values > 0)
        add_cause(causes, "FieldValueForbidden", at + ".values",
                  "Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    } else {
      invalid_value(causes, at + ".operator", op, "not a valid selector operator");
    }
  }
}

bool selector_matches(const Value& selector, const Value& labels) {
  if (!selector.is_object()) return false;
  for (const schema::Member& label : schema::members(selector.get({"matchLabels"}))) {
    if (!labels.get({label.key}).equals(label.value)) return false;
  }
  for (const Value& e : schema::items(selector.get({"matchExpressions"}))) {
    const Value* there = labels.find(e.get({"key"}).as_string());
    std::string_view op = e.get({"operator"}).as_string();
    bool in = false;
    for (const Value& v : schema::items(e.get({"values"}))) in = in || (there != nullptr && there->equals(v));
    bool ok = op == "In" ? in : op == "NotIn" ? !in : op == "Exists" ? there != nullptr : there == nullptr;
    if (!ok) return false;
  }
  return true;
}

}  // namespace redoubt::apiserver
