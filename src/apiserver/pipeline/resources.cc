#include "apiserver/pipeline/pipeline.h"

namespace redoubt::apiserver::pipeline {

namespace {

// Whether the path names a namespace where the resource has none, or the other way round.
bool wrong_scope(const schema::Resource& r, const Context& c) {
  if (!r.namespaced) return !c.info.namespace_.empty() && r.name != "namespaces";
  return c.info.namespace_.empty() && !(c.info.name.empty() && (c.info.verb == "list" || c.info.verb == "watch")) &&
         !r.storage_prefix.empty() && c.info.verb != "deletecollection" && c.param("fieldSelector").empty();
}

}  // namespace

std::optional<WholeAnswer> read_now(Services& s, Context& c) {
  if (!c.info.subresource.empty()) return {};
  c.resource = schema::find_resource(c.info.group, c.info.version, c.info.resource);
  if (c.resource == nullptr || c.resource->storage_prefix.empty() || (c.resource->verbs & schema::kVerbGet) == 0 ||
      wrong_scope(*c.resource, c))
    return {};
  auto encoded = s.rest->read(c);
  if (!encoded) return {};
  return whole_answer(c, std::move(*encoded));
}

Task<void> serve_resource(Services& s, Context& c) {
  c.resource = schema::find_resource(c.info.group, c.info.version, c.info.resource);
  if (c.resource == nullptr) co_return co_await send_status(c, page_not_found().error());
  const schema::Resource& r = *c.resource;
  if (wrong_scope(r, c)) co_return co_await send_status(c, page_not_found().error());
  uint32_t verb = 0;
  static const std::map<std::string_view, uint32_t> kVerbs = {
      {"get", schema::kVerbGet},       {"list", schema::kVerbList},
      {"watch", schema::kVerbWatch},   {"create", schema::kVerbCreate},
      {"update", schema::kVerbUpdate}, {"patch", schema::kVerbPatch},
      {"delete", schema::kVerbDelete}, {"deletecollection", schema::kVerbDeleteCollection}};
  if (auto it = kVerbs.find(c.info.verb); it != kVerbs.end()) verb = it->second;
  if (r.name == "nodes" && c.info.subresource == "tunnel" && s.options.tunnels != nullptr) {
    if (c.info.verb == "create" && !c.info.name.empty()) co_return co_await s.options.tunnels->open(c);
    co_return co_await send_status(c, method_not_allowed(c.group_resource(), c.request.method).error());
  }
  if (!c.info.subresource.empty()) {
    for (const auto& sub : r.subresources) {
      if (sub.name == c.info.subresource) c.subresource = &sub;
    }
    if (c.subresource == nullptr) co_return co_await send_status(c, page_not_found().error());
    // OPTIONS and an upgrade's CONNECT mean something to a backend only.
    bool proxied = c.subresource->connect && c.info.subresource == "proxy" &&
                   (c.request.method == "OPTIONS" || c.request.method == "CONNECT");
    if ((c.subresource->verbs & verb) == 0 && !proxied)
      co_return co_await send_status(c, method_not_allowed(c.group_resource(), c.request.method).error());
    if (c.subresource->name == "token") co_return co_await s.reviews->token(c);
    co_return co_await s.subresources->serve(c);
  }
  if ((r.verbs & verb) == 0 || verb == 0)
    co_return co_await send_status(c, method_not_allowed(c.group_resource(), c.request.method).error());
  if (r.storage_prefix.empty()) {
    if (r.name == "bindings") {
      Context& binding = c;
      co_return co_await s.subresources->serve((binding.info.subresource = "binding", binding));
    }
    if (r.name == "componentstatuses") {
      if (c.info.verb == "get") co_return co_await send_status(c, not_found(c.group_resource(), c.info.name).error());
      auto encoded = encode_list(c, {}, {});
      if (encoded) co_return co_await send_encoded(c, 200, std::move(*encoded));
      co_return co_await send_status(c, encoded.error());
    }
    co_return co_await s.reviews->create(c);
  }
  switch (verb) {
    case schema::kVerbGet:
      co_return co_await s.rest->get(c);
    case schema::kVerbList:
      co_return co_await s.rest->list(c);
    case schema::kVerbWatch:
      co_return co_await s.rest->watch(c);
    case schema::kVerbCreate:
      co_return co_await s.rest->create(c);
    case schema::kVerbUpdate:
      co_return co_await s.rest->update(c);
    case schema::kVerbPatch:
      co_return co_await s.rest->patch(c);
    case schema::kVerbDelete:
      co_return co_await s.rest->remove(c);
    default:
      co_return co_await s.rest->remove_collection(c);
  }
}

}  // namespace redoubt::apiserver::pipeline
