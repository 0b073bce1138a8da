#include "apiserver/discovery/discovery.h"

#include <vector>

#include "base/json_text.h"
#include "base/time.h"
#include "schema/resource.h"

namespace redoubt::apiserver {

namespace {

using schema::Resource;

constexpr std::string_view kAggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

struct GroupVersion {
  std::string_view group, version;
  std::string text() const { return group.empty() ? std::string(version) : fmt::format("{}/{}", group, version); }
};

// Versions in the order of the table; the first of a group is preferred.
const std::vector<GroupVersion>& versions() {
  static const auto* all = [] {
    auto* made = new std::vector<GroupVersion>;
    for (const Resource& r : schema::builtin_resources()) {
      bool known = false;
      for (const GroupVersion& v : *made) known = known || (v.group == r.group && v.version == r.version);
      if (!known) made->push_back({r.group, r.version});
    }
    return made;
  }();
  return *all;
}

std::string quoted_list(std::span<const std::string_view> texts) {
  std::string out = "[";
  for (size_t i = 0; i < texts.size(); ++i) out += fmt::format("{}\"{}\"", i > 0 ? "," : "", texts[i]);
  return out + "]";
}

std::string verbs(uint32_t bits) {
  static constexpr std::pair<uint32_t, std::string_view> kNames[] = {
      {schema::kVerbCreate, "create"},
      {schema::kVerbDelete, "delete"},
      {schema::kVerbDeleteCollection, "deletecollection"},
      {schema::kVerbGet, "get"},
      {schema::kVerbList, "list"},
      {schema::kVerbPatch, "patch"},
      {schema::kVerbUpdate, "update"},
      {schema::kVerbWatch, "watch"}};
  std::vector<std::string_view> names;
  for (auto [bit, name] : kNames) {
    if (bits & bit) names.push_back(name);
  }
  return quoted_list(names);
}

std::string resource_list(const GroupVersion& gv) {
  std::string out = fmt::format(R"({{"kind":"APIResourceList",{}"groupVersion":"{}","resources":[)",
                                gv.group.empty() ? "" : R"("apiVersion":"v1",)", gv.text());
  bool first = true;
  for (const Resource& r : schema::builtin_resources()) {
    if (r.group != gv.group || r.version != gv.version) continue;
    if (!first) out += ',';
    first = false;
    out += fmt::format(R"({{"name":"{}","singularName":"{}","namespaced":{},"kind":"{}","verbs":{})", r.name,
                       r.singular, r.namespaced, r.kind, verbs(r.verbs));
    if (!r.short_names.empty()) out += ",\"shortNames\":" + quoted_list(r.short_names);
    if (!r.categories.empty()) out += ",\"categories\":" + quoted_list(r.categories);
    out += "}";
    for (const auto& sub : r.subresources) {
      out += fmt::format(R"(,{{"name":"{}/{}","singularName":"","namespaced":{},)", r.name, sub.name, r.namespaced);
      if (!sub.group.empty()) out += fmt::format(R"("group":"{}","version":"{}",)", sub.group, sub.version);
      out += fmt::format(R"("kind":"{}","verbs":{}}})", sub.kind.empty() ? r.kind : sub.kind, verbs(sub.verbs));
    }
  }
  return out + "]}";
}

std::string group_json(std::string_view group, bool with_type) {
  std::string list, preferred;
  for (const GroupVersion& v : versions()) {
    if (v.group != group) continue;
    std::string one = fmt::format(R"({{"groupVersion":"{}","version":"{}"}})", v.text(), v.version);
    if (preferred.empty()) preferred = one;
    list += (list.empty() ? "" : ",") + one;
  }
  return fmt::format(R"({{{}"name":"{}","versions":[{}],"preferredVersion":{}}})",
                     with_type ? R"("kind":"APIGroup","apiVersion":"v1",)" : "", group, list, preferred);
}

std::vector<std::string_view> groups() {
  std::vector<std::string_view> out;
  for (const GroupVersion& v : versions()) {
    if (v.group.empty()) continue;
    if (out.empty() || out.back() != v.group) out.push_back(v.group);
  }
  return out;
}

std::string aggregated(bool core) {
  std::string out = R"({"kind":"APIGroupDiscoveryList","apiVersion":"apidiscovery.k8s.io/v2","metadata":{},"items":[)";
  std::vector<std::string_view> list = core ? std::vector<std::string_view>{""} : groups();
  for (size_t g = 0; g < list.size(); ++g) {
    if (g > 0) out += ',';
    out += list[g].empty()
               ? R"({"metadata":{"creationTimestamp":null},"versions":[)"
               : fmt::format(R"({{"metadata":{{"name":"{}","creationTimestamp":null}},"versions":[)", list[g]);
    bool first_version = true;
    for (const GroupVersion& v : versions()) {
      if (v.group != list[g]) continue;
      if (!first_version) out += ',';
      first_version = false;
      out += fmt::format(R"({{"version":"{}","freshness":"Current","resources":[)", v.version);
      bool first = true;
      for (const Resource& r : schema::builtin_resources()) {
        if (r.group != v.group || r.version != v.version) continue;
        if (!first) out += ',';
        first = false;
        out += fmt::format(
            R"({{"resource":"{}","responseKind":{{"group":"{}","version":"{}","kind":"{}"}},"scope":"{}","singularResource":"{}","verbs":{})",
            r.name, r.group, r.version, r.kind, r.namespaced ? "Namespaced" : "Cluster", r.singular, verbs(r.verbs));
        if (!r.short_names.empty()) out += ",\"shortNames\":" + quoted_list(r.short_names);
        if (!r.categories.empty()) out += ",\"categories\":" + quoted_list(r.categories);
        if (!r.subresources.empty()) {
          out += ",\"subresources\":[";
          for (size_t i = 0; i < r.subresources.size(); ++i) {
            const auto& sub = r.subresources[i];
            out += fmt::format(
                R"({}{{"subresource":"{}","responseKind":{{"group":"{}","version":"{}","kind":"{}"}},"verbs":{}}})",
                i > 0 ? "," : "", sub.name, sub.group.empty() ? r.group : sub.group,
                sub.version.empty() ? r.version : sub.version, sub.kind.empty() ? r.kind : sub.kind, verbs(sub.verbs));
          }
          out += "]";
        }
        out += "}";
      }
      out += "]}";
    }
    out += "]}";
  }
  return out + "]}";
}

}  // namespace

std::optional<DiscoveryDocument> discovery(std::string_view path, std::string_view accept) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  auto json = [](std::string body) {
    std::string etag = fmt::format("\"{:016X}\"", std::hash<std::string>()(body));
    return DiscoveryDocument{"application/json", std::move(body), std::move(etag)};
  };
  bool wants_aggregated = accept.find("g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList") != std::string_view::npos;
  if (path == "/api" || path == "/apis") {
    if (wants_aggregated) {
      DiscoveryDocument document = json(aggregated(path == "/api"));
      document.content_type = kAggregated;
      return document;
    }
    if (path == "/api") return json(R"({"kind":"APIVersions","versions":["v1"],"serverAddressByClientCIDRs":[]})");
    std::string out = R"({"kind":"APIGroupList","apiVersion":"v1","groups":[)";
    bool first = true;
    for (std::string_view group : groups()) {
      if (!first) out += ',';
      first = false;
      out += group_json(group, false);
    }
    return json(out + "]}");
  }
  for (const GroupVersion& v : versions()) {
    if (v.group.empty() ? path == fmt::format("/api/{}", v.version)
                        : path == fmt::format("/apis/{}/{}", v.group, v.version))
      return json(resource_list(v));
    if (!v.group.empty() && path == fmt::format("/apis/{}", v.group)) return json(group_json(v.group, true));
  }
  return std::nullopt;
}

std::string version_json() {
  return R"({"major":"1","minor":"35","gitVersion":"v1.35.4+redoubt","gitCommit":"","gitTreeState":"clean","buildDate":"1970-01-01T00:00:00Z","goVersion":"","compiler":"clang","platform":"linux/amd64"})";
}

}  // namespace redoubt::apiserver
