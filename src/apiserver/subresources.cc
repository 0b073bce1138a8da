#include "apiserver/subresources.h"

#include "schema/patch.h"

namespace redoubt::apiserver {

namespace {

Value text(Arena& arena, std::string_view t) {
  return Value::string(arena.copy(t));
}

Value success(Arena& arena) {
  Value status = Value::object(arena);
  status.set(arena, "kind", Value::string("Status"));
  status.set(arena, "apiVersion", Value::string("v1"));
  status.set(arena, "metadata", Value::object(arena));
  status.set(arena, "status", Value::string("Success"));
  status.set(arena, "code", Value::integer(201));
  return status;
}

Task<void> send_value(Context& c, int code, Value value, std::string_view type) {
  auto encoded = encode_value(c, value, schema::find_type(type));
  if (!encoded) co_return co_await send_status(c, encoded.error());
  co_await send_encoded(c, code, std::move(*encoded));
}

Value scale_of(const Value& object, Arena& arena) {
  Value out = Value::object(arena);
  out.set(arena, "kind", Value::string("Scale"));
  out.set(arena, "apiVersion", Value::string("autoscaling/v1"));
  Value metadata = Value::object(arena);
  for (const char* field : {"name", "namespace", "uid", "resourceVersion", "creationTimestamp"}) {
    if (Value v = object.get({"metadata", field}); !v.is_null()) metadata.set(arena, field, v);
  }
  out.set(arena, "metadata", metadata);
  Value spec = Value::object(arena);
  spec.set(arena, "replicas", Value::integer(object.get({"spec", "replicas"}).as_int()));
  out.set(arena, "spec", spec);
  Value status = Value::object(arena);
  status.set(arena, "replicas", Value::integer(object.get({"status", "replicas"}).as_int()));
  std::string selector;
  Value labels = object.get({"spec", "selector", "matchLabels"});
  if (!labels.is_object()) labels = object.get({"spec", "selector"});
  for (const schema::Member& label : schema::members(labels)) {
    if (label.value.is_string())
      selector += fmt::format("{}{}={}", selector.empty() ? "" : ",", label.key, label.value.as_string());
  }
  if (!selector.empty()) status.set(arena, "selector", text(arena, selector));
  out.set(arena, "status", status);
  return out;
}

}  // namespace

Task<void> Subresources::scale(Context& c) {
  auto loaded = rest_.load(c);
  if (!loaded) co_return co_await send_status(c, loaded.error());
  constexpr std::string_view kType = "io.k8s.api.autoscaling.v1.Scale";
  if (c.info.verb == "get") co_return co_await send_value(c, 200, scale_of(loaded->second, c.arena), kType);
  Value wanted = Value::object(c.arena);
  if (c.info.verb == "patch") {
    auto body = co_await net::read_body(*c.request.body, kMaxBodyBytes);
    if (!body) co_return co_await send_status(c, body.error());
    auto patch = schema::parse_json(c.arena.copy(*body), c.arena);
    if (!patch) co_return co_await send_status(c, patch.error());
    Value now = scale_of(loaded->second, c.arena);
    std::string_view media = c.request.headers.get("content-type").value_or("");
    auto patched = media.starts_with("application/json-patch+json")
                       ? schema::json_patch(now, *patch, c.arena)
                       : Result<Value>(schema::json_merge_patch(now, *patch, c.arena));
    if (!patched) co_return co_await send_status(c, patched.error());
    wanted = *patched;
    if (!patch->get({"metadata", "resourceVersion"}).is_string())
      wanted.object_at(c.arena, "metadata").erase("resourceVersion");
  } else {
    auto body = co_await rest_.read_object(c, *schema::find_type(kType), "autoscaling/v1", "Scale");
    if (!body) co_return co_await send_status(c, body.error());
    wanted = *body;
  }
  if (auto ok = co_await rest_.admit_part(c, "UPDATE", scale_of(loaded->second, c.arena), wanted); !ok)
    co_return co_await send_status(c, ok.error());
  int64_t replicas = wanted.get({"spec", "replicas"}).as_int();
  if (replicas < 0) {
    Causes causes;
    invalid_value(causes, "spec.replicas", std::to_string(replicas), "must be greater than or equal to 0");
    co_return co_await send_status(c, invalid("autoscaling", "Scale", c.info.name, std::move(causes)).error());
  }
  auto changed = co_await rest_.modify(
      c,
      [&c, replicas, wanted](Value& object, const Value&) -> Result<void> {
        object.object_at(c.arena, "spec").set(c.arena, "replicas", Value::integer(replicas));
        if (Value version = wanted.get({"metadata", "resourceVersion"});
            version.is_string() && !version.as_string().empty()) {
          object.object_at(c.arena, "metadata").set(c.arena, "resourceVersion", version);
        }
        return {};
      },
      false);
  if (!changed) co_return co_await send_status(c, changed.error());
  auto after = schema::parse_json(c.arena.copy((*changed)->json.view()), c.arena);
  co_await send_value(c, 200, scale_of(*after, c.arena), kType);
}

// Sets a pod's node, once.
Task<void> Subresources::bind(Context& c) {
  auto body = co_await rest_.read_object(c, *schema::find_type("io.k8s.api.core.v1.Binding"), "v1", "Binding");
  if (!body) co_return co_await send_status(c, body.error());
  Value binding = *body;
  if (auto ok = co_await rest_.admit_part(c, "CREATE", {}, binding); !ok) co_return co_await send_status(c, ok.error());
  std::string_view node = binding.get({"target", "name"}).as_string();
  std::string_view kind = binding.get({"target", "kind"}).as_string();
  if (node.empty() || (!kind.empty() && kind != "Node")) {
    Causes causes;
    required(causes, "target.name");
    co_return co_await send_status(c, invalid("", "Binding", c.info.name, std::move(causes)).error());
  }
  if (c.info.name.empty()) c.info.name = binding.get({"metadata", "name"}).as_string();
  const schema::Resource* pods = schema::find_resource("", "v1", "pods");
  c.resource = pods;
  auto changed = co_await rest_.modify(
      c,
      [&c, node, binding](Value& pod, const Value& old) -> Result<void> {
        GroupResource resource{"", "pods"};
        if (!old.get({"metadata", "deletionTimestamp"}).is_null())
          return conflict(resource, c.info.name,
                          fmt::format("pod {} is being deleted, cannot be assigned to a host", c.info.name));
        std::string_view assigned = old.get({"spec", "nodeName"}).as_string();
        if (!assigned.empty())
          return conflict({"", "pods/binding"}, c.info.name,
                          fmt::format("pod {} is already assigned to node \"{}\"", c.info.name, assigned));
        pod.object_at(c.arena, "spec").set(c.arena, "nodeName", Value::string(node));
        for (const schema::Member& annotation : schema::members(binding.get({"metadata", "annotations"}))) {
          pod.object_at(c.arena, "metadata")
              .object_at(c.arena, "annotations")
              .set(c.arena, annotation.key, annotation.value);
        }
        return {};
      },
      false);
  if (!changed) co_return co_await send_status(c, changed.error());
  // The condition is status, which an ordinary write does not touch.
  co_await rest_.modify(
      c,
      [&c](Value& pod, const Value&) -> Result<void> {
        Value& status = pod.object_at(c.arena, "status");
        Value conditions = Value::array(c.arena);
        for (const Value& condition : schema::items(status.get({"conditions"}))) {
          if (condition.get({"type"}).as_string() != "PodScheduled") conditions.push_back(c.arena, condition);
        }
        Value scheduled = Value::object(c.arena);
        scheduled.set(c.arena, "type", Value::string("PodScheduled"));
        scheduled.set(c.arena, "status", Value::string("True"));
        scheduled.set(c.arena, "lastTransitionTime", text(c.arena, format_rfc3339(now())));
        conditions.push_back(c.arena, scheduled);
        status.set(c.arena, "conditions", conditions);
        return {};
      },
      true);
  co_await send_value(c, 201, success(c.arena), "io.k8s.apimachinery.pkg.apis.meta.v1.Status");
}

// Deletes a pod unless a disruption budget that selects it has nothing left.
Task<void> Subresources::evict(Context& c) {
  auto body =
      co_await rest_.read_object(c, *schema::find_type("io.k8s.api.policy.v1.Eviction"), "policy/v1", "Eviction");
  if (!body) co_return co_await send_status(c, body.error());
  if (auto ok = co_await rest_.admit_part(c, "CREATE", {}, *body); !ok) co_return co_await send_status(c, ok.error());
  auto loaded = rest_.load(c);
  if (!loaded) co_return co_await send_status(c, loaded.error());
  std::string over;
  rest_.store()
      .snapshot("poddisruptionbudgets")
      ->visit(fmt::format("/registry/poddisruptionbudgets/{}/", c.info.namespace_), "",
              [&](const store::ObjectPtr& object) {
                auto budget = schema::parse_json(c.arena.copy(object->json.view()), c.arena);
                if (!budget ||
                    !selector_matches(budget->get({"spec", "selector"}), loaded->second.get({"metadata", "labels"})))
                  return true;
                if (budget->get({"status", "disruptionsAllowed"}).as_int() <= 0) over = object->name;
                return over.empty();
              });
  if (!over.empty()) {
    Error error = too_many_requests("Cannot evict pod as it would violate the pod's disruption budget.", 0);
    Status status = std::move(error).error();
    status.details().causes.push_back(
        {"DisruptionBudget", fmt::format("The disruption budget {} does not allow a disruption now", over), ""});
    co_return co_await send_status(c, status);
  }
  auto deleted = co_await rest_.delete_object(c, loaded->first, body->get({"deleteOptions"}));
  if (!deleted) co_return co_await send_status(c, deleted.error());
  co_await send_value(c, 201, success(c.arena), "io.k8s.apimachinery.pkg.apis.meta.v1.Status");
}

// A write that changes one part of the object only.
Task<void> Subresources::replace_part(Context& c) {
  if (c.info.verb == "get") co_return co_await rest_.get(c);
  Value document = Value::object(c.arena);
  bool is_patch = c.info.verb == "patch";
  std::string media(c.request.headers.get("content-type").value_or("application/json"));
  if (is_patch) {
    auto body = co_await net::read_body(*c.request.body, kMaxBodyBytes);
    if (!body) co_return co_await send_status(c, body.error());
    auto parsed = schema::parse_json(c.arena.copy(*body), c.arena);
    if (!parsed) co_return co_await send_status(c, parsed.error());
    document = *parsed;
  } else {
    auto body = co_await rest_.read_object(c, *c.resource->type, c.resource->api_version(), c.resource->kind);
    if (!body) co_return co_await send_status(c, body.error());
    document = *body;
  }
  std::string part = c.info.subresource;
  auto changed = co_await rest_.modify(
      c,
      [&](Value& object, const Value& old) -> Result<void> {
        Value wanted = document;
        if (is_patch) {
          auto patched = media.starts_with("application/json-patch+json") ? schema::json_patch(old, document, c.arena)
                         : media.starts_with("application/merge-patch+json")
                             ? Result<Value>(schema::json_merge_patch(old, document, c.arena))
                             : schema::strategic_merge_patch(old, document, *c.resource->type, c.arena);
          if (!patched) return Error(patched.error());
          wanted = *patched;
        } else if (Value version = wanted.get({"metadata", "resourceVersion"}); version.is_string()) {
          object.object_at(c.arena, "metadata").set(c.arena, "resourceVersion", version);
        }
        auto take = [&](std::string_view parent, std::string_view field) {
          Value v = wanted.get({parent, field});
          if (v.is_null()) {
            object.object_at(c.arena, parent).erase(field);
          } else {
            object.object_at(c.arena, parent).set(c.arena, field, v);
          }
        };
        if (part == "finalize") {
          take("spec", "finalizers");
        } else if (part == "approval") {
          take("status", "conditions");
          for (Value& condition : schema::items(object.get({"status", "conditions"}))) {
            for (const char* field : {"lastUpdateTime", "lastTransitionTime"}) {
              if (!condition.has(field)) condition.set(c.arena, field, text(c.arena, format_rfc3339(now())));
            }
          }
        } else if (part == "ephemeralcontainers") {
          take("spec", "ephemeralContainers");
        } else {
          take("spec", "containers");
        }
        return {};
      },
      part == "approval");
  if (!changed) co_return co_await send_status(c, changed.error());
  auto encoded = encode_object(c, **changed);
  if (!encoded) co_return co_await send_status(c, encoded.error());
  co_await send_encoded(c, 200, std::move(*encoded));
}

Task<void> Subresources::connect(Context& c) {
  if (connect_ == nullptr)
    co_return co_await send_status(c, service_unavailable("this server has no way to the nodes").error());
  if (auto ok = co_await rest_.admit_connect(c); !ok) co_return co_await send_status(c, ok.error());
  // A proxy's name may carry a scheme and a port: the handler finds the object.
  if (c.info.subresource == "proxy") co_return co_await connect_->connect(c, {});
  auto loaded = rest_.load(c);
  if (!loaded) co_return co_await send_status(c, loaded.error());
  co_await connect_->connect(c, loaded->second);
}

Task<void> Subresources::serve(Context& c) {
  const std::string& part = c.info.subresource;
  if (part == "status") {
    if (c.info.verb == "get") co_return co_await rest_.get(c);
    if (c.info.verb == "patch") co_return co_await rest_.patch(c);
    co_return co_await rest_.update(c);
  }
  if (part == "scale") co_return co_await scale(c);
  if (part == "binding") co_return co_await bind(c);
  if (part == "eviction") co_return co_await evict(c);
  if (part == "finalize" || part == "approval" || part == "ephemeralcontainers" || part == "resize")
    co_return co_await replace_part(c);
  co_await connect(c);
}

}  // namespace redoubt::apiserver
