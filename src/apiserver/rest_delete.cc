#include "apiserver/conversion.h"
#include "apiserver/rest.h"
#include "apiserver/webhook/admission_webhooks.h"

namespace redoubt::apiserver {

namespace {

struct DeletePlan {
  bool remove_now = true;
  std::vector<std::string_view> add_finalizers, drop_finalizers;
  int64_t grace_seconds = 0;
};

bool has_finalizer(const Value& object, std::string_view name) {
  for (const Value& f : schema::items(object.get({"metadata", "finalizers"}))) {
    if (f.as_string() == name) return true;
  }
  return false;
}

// Pods end gracefully, unless they run nowhere or have ended already.
int64_t grace_of(const Context& c, const Value& object, const Value& options) {
  if (c.resource->name != "pods" || !c.resource->group.empty()) return 0;
  int64_t grace = object.get({"spec", "terminationGracePeriodSeconds"}).as_int(30);
  if (Value asked = options.get({"gracePeriodSeconds"}); asked.is_int()) grace = asked.as_int();
  if (object.get({"spec", "nodeName"}).as_string().empty()) grace = 0;
  std::string_view phase = object.get({"status", "phase"}).as_string();
  if (phase == "Failed" || phase == "Succeeded") grace = 0;
  return std::max<int64_t>(grace, 0);
}

Result<void> check_preconditions(const Context& c, const Value& options, const store::Object& object) {
  std::string_view uid = options.get({"preconditions", "uid"}).as_string();
  if (!uid.empty() && uid != object.uid) {
    return conflict(
        c.group_resource(), object.name,
        fmt::format("Precondition failed: UID in precondition: {}, UID in object meta: {}", uid, object.uid));
  }
  std::string_view version = options.get({"preconditions", "resourceVersion"}).as_string();
  if (!version.empty() && version != std::to_string(object.revision)) {
    return conflict(
        c.group_resource(), object.name,
        fmt::format("Precondition failed: ResourceVersion in precondition: {}, ResourceVersion in object meta: {}",
                    version, object.revision));
  }
  return {};
}

DeletePlan plan(const Context& c, const Value& object, const Value& options) {
  DeletePlan out;
  std::string_view policy = options.get({"propagationPolicy"}).as_string();
  if (policy.empty() && options.get({"orphanDependents"}).is_bool())
    policy = options.get({"orphanDependents"}).as_bool() ? "Orphan" : "Background";
  if (policy == "Foreground") {
    if (!has_finalizer(object, "foregroundDeletion")) out.add_finalizers.push_back("foregroundDeletion");
    out.drop_finalizers.push_back("orphan");
  } else if (policy == "Orphan") {
    if (!has_finalizer(object, "orphan")) out.add_finalizers.push_back("orphan");
    out.drop_finalizers.push_back("foregroundDeletion");
  } else if (policy == "Background") {
    out.drop_finalizers = {"orphan", "foregroundDeletion"};
  }
  out.grace_seconds = grace_of(c, object, options);
  size_t kept = out.add_finalizers.size();
  for (const Value& f : schema::items(object.get({"metadata", "finalizers"}))) {
    bool dropped = false;
    for (std::string_view d : out.drop_finalizers) dropped = dropped || f.as_string() == d;
    if (!dropped) ++kept;
  }
  if (c.resource->name == "namespaces" && c.resource->group.empty()) kept += object.get({"spec", "finalizers"}).size();
  out.remove_now = kept == 0 && out.grace_seconds == 0;
  return out;
}

void mark_deleted(Value& object, const DeletePlan& how, Arena& arena, const Context& c) {
  Value& metadata = object.object_at(arena, "metadata");
  Value finalizers = Value::array(arena);
  for (const Value& f : schema::items(metadata.get({"finalizers"}))) {
    bool dropped = false;
    for (std::string_view d : how.drop_finalizers) dropped = dropped || f.as_string() == d;
    if (!dropped) finalizers.push_back(arena, f);
  }
  for (std::string_view f : how.add_finalizers) finalizers.push_back(arena, Value::string(f));
  if (finalizers.empty()) {
    metadata.erase("finalizers");
  } else {
    metadata.set(arena, "finalizers", finalizers);
  }
  bool again = metadata.has("deletionTimestamp");
  int64_t before = metadata.get({"deletionGracePeriodSeconds"}).as_int();
  if (!again || how.grace_seconds < before) {
    metadata.set(arena, "deletionTimestamp",
                 Value::string(arena.copy(format_rfc3339(now() + std::chrono::seconds(how.grace_seconds)))));
    metadata.set(arena, "deletionGracePeriodSeconds", Value::integer(how.grace_seconds));
    if (metadata.has("generation") && !again)
      metadata.set(arena, "generation", Value::integer(metadata.get({"generation"}).as_int() + 1));
  }
  if (c.resource->name == "namespaces" && c.resource->group.empty())
    object.object_at(arena, "status").set(arena, "phase", Value::string("Terminating"));
}

}  // namespace

Task<Result<store::ObjectPtr>> Rest::delete_object(Context& c, const store::ObjectPtr& first, const Value& options) {
  store::ObjectPtr current = first;
  for (int attempt = 0;; ++attempt) {
    RD_CO_TRYV(check_preconditions(c, options, *current));
    auto parsed = schema::parse_json(c.arena.copy(current->json.view()), c.arena, {.max_bytes = SIZE_MAX});
    if (!parsed) co_return Error(parsed.error());
    Value object = *parsed;
    RD_CO_TRYV(admission_.validate_delete(c, object));
    // An eviction was asked about as an eviction.
    if (webhooks_ != nullptr && c.info.subresource.empty()) {
      Value shown = object;
      if (c.resource->storage_version != c.resource->version) {
        shown = object.clone(c.arena);
        RD_CO_TRYV(convert_from_stored(shown, *c.resource, c.arena));
      }
      AdmissionWebhooks::Change change{"DELETE", shown, dry_run(c, options)};
      Value none;
      RD_CO_TRYV(co_await webhooks_->mutate(c, change, none));
      RD_CO_TRYV(co_await webhooks_->validate(c, change, none));
    }
    DeletePlan how = plan(c, object, options);
    if (dry_run(c, options)) co_return current;
    store::Write write;
    write.resource = c.resource->storage_prefix;
    write.key = current->key;
    write.precondition = store::Write::Precondition::MustMatch;
    write.expected = current->revision;
    if (!how.remove_now) {
      Value changed = object.clone(c.arena);
      mark_deleted(changed, how, c.arena, c);
      if (changed.equals(object)) co_return current;
      write.object = make_record(changed, stored_version(*c.resource), c.arena);
    }
    auto committed = co_await store_.commit(std::move(write));
    if (committed) {
      if (how.remove_now && is_service(c)) co_await service_ips_.settle(committed->previous, nullptr);
      co_return committed->object;
    }
    if (committed.error().failure == store::CommitFailure::Conflict && attempt < 10) {
      current = committed.error().current;
      continue;
    }
    co_return Error(commit_status(committed.error(), c.group_resource(), current->name));
  }
}

namespace {

Task<Result<Value>> read_options(Rest& rest, Context& c) {
  Value options = Value::object(c.arena);
  auto body = co_await net::read_body(*c.request.body, kMaxBodyBytes);
  if (!body) co_return Error(body.error());
  if (!body->empty()) {
    const schema::Type* type = schema::find_type("io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions");
    // Clients send it as v1, meta.k8s.io/v1 or in the resource's own group: only the kind counts.
    auto parsed = schema::parse_json(c.arena.copy(*body), c.arena);
    std::string version = "v1";
    if (parsed && parsed->get({"apiVersion"}).is_string()) version = parsed->get({"apiVersion"}).as_string();
    if (parsed && !parsed->has("kind")) version = "v1";
    RD_CO_TRY(options, rest.decode(c, *body, *type, c.arena.copy(version), "DeleteOptions"));
  }
  if (auto grace = c.param("gracePeriodSeconds"); !grace.empty()) {
    int64_t seconds = 0;
    if (std::from_chars(grace.data(), grace.data() + grace.size(), seconds).ec != std::errc())
      co_return bad_request("gracePeriodSeconds is no number");
    options.set(c.arena, "gracePeriodSeconds", Value::integer(seconds));
  }
  if (auto policy = c.param("propagationPolicy"); !policy.empty())
    options.set(c.arena, "propagationPolicy", Value::string(c.arena.copy(policy)));
  if (Value policy = options.get({"propagationPolicy"}); policy.is_string()) {
    std::string_view text = policy.as_string();
    if (text != "Orphan" && text != "Background" && text != "Foreground") {
      Causes causes;
      not_supported(causes, "propagationPolicy", text, {"Background", "Foreground", "Orphan"});
      co_return invalid("meta.k8s.io", "DeleteOptions", "", std::move(causes));
    }
  }
  co_return options;
}

}  // namespace

Task<void> Rest::remove(Context& c) {
  auto options = co_await read_options(*this, c);
  if (!options) co_return co_await send_status(c, options.error());
  auto current =
      store_.snapshot(c.resource->storage_prefix)->find(storage_key(*c.resource, c.info.namespace_, c.info.name));
  if (!current) co_return co_await send_status(c, not_found(c.group_resource(), c.info.name).error());
  auto deleted = co_await delete_object(c, current, *options);
  if (!deleted) co_return co_await send_status(c, deleted.error());
  bool gone = store_.snapshot(c.resource->storage_prefix)->find(current->key) == nullptr;
  bool shows_object =
      !gone || c.resource->name == "pods" || c.resource->name == "services" || c.resource->name == "serviceaccounts";
  if (shows_object) {
    auto encoded = encode_object(c, **deleted);
    if (!encoded) co_return co_await send_status(c, encoded.error());
    co_return co_await send_encoded(c, 200, std::move(*encoded));
  }
  Value status = Value::object(c.arena);
  status.set(c.arena, "kind", Value::string("Status"));
  status.set(c.arena, "apiVersion", Value::string("v1"));
  status.set(c.arena, "metadata", Value::object(c.arena));
  status.set(c.arena, "status", Value::string("Success"));
  Value& details = status.object_at(c.arena, "details");
  details.set(c.arena, "name", Value::string(c.arena.copy(c.info.name)));
  if (!c.resource->group.empty()) details.set(c.arena, "group", Value::string(c.resource->group));
  details.set(c.arena, "kind", Value::string(c.resource->name));
  details.set(c.arena, "uid", Value::string(c.arena.copy(current->uid)));
  View view = std::exchange(c.view, View::Object);
  auto encoded = encode_value(c, status, schema::find_type("io.k8s.apimachinery.pkg.apis.meta.v1.Status"));
  c.view = view;
  if (!encoded) co_return co_await send_status(c, encoded.error());
  co_await send_encoded(c, 200, std::move(*encoded));
}

Task<void> Rest::remove_collection(Context& c) {
  auto options = co_await read_options(*this, c);
  if (!options) co_return co_await send_status(c, options.error());
  bool more = false;
  uint64_t remaining = 0;
  auto selected = select(c, store_.snapshot(c.resource->storage_prefix), "", 0, more, remaining);
  if (!selected) co_return co_await send_status(c, selected.error());
  store::Revision revision = store_.current_revision();
  for (const store::ObjectPtr& object : *selected) {
    auto deleted = co_await delete_object(c, object, *options);
    if (!deleted && !deleted.error().is("NotFound")) co_return co_await send_status(c, deleted.error());
  }
  auto encoded = encode_list(c, *selected, ListMeta{revision, "", 0});
  if (!encoded) co_return co_await send_status(c, encoded.error());
  co_await send_encoded(c, 200, std::move(*encoded));
}

}  // namespace redoubt::apiserver
