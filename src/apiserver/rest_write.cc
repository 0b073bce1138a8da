#include "apiserver/conversion.h"
#include "apiserver/rest.h"
#include "apiserver/webhook/admission_webhooks.h"
#include "base/random.h"
#include "schema/patch.h"

namespace redoubt::apiserver {

namespace {

constexpr int kConflictRetries = 10;
constexpr int kNameRetries = 8;

Value now_value(Arena& arena) {
  return Value::string(arena.copy(format_rfc3339(now())));
}

// True when a kind keeps its status apart, so that ordinary writes may not touch it.
bool has_status(const schema::Resource& r) {
  for (const auto& sub : r.subresources) {
    if (sub.name == "status") return true;
  }
  return false;
}

}  // namespace

Status commit_status(const store::CommitError& error, const GroupResource& resource, std::string_view name) {
  switch (error.failure) {
    case store::CommitFailure::AlreadyExists:
      return already_exists(resource, name).error();
    case store::CommitFailure::NotFound:
      return not_found(resource, name).error();
    case store::CommitFailure::Conflict:
      return conflict(resource, name,
                      "the object has been modified; please apply your changes to the latest version and try again")
          .error();
    case store::CommitFailure::Encryption:
      return internal_error(fmt::format("Internal error occurred: {}", error.message)).error();
    case store::CommitFailure::Unavailable:
      return service_unavailable(error.message).error();
  }
  return internal_error(error.message).error();
}

bool Rest::dry_run(const Context& c, const Value& options) const {
  return !c.param("dryRun").empty() || options.get({"dryRun"}).size() > 0;
}

Result<Value> Rest::decode(Context& c, std::string_view body, const schema::Type& type, std::string_view api_version,
                           std::string_view kind) {
  std::string_view validation = c.param("fieldValidation");
  if (!validation.empty() && validation != "Strict" && validation != "Warn" && validation != "Ignore") {
    return bad_request(fmt::format("invalid fieldValidation \"{}\": must be Strict, Warn or Ignore", validation));
  }
  schema::DecodeWarnings strict;
  schema::DecodeLimits limits{.max_bytes = kMaxBodyBytes};
  std::string_view media = c.request.headers.get("content-type").value_or("application/json");
  media = media.substr(0, media.find(';'));
  Result<Value> parsed = Value::null();
  std::string_view text = c.arena.copy(body);
  if (text.empty()) return bad_request("the request body is empty");
  if (media == "application/json" || media.empty()) {
    parsed = schema::parse_json(text, c.arena, limits, &strict);
  } else if (media == "application/yaml") {
    parsed = schema::parse_yaml(text, c.arena, limits, &strict);
  } else if (media == "application/vnd.kubernetes.protobuf") {
    parsed = schema::parse_protobuf(
        text, c.arena,
        [](std::string_view v, std::string_view k) -> const schema::Type* {
          size_t slash = v.find('/');
          std::string_view group = slash == std::string_view::npos ? std::string_view() : v.substr(0, slash);
          std::string_view version = slash == std::string_view::npos ? v : v.substr(slash + 1);
          if (const schema::Resource* r = schema::find_resource_by_kind(group, version, k)) return r->type;
          std::string package = group.empty() ? "core" : std::string(group.substr(0, group.find('.')));
          if (const schema::Type* t = schema::find_type(fmt::format("io.k8s.api.{}.{}.{}", package, version, k)))
            return t;
          return schema::find_type(fmt::format("io.k8s.apimachinery.pkg.apis.meta.v1.{}", k));
        },
        limits);
  } else {
    return unsupported_media_type(
        fmt::format("the body of the request was in an unknown format - accepted media types include: "
                    "application/json, application/yaml, "
                    "application/vnd.kubernetes.protobuf"));
  }
  if (!parsed) {
    if (parsed.error().code() != 400) return parsed;
    return Error(parsed.error().with_context(fmt::format(
        "Object 'Kind' could not be decoded; the object provided is unrecognized (must be of type {})", kind)));
  }
  Value object = *parsed;
  if (!object.is_object())
    return bad_request(fmt::format("the body is no object: couldn't get version/kind of {}", kind));
  std::string_view got_version = object.get({"apiVersion"}).as_string(), got_kind = object.get({"kind"}).as_string();
  if (got_kind.empty() && got_version.empty()) {
    object.set(c.arena, "kind", Value::string(kind));
    object.set(c.arena, "apiVersion", Value::string(c.arena.copy(api_version)));
  } else if (got_kind != kind || got_version != api_version) {
    return bad_request(
        fmt::format("{} in version \"{}\" cannot be handled as a {}: the object provided ({}, Kind={}) does not match "
                    "the expected {}, Kind={}",
                    got_kind, got_version, kind, got_version, got_kind, api_version, kind));
  }
  auto fits = schema::conform(object, type, c.arena, &strict);
  if (!fits)
    return Error(fits.error().with_context(
        fmt::format("{} in version \"{}\" cannot be handled as a {}", kind, api_version, kind)));
  if (!strict.strict.empty()) {
    if (validation == "Strict")
      return bad_request("strict decoding error: " + fmt::format("{}", fmt::join(strict.strict, ", ")));
    if (validation != "Ignore") c.warnings.insert(c.warnings.end(), strict.strict.begin(), strict.strict.end());
  }
  if (c.audit != nullptr) {
    Value metadata = object.get({"metadata"});
    c.sent_name = metadata.get({"name"}).as_string();
    c.sent_uid = metadata.get({"uid"}).as_string();
    c.sent_resource_version = metadata.get({"resourceVersion"}).as_string();
  }
  return object;
}

Task<Result<Value>> Rest::read_object(Context& c, const schema::Type& type, std::string_view api_version,
                                      std::string_view kind) {
  std::string version(api_version), kind_text(kind);
  if (c.request.content_length.value_or(0) > kMaxBodyBytes)
    co_return request_entity_too_large(fmt::format("Request entity too large: limit is {}", kMaxBodyBytes));
  RD_CO_TRY(std::string body, co_await net::read_body(*c.request.body, kMaxBodyBytes));
  co_return decode(c, body, type, c.arena.copy(version), c.arena.copy(kind_text));
}

Task<Result<store::ObjectPtr>> Rest::create_object(Context& c, Value object) {
  Arena& arena = c.arena;
  const schema::Resource& resource = *c.resource;
  const KindHooks& hooks = hooks_for(resource.group, resource.name);
  Value& metadata = object.object_at(arena, "metadata");
  if (resource.namespaced) {
    std::string_view ns = metadata.get({"namespace"}).as_string();
    if (!ns.empty() && ns != c.info.namespace_)
      co_return bad_request("the namespace of the provided object does not match the namespace sent on the request");
    metadata.set(arena, "namespace", Value::string(arena.copy(c.info.namespace_)));
  } else {
    metadata.erase("namespace");
  }
  for (const char* field : {"uid", "resourceVersion", "creationTimestamp", "deletionTimestamp",
                            "deletionGracePeriodSeconds", "generation", "selfLink"}) {
    if (std::string_view(field) == "resourceVersion" && !metadata.get({field}).as_string().empty() &&
        metadata.get({field}).as_string() != "0") {
      co_return bad_request("resourceVersion should not be set on objects to be created");
    }
    metadata.erase(field);
  }
  std::string_view generate = metadata.get({"generateName"}).as_string();
  bool generated = metadata.get({"name"}).as_string().empty() && !generate.empty();
  if (has_status(resource)) object.erase("status");
  if (!generated && !metadata.get({"name"}).as_string().empty()) c.info.name = metadata.get({"name"}).as_string();
  RD_CO_TRYV(admission_.mutate_create(c, object));
  if (webhooks_ != nullptr && webhooks_->mutates(c)) {
    bool as_stored = resource.storage_version.empty() || resource.storage_version == resource.version;
    if (as_stored && hooks.defaults != nullptr) hooks.defaults(object, arena);
    RD_CO_TRYV(co_await webhooks_->mutate(c, {"CREATE", {}, dry_run(c)}, object,
                                          [this, &c](Value& changed) { return admission_.mutate_create(c, changed); }));
  }
  Value& meta = object.object_at(arena, "metadata");  // webhooks may have made another object
  if (!resource.storage_version.empty() && resource.storage_version != resource.version)
    RD_CO_TRYV(convert_to_stored(object, resource, arena));
  if (hooks.defaults != nullptr) hooks.defaults(object, arena);
  if (hooks.prepare_create != nullptr) hooks.prepare_create(object, arena);
  if (hooks.spec_bumps_generation && object.has("spec")) meta.set(arena, "generation", Value::integer(1));
  meta.set(arena, "creationTimestamp", now_value(arena));
  for (int attempt = 0;; ++attempt) {
    meta.set(arena, "uid", Value::string(arena.copy(random_uuid())));
    if (generated) {
      // At most 63 characters with what is appended, as upstream cuts it.
      meta.set(arena, "name", Value::string(arena.copy(std::string(generate.substr(0, 58)) + random_suffix())));
    }
    if (hooks.identify != nullptr) hooks.identify(object, arena);
    Causes causes;
    validate_metadata(object, resource, hooks, causes);
    if (hooks.validate != nullptr) hooks.validate(object, causes);
    std::string name(meta.get({"name"}).as_string());
    if (!causes.empty()) co_return invalid(resource.group, resource.kind, name, std::move(causes));
    auto admitted = admission_.validate(c, object, Value());
    if (!admitted.is_here()) admitted = co_await admitted.task();
    RD_CO_TRYV(admitted.value());
    if (webhooks_ != nullptr) {
      Value shown = object;
      if (!resource.storage_version.empty() && resource.storage_version != resource.version) {
        shown = object.clone(arena);
        RD_CO_TRYV(convert_from_stored(shown, resource, arena));
      }
      RD_CO_TRYV(co_await webhooks_->validate(c, {"CREATE", {}, dry_run(c)}, shown));
    }
    ServiceIps::Reservation reservation;
    if (is_service(c)) {
      // What exists holds its address already: that it exists is the better answer.
      if (store_.snapshot(resource.storage_prefix)->find(storage_key(resource, c.info.namespace_, name))) {
        co_return already_exists(c.group_resource(), name);
      }
      RD_CO_TRY(reservation, service_ips_.assign(object, Value(), arena));
    }
    auto record = make_record(object, stored_version(resource), arena);
    if (dry_run(c)) {
      if (store_.snapshot(resource.storage_prefix)->find(record->key))
        co_return already_exists(c.group_resource(), name);
      co_return store::ObjectPtr(record);
    }
    store::Write write;
    write.resource = resource.storage_prefix;
    write.key = record->key;
    write.precondition = store::Write::Precondition::MustNotExist;
    write.object = std::move(record);
    if (!reservation.ips().empty()) {
      if (auto recorded = co_await service_ips_.record(reservation); !recorded) {
        co_await service_ips_.give_up(std::move(reservation));
        co_return Error(recorded.error());
      }
    }
    auto committed = co_await store_.commit(std::move(write));
    if (committed) {
      service_ips_.keep(reservation, committed->revision);
      co_return committed->object;
    }
    if (is_service(c)) co_await service_ips_.give_up(std::move(reservation));
    if (generated && committed.error().failure == store::CommitFailure::AlreadyExists && attempt < kNameRetries)
      continue;
    co_return Error(commit_status(committed.error(), c.group_resource(), name));
  }
}

Task<void> Rest::create(Context& c) {
  auto object = co_await read_object(c, *c.resource->type, c.resource->api_version(), c.resource->kind);
  if (!object) co_return co_await send_status(c, object.error());
  auto made = co_await create_object(c, *object);
  if (!made) co_return co_await send_status(c, made.error());
  auto encoded = encode_object(c, **made);
  if (!encoded) co_return co_await send_status(c, encoded.error());
  co_await send_encoded(c, 201, std::move(*encoded));
}

Result<std::pair<store::ObjectPtr, Value>> Rest::load(Context& c) {
  auto current =
      store_.snapshot(c.resource->storage_prefix)->find(storage_key(*c.resource, c.info.namespace_, c.info.name));
  if (!current) return not_found(c.group_resource(), c.info.name);
  RD_TRY(Value value, schema::parse_json(c.arena.copy(current->json.view()), c.arena, {.max_bytes = SIZE_MAX}));
  if (c.resource->storage_version != c.resource->version) RD_TRYV(convert_from_stored(value, *c.resource, c.arena));
  return std::make_pair(current, value);
}

Result<Rest::Write> Rest::prepare_update(Context& c, Value& object, const store::ObjectPtr& current, const Value& old,
                                         bool status_only) {
  Arena& arena = c.arena;
  const schema::Resource& resource = *c.resource;
  const KindHooks& hooks = hooks_for(resource.group, resource.name);
  Value& metadata = object.object_at(arena, "metadata");
  Value old_metadata = old.get({"metadata"});
  std::string name(c.info.name);
  std::string_view uid = metadata.get({"uid"}).as_string();
  if (!uid.empty() && uid != current->uid) {
    return conflict(
        c.group_resource(), name,
        fmt::format("Precondition failed: UID in precondition: {}, UID in object meta: {}", uid, current->uid));
  }
  std::string_view version = metadata.get({"resourceVersion"}).as_string();
  if (!version.empty() && version != std::to_string(current->revision)) {
    return conflict(c.group_resource(), name,
                    "the object has been modified; please apply your changes to the latest version and try again");
  }
  // What the server owns stays as it is.
  for (const char* field :
       {"uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink"}) {
    if (Value* before = old_metadata.find(field)) {
      metadata.set(arena, field, *before);
    } else {
      metadata.erase(field);
    }
  }
  if (resource.namespaced && !metadata.has("namespace"))
    metadata.set(arena, "namespace", Value::string(arena.copy(c.info.namespace_)));
  if (status_only) {
    // A status write changes status, and of the rest nothing.
    Value status = object.get({"status"});
    Value fresh = old.clone(arena);
    if (status.is_null()) {
      fresh.erase("status");
    } else {
      fresh.set(arena, "status", status);
    }
    object = fresh;
  } else if (has_status(resource)) {
    if (Value* before = old.find("status")) {
      object.set(arena, "status", *before);
    } else {
      object.erase("status");
    }
  }
  Value& meta = object.object_at(arena, "metadata");
  if (hooks.defaults != nullptr) hooks.defaults(object, arena);
  if (!status_only && hooks.prepare_update != nullptr) hooks.prepare_update(object, old, arena);
  RD_TRYV(schema::conform(object, *resource.type, arena));
  // Compared in canonical form: what a default writes and conforming drops again is no change.
  if (!status_only && hooks.spec_bumps_generation && object.has("spec") &&
      !object.get({"spec"}).equals(old.get({"spec"}))) {
    meta.set(arena, "generation", Value::integer(old_metadata.get({"generation"}).as_int() + 1));
  }
  Causes causes;
  validate_metadata(object, resource, hooks, causes);
  validate_metadata_update(object, old, causes);
  if (!status_only) {
    if (hooks.validate != nullptr) hooks.validate(object, causes);
    if (hooks.validate_update != nullptr) hooks.validate_update(object, old, causes);
  } else if (hooks.validate_status != nullptr) {
    hooks.validate_status(object, causes);
  }
  if (!causes.empty()) return invalid(resource.group, resource.kind, name, std::move(causes));
  Write out;
  bool deleting = old_metadata.has("deletionTimestamp");
  bool holds = meta.get({"finalizers"}).size() > 0 ||
               (resource.name == "namespaces" && object.get({"spec", "finalizers"}).size() > 0);
  bool graceful = meta.get({"deletionGracePeriodSeconds"}).as_int() > 0;
  out.finished = deleting && !holds && !graceful;
  Value stored = object;
  if (resource.storage_version != resource.version) {
    stored = object.clone(arena);
    RD_TRYV(convert_to_stored(stored, resource, arena));
  }
  out.record = make_record(stored, stored_version(resource), arena);
  // Equal but for the revision: nothing to write.
  std::string_view before = current->json;
  size_t at = current->resource_version_offset;
  std::string member = fmt::format("\"resourceVersion\":\"{}\"", current->revision);
  size_t from = before.find(member, at);
  std::string bare(before.substr(0, at));
  bare += before.substr(from + member.size() + (from == at && before.substr(from + member.size(), 1) == "," ? 1 : 0));
  out.unchanged = out.record->json.view() == bare;
  return out;
}

Task<Result<store::ObjectPtr>> Rest::write_update(Context& c, Write write, const store::ObjectPtr& current) {
  // An object that is stored with a key that was changed is written again, so that changing keys can be brought to an
  // end.
  if (write.unchanged && !write.finished && !store_.stale(c.resource->storage_prefix, *current)) co_return current;
  if (dry_run(c)) co_return store::ObjectPtr(write.record);
  store::Write commit;
  commit.resource = c.resource->storage_prefix;
  commit.key = current->key;
  commit.precondition = store::Write::Precondition::MustMatch;
  commit.expected = current->revision;
  if (write.finished) {
    commit.final_state = std::move(write.record);
  } else {
    commit.object = std::move(write.record);
  }
  auto committed = co_await store_.commit(std::move(commit));
  if (!committed) co_return Error(commit_status(committed.error(), c.group_resource(), c.info.name));
  co_return committed->object;
}

Task<Result<store::ObjectPtr>> Rest::modify(Context& c, std::function<Result<void>(Value&, const Value&)> change,
                                            bool status_only) {
  for (int attempt = 0;; ++attempt) {
    auto loaded = load(c);
    if (!loaded) co_return Error(loaded.error());
    auto& [current, old] = *loaded;
    Value object = old.clone(c.arena);
    object.object_at(c.arena, "metadata").erase("resourceVersion");
    if (auto changed = change(object, old); !changed) co_return Error(changed.error());
    // Of the other subresources the object is another one than what is stored.
    const std::string& part = c.info.subresource;
    bool asks = webhooks_ != nullptr && (part.empty() || part == "status" || part == "ephemeralcontainers" ||
                                         part == "resize" || part == "approval" || part == "finalize");
    if (asks && webhooks_->mutates(c)) {
      const KindHooks& hooks = hooks_for(c.resource->group, c.resource->name);
      if (!status_only && c.resource->storage_version == c.resource->version && hooks.defaults != nullptr)
        hooks.defaults(object, c.arena);
      RD_CO_TRYV(co_await webhooks_->mutate(c, {"UPDATE", old, dry_run(c)}, object));
    }
    // A change that brings a version of its own is not tried again.
    bool pinned = !object.get({"metadata", "resourceVersion"}).as_string().empty();
    auto prepared = prepare_update(c, object, current, old, status_only);
    if (!prepared) co_return Error(prepared.error());
    ServiceIps::Reservation reservation;
    if (is_service(c) && !status_only) {
      RD_CO_TRY(reservation, service_ips_.assign(object, old, c.arena));
      auto again = prepare_update(c, object, current, old, status_only);
      if (!again) co_return Error(again.error());
      prepared = std::move(again);
    }
    auto admitted = admission_.validate(c, object, old);
    if (!admitted.is_here()) admitted = co_await admitted.task();
    RD_CO_TRYV(admitted.value());
    if (asks) RD_CO_TRYV(co_await webhooks_->validate(c, {"UPDATE", old, dry_run(c)}, object));
    if (!reservation.ips().empty() && !dry_run(c)) {
      if (auto recorded = co_await service_ips_.record(reservation); !recorded) {
        co_await service_ips_.give_up(std::move(reservation));
        co_return Error(recorded.error());
      }
    }
    bool finished = prepared->finished;
    auto written = co_await write_update(c, std::move(*prepared), current);
    if (is_service(c) && !dry_run(c)) {
      if (written && finished) {
        co_await service_ips_.give_up(std::move(reservation));
        co_await service_ips_.settle(current, nullptr);
      } else if (written) {
        service_ips_.keep(reservation, (*written)->revision);
        co_await service_ips_.settle(current, *written);
      } else {
        co_await service_ips_.give_up(std::move(reservation));
      }
    }
    if (written || !written.error().is("Conflict") || pinned || attempt >= kConflictRetries) co_return written;
  }
}

Task<void> Rest::update(Context& c) {
  auto object = co_await read_object(c, *c.resource->type, c.resource->api_version(), c.resource->kind);
  if (!object) co_return co_await send_status(c, object.error());
  std::string_view name = object->get({"metadata", "name"}).as_string();
  if (name.empty()) {
    co_return co_await send_status(c, bad_request("name must be provided").error());
  }
  if (name != c.info.name) {
    co_return co_await send_status(
        c, bad_request(
               fmt::format("the name of the object ({}) does not match the name on the URL ({})", name, c.info.name))
               .error());
  }
  std::string_view ns = object->get({"metadata", "namespace"}).as_string();
  if (!ns.empty() && ns != c.info.namespace_) {
    co_return co_await send_status(
        c,
        bad_request("the namespace of the provided object does not match the namespace sent on the request").error());
  }
  Value wanted = *object;
  auto changed = co_await modify(
      c,
      [wanted](Value& into, const Value&) -> Result<void> {
        into = wanted;
        return {};
      },
      c.info.subresource == "status");
  if (!changed) co_return co_await send_status(c, changed.error());
  auto encoded = encode_object(c, **changed);
  if (!encoded) co_return co_await send_status(c, encoded.error());
  co_await send_encoded(c, 200, std::move(*encoded));
}

Task<void> Rest::patch(Context& c) {
  std::string media(c.request.headers.get("content-type").value_or(""));
  media = media.substr(0, media.find(';'));
  bool json = media == "application/json-patch+json", merge = media == "application/merge-patch+json",
       strategic = media == "application/strategic-merge-patch+json";
  if (!json && !merge && !strategic) {
    co_return co_await send_status(
        c, unsupported_media_type("the body of the request was in an unknown format - accepted media types include: "
                                  "application/json-patch+json, application/merge-patch+json, "
                                  "application/strategic-merge-patch+json")
               .error());
  }
  auto body = co_await net::read_body(*c.request.body, kMaxBodyBytes);
  if (!body) co_return co_await send_status(c, body.error());
  auto patch = schema::parse_json(c.arena.copy(*body), c.arena, {.max_bytes = kMaxBodyBytes});
  if (!patch) co_return co_await send_status(c, patch.error().with_context("error decoding patch"));
  auto changed = co_await modify(
      c,
      [&c, json, merge, document = *patch](Value& into, const Value& old) -> Result<void> {
        Result<Value> patched = json    ? schema::json_patch(old, document, c.arena)
                                : merge ? Result<Value>(schema::json_merge_patch(old, document, c.arena))
                                        : schema::strategic_merge_patch(old, document, *c.resource->type, c.arena);
        if (!patched) return Error(patched.error());
        // Only a patch that says a version insists on it.
        std::string_view version = patched->get({"metadata", "resourceVersion"}).as_string();
        bool says = json || (document.get({"metadata", "resourceVersion"}).is_string());
        if (!says || version == old.get({"metadata", "resourceVersion"}).as_string()) {
          if (!document.get({"metadata", "resourceVersion"}).is_string())
            patched->object_at(c.arena, "metadata").erase("resourceVersion");
        }
        schema::DecodeWarnings strict;
        RD_TRYV(schema::conform(*patched, *c.resource->type, c.arena, &strict));
        if (!strict.strict.empty()) {
          std::string_view validation = c.param("fieldValidation");
          if (validation == "Strict")
            return bad_request("strict decoding error: " + fmt::format("{}", fmt::join(strict.strict, ", ")));
          if (validation != "Ignore" && c.warnings.empty()) c.warnings = strict.strict;
        }
        if (patched->get({"metadata", "name"}).as_string() != c.info.name) {
          Causes causes;
          immutable(causes, patched->get({"metadata", "name"}), old.get({"metadata", "name"}), "metadata.name");
          return invalid(c.resource->group, c.resource->kind, c.info.name, std::move(causes));
        }
        into = *patched;
        return {};
      },
      c.info.subresource == "status");
  if (!changed) co_return co_await send_status(c, changed.error());
  auto encoded = encode_object(c, **changed);
  if (!encoded) co_return co_await send_status(c, encoded.error());
  co_await send_encoded(c, 200, std::move(*encoded));
}

}  // namespace redoubt::apiserver
