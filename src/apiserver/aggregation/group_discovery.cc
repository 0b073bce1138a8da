#include "apiserver/aggregation/group_discovery.h"

#include <fmt/format.h>

#include <unordered_map>

#include "base/json_text.h"
#include "schema/codec.h"

namespace redoubt::apiserver {

using schema::Value;

namespace {

std::string quoted(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

std::string strings(const Value& list) {
  std::string out = "[";
  for (const Value& item : schema::items(list)) out += (out.size() > 1 ? "," : "") + quoted(item.as_string());
  return out + "]";
}

std::string kind_of(const Value& resource, std::string_view group, std::string_view version) {
  std::string_view g = resource.get({"group"}).as_string(), v = resource.get({"version"}).as_string();
  return fmt::format(R"({{"group":{},"version":{},"kind":{}}})", quoted(g.empty() && v.empty() ? group : g),
                     quoted(v.empty() ? version : v), quoted(resource.get({"kind"}).as_string()));
}

std::string group_json(const ApiServiceTable& services, const std::string& group, bool with_type) {
  std::string list, preferred;
  for (const ApiService* s : services.versions(group)) {
    std::string one =
        fmt::format(R"({{"groupVersion":{},"version":{}}})", quoted(s->group_version()), quoted(s->version));
    if (preferred.empty()) preferred = one;
    list += (list.empty() ? "" : ",") + one;
  }
  return fmt::format(R"({{{}"name":{},"versions":[{}],"preferredVersion":{}}})",
                     with_type ? R"("kind":"APIGroup","apiVersion":"v1",)" : "", quoted(group), list, preferred);
}

DiscoveryDocument document(std::string type, std::string body) {
  std::string etag = fmt::format("\"{:016X}\"", std::hash<std::string>()(body));
  return {std::move(type), std::move(body), std::move(etag)};
}

}  // namespace

std::optional<std::string> discovered_resources(std::string_view group, std::string_view version,
                                                std::string_view resource_list) {
  schema::Arena arena;
  auto parsed = schema::parse_json(arena.copy(resource_list), arena, {.max_bytes = SIZE_MAX});
  if (!parsed || !parsed->get({"resources"}).is_array()) return std::nullopt;
  Value all = parsed->get({"resources"});
  std::unordered_map<std::string_view, std::string> subresources;
  for (const Value& r : schema::items(all)) {
    std::string_view name = r.get({"name"}).as_string();
    size_t slash = name.find('/');
    if (slash == std::string_view::npos) continue;
    std::string& list = subresources[name.substr(0, slash)];
    list += fmt::format(R"({}{{"subresource":{},"responseKind":{},"verbs":{}}})", list.empty() ? "" : ",",
                        quoted(name.substr(slash + 1)), kind_of(r, group, version), strings(r.get({"verbs"})));
  }
  std::string out;
  for (const Value& r : schema::items(all)) {
    std::string_view name = r.get({"name"}).as_string();
    if (name.empty() || name.find('/') != std::string_view::npos) continue;
    if (!out.empty()) out += ',';
    out +=
        fmt::format(R"({{"resource":{},"responseKind":{},"scope":"{}","singularResource":{},"verbs":{})", quoted(name),
                    kind_of(r, group, version), r.get({"namespaced"}).as_bool() ? "Namespaced" : "Cluster",
                    quoted(r.get({"singularName"}).as_string()), strings(r.get({"verbs"})));
    if (r.get({"shortNames"}).size() > 0) out += ",\"shortNames\":" + strings(r.get({"shortNames"}));
    if (r.get({"categories"}).size() > 0) out += ",\"categories\":" + strings(r.get({"categories"}));
    if (auto below = subresources.find(name); below != subresources.end())
      out += ",\"subresources\":[" + below->second + "]";
    out += "}";
  }
  return out;
}

std::string version_discovery(std::string_view version, const SaidResources& said) {
  return fmt::format(R"({{"version":{},"freshness":"{}","resources":[{}]}})", quoted(version),
                     said.current ? "Current" : "Stale", said.entries);
}

std::optional<DiscoveryDocument> merged_discovery(const ApiServiceTable& services, const KnownResources& resources,
                                                  std::string_view path, std::string_view accept) {
  auto groups = services.remote_groups();
  if (groups.empty()) return std::nullopt;
  for (const std::string& group : groups) {
    if (path == "/apis/" + group) return document("application/json", group_json(services, group, true));
  }
  if (path != "/apis") return std::nullopt;
  auto own = discovery(path, accept);
  if (!own || !own->body.ends_with("]}")) return std::nullopt;
  bool aggregated = own->body.find("\"APIGroupDiscoveryList\"") < 64;
  std::string body = own->body.substr(0, own->body.size() - 2);
  for (const std::string& group : groups) {
    body += ',';
    if (!aggregated) {
      body += group_json(services, group, false);
      continue;
    }
    body += fmt::format(R"({{"metadata":{{"name":{},"creationTimestamp":null}},"versions":[)", quoted(group));
    bool first = true;
    for (const ApiService* s : services.versions(group)) {
      if (!first) body += ',';
      first = false;
      body += version_discovery(s->version, resources(s->group_version()));
    }
    body += "]}";
  }
  return document(own->content_type, body + "]}");
}

std::optional<DiscoveryDocument> merged_openapi_index(const ApiServiceTable& services, const KnownResources& resources,
                                                      std::string_view own) {
  if (!own.ends_with("}}")) return std::nullopt;
  std::string body(own.substr(0, own.size() - 2));
  bool any = false;
  for (const ApiService& s : services.all()) {
    if (s.local || !resources(s.group_version()).current) continue;
    any = true;
    // Without a hash: with one, its server would send whoever has an old one elsewhere.
    body += fmt::format(R"({}{}:{{"serverRelativeURL":{}}})", body.ends_with('{') ? "" : ",",
                        quoted("apis/" + s.group_version()), quoted("/openapi/v3/apis/" + s.group_version()));
  }
  if (!any) return std::nullopt;
  return document("application/json", body + "}}");
}

}  // namespace redoubt::apiserver
