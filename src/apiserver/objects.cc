#include "apiserver/objects.h"

#include <map>

#include "schema/codec.h"

namespace redoubt::apiserver {

namespace {

void extract(const Value& object, const KindHooks& hooks, store::Object& into) {
  Value metadata = object.get({"metadata"});
  into.namespace_ = metadata.get({"namespace"}).as_string();
  into.name = metadata.get({"name"}).as_string();
  into.uid = metadata.get({"uid"}).as_string();
  for (const schema::Member& label : schema::members(metadata.get({"labels"})))
    into.labels.emplace_back(label.key, label.value.as_string());
  if (hooks.fields != nullptr) into.fields = hooks.fields(object);
}

// The storage row of each prefix: the resource in its stored version.
const schema::Resource* stored_resource(std::string_view prefix) {
  static const auto* table = [] {
    auto* made = new std::map<std::string_view, const schema::Resource*>;
    for (const schema::Resource& r : schema::builtin_resources()) {
      if (!r.storage_prefix.empty() && r.storage_version == r.version) made->emplace(r.storage_prefix, &r);
    }
    return made;
  }();
  auto it = table->find(prefix);
  return it == table->end() ? nullptr : it->second;
}

}  // namespace

std::string storage_prefix(const schema::Resource& resource, std::string_view ns) {
  return ns.empty() ? fmt::format("/registry/{}/", resource.storage_prefix)
                    : fmt::format("/registry/{}/{}/", resource.storage_prefix, ns);
}

std::string storage_key(const schema::Resource& resource, std::string_view ns, std::string_view name) {
  return storage_prefix(resource, resource.namespaced ? ns : std::string_view()) + std::string(name);
}

std::shared_ptr<store::Object> make_record(const Value& object, const schema::Resource& resource,
                                           schema::Arena& arena) {
  Value copy = object;
  Value& metadata = copy.object_at(arena, "metadata");
  // Written with a mark where the revision belongs, found again at once: it stands in schema order among metadata's
  // members.
  constexpr std::string_view kMark = "\x01";
  Value before = metadata.get({"resourceVersion"});
  metadata.set(arena, "resourceVersion", Value::string(kMark));
  std::string json = schema::to_json(copy, resource.type);
  // The caller's tree shares its nodes with the copy.
  if (before.is_null()) {
    metadata.erase("resourceVersion");
  } else {
    metadata.set(arena, "resourceVersion", before);
  }
  constexpr std::string_view kMember = "\"resourceVersion\":\"\\u0001\"";
  size_t at = json.find(kMember);
  size_t end = at + kMember.size();
  if (end < json.size() && json[end] == ',') {
    ++end;
  } else if (at > 0 && json[at - 1] == ',') {
    --at;
  }
  json.erase(at, end - at);
  auto record = std::make_shared<store::Object>();
  extract(object, hooks_for(resource.group, resource.name), *record);
  record->key = storage_key(resource, record->namespace_, record->name);
  record->json = Bytes::take(std::move(json));
  record->resource_version_offset = static_cast<uint32_t>(at);
  return record;
}

Result<void> index_object(store::Object& object, std::string_view prefix) {
  const schema::Resource* resource = stored_resource(prefix);
  if (resource == nullptr)
    return internal_error(fmt::format("the database holds objects of an unknown resource \"{}\"", prefix));
  schema::Arena arena;
  RD_TRY(Value value, schema::parse_json(object.json, arena, {.max_bytes = SIZE_MAX}));
  extract(value, hooks_for(resource->group, resource->name), object);
  // A value that was put under another's key (on disk, where not every cipher binds it to its place) is not taken.
  if (object.key != storage_key(*resource, object.namespace_, object.name)) {
    return internal_error(fmt::format(
        "the database holds another object's value under {}: it was tampered with, or is damaged", object.key));
  }
  size_t at = object.json.view().find("\"resourceVersion\":\"" + std::to_string(object.revision) + "\"");
  if (at == std::string_view::npos)
    return internal_error(fmt::format("the stored object {} does not carry its revision", object.key));
  // As the committer put it: with the comma before it where it is the last member.
  size_t end = object.json.view().find('"', at + 19) + 1;
  if (end < object.json.size() && object.json.view()[end] == '}' && at > 0 && object.json.view()[at - 1] == ',') --at;
  object.resource_version_offset = static_cast<uint32_t>(at);
  return {};
}

}  // namespace redoubt::apiserver
