#include "schema/openapi.h"

#include <map>

#include "base/json_text.h"
#include "schema/openapi_schemas.h"

namespace redoubt::schema {

namespace {

constexpr std::string_view kInfo = R"("info":{"title":"Kubernetes","version":"v1.35.4"})";
constexpr std::string_view kSecurity =
    R"({"BearerToken":{"description":"Bearer token","in":"header","name":"authorization","type":"apiKey"}})";
constexpr std::string_view kMeta = "io.k8s.apimachinery.pkg.apis.meta.v1.";

struct Parameter {
  std::string_view name, type, words;
};

constexpr Parameter kDryRun{"dryRun", "string", "With `All`, everything is done but the write itself."};
constexpr Parameter kFieldManager{"fieldManager", "string", "Who owns the fields that this request sets."};
constexpr Parameter kFieldValidation{"fieldValidation", "string",
                                     "What becomes of unknown and duplicate fields: `Ignore`, `Warn` or `Strict`."};
constexpr Parameter kForce{"force", "boolean", "Takes fields over from other managers; for server-side apply only."};
constexpr Parameter kPretty{"pretty", "string", "If `true`, the answer is indented."};
constexpr Parameter kSelectors[] = {
    {"allowWatchBookmarks", "boolean", "Asks for events that carry only a newer resource version."},
    {"continue", "string", "Where the next page begins, as the last one said."},
    {"fieldSelector", "string", "Only objects whose fields match."},
    {"labelSelector", "string", "Only objects whose labels match."},
    {"limit", "integer", "At most so many objects; more follow with `continue`."},
    {"resourceVersion", "string", "The version that the answer may not be older than, or must be."},
    {"resourceVersionMatch", "string", "How `resourceVersion` is meant: `Exact` or `NotOlderThan`."},
    {"sendInitialEvents", "boolean", "A watch begins with what there is, then a bookmark."},
    {"timeoutSeconds", "integer", "Ends the call after so long."},
    {"watch", "boolean", "Streams changes in place of a list."}};
constexpr Parameter kDelete[] = {
    {"gracePeriodSeconds", "integer", "Seconds until the object is deleted; 0 at once."},
    {"ignoreStoreReadErrorWithClusterBreakingPotential", "boolean", "Deletes an object that can no longer be read."},
    {"orphanDependents", "boolean", "Old form of propagationPolicy."},
    {"propagationPolicy", "string", "What becomes of dependents: `Orphan`, `Background` or `Foreground`."}};

// "rbac.authorization.k8s.io" -> "rbacAuthorization"
std::string camel_group(std::string_view group) {
  if (group.empty()) return "core";
  if (group.ends_with(".k8s.io")) group.remove_suffix(7);
  std::string out;
  bool up = false;
  for (char c : group) {
    if (c == '.') {
      up = true;
      continue;
    }
    out += up ? static_cast<char>(std::toupper(static_cast<unsigned char>(c))) : c;
    up = false;
  }
  return out;
}

std::string capital(std::string_view text) {
  std::string out(text);
  if (!out.empty()) out[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(out[0])));
  return out;
}

class Writer {
 public:
  explicit Writer(OpenApiVersion version) : version_(version), schemas_(version) {}

  void add(const Resource& r) {
    if (r.type == nullptr) return;
    schemas_.name_kind(*r.type, r.group, r.version, r.kind);
    std::string root =
        r.group.empty() ? fmt::format("/api/{}", r.version) : fmt::format("/apis/{}/{}", r.group, r.version);
    std::string collection = fmt::format("{}{}/{}", root, r.namespaced ? "/namespaces/{namespace}" : "", r.name);
    std::string scope = r.namespaced ? "Namespaced" : "";
    std::string list = ref_of(sibling(r, r.list_kind), r.group, r.version, r.list_kind);
    std::string self = schemas_.ref(*r.type);
    const std::string kind(r.kind);

    if (r.verbs & kVerbList) op(r, collection, "get", "list", "list", scope + kind, r.kind, list, "", kSelectors);
    if (r.verbs & kVerbCreate) op(r, collection, "post", "post", "create", scope + kind, r.kind, self, self, kWrite);
    if (r.verbs & kVerbDeleteCollection) {
      std::vector<Parameter> all(std::begin(kSelectors), std::end(kSelectors) - 1);
      all.insert(all.end(), std::begin(kDelete), std::end(kDelete));
      all.push_back(kDryRun);
      op(r, collection, "delete", "deletecollection", "delete", "Collection" + scope + kind, r.kind, meta("Status"),
         meta("DeleteOptions"), all);
    }
    if (r.namespaced && (r.verbs & kVerbList))
      op(r, fmt::format("{}/{}", root, r.name), "get", "list", "list", kind + "ForAllNamespaces", r.kind, list, "",
         kSelectors);
    item(r, collection + "/{name}", r.verbs, scope + kind, r.kind, self);
    for (const Subresource& sub : r.subresources) subresource(r, collection + "/{name}/" + std::string(sub.name), sub);
  }

  std::string take() {
    std::string out = fmt::format(
        "{{{},{},\"paths\":{{", version_ == OpenApiVersion::V2 ? R"("swagger":"2.0")" : R"("openapi":"3.0.0")", kInfo);
    bool first = true;
    for (const auto& [path, operations] : paths_) {
      if (!first) out += ',';
      first = false;
      out += fmt::format("\"{}\":{{{}}}", path, fmt::join(operations, ","));
    }
    if (version_ == OpenApiVersion::V2) {
      return out +
             fmt::format(R"(}},"definitions":{{{}}},"securityDefinitions":{},"security":[{{"BearerToken":[]}}]}})",
                         schemas_.take_definitions(), kSecurity);
    }
    return out + fmt::format(R"(}},"components":{{"schemas":{{{}}},"securitySchemes":{}}}}})",
                             schemas_.take_definitions(), kSecurity);
  }

 private:
  static constexpr Parameter kWrite[] = {kDryRun, kFieldManager, kFieldValidation};

  // The type beside the resource's own of that kind.
  static const Type* sibling(const Resource& r, std::string_view kind) {
    std::string_view name = r.type->name;
    return find_type(std::string(name.substr(0, name.rfind('.') + 1)) + std::string(kind));
  }

  std::string ref_of(const Type* type, std::string_view group, std::string_view version, std::string_view kind) {
    if (type == nullptr) return "{}";
    schemas_.name_kind(*type, group, version, kind);
    return schemas_.ref(*type);
  }

  std::string meta(std::string_view kind) {
    std::string name = std::string(kMeta) + std::string(kind);
    return ref_of(find_type(name), "", "v1", kind);
  }

  void item(const Resource& r, const std::string& path, uint32_t verbs, const std::string& what, std::string_view kind,
            const std::string& self) {
    if (verbs & kVerbGet) op(r, path, "get", "get", "read", what, kind, self, "", {});
    if (verbs & kVerbUpdate) op(r, path, "put", "put", "replace", what, kind, self, self, kWrite);
    if (verbs & kVerbPatch) {
      std::vector<Parameter> all(std::begin(kWrite), std::end(kWrite));
      all.push_back(kForce);
      op(r, path, "patch", "patch", "patch", what, kind, self, meta("Patch"), all);
    }
    if (verbs & kVerbDelete) {
      std::vector<Parameter> all(std::begin(kDelete), std::end(kDelete));
      all.push_back(kDryRun);
      op(r, path, "delete", "delete", "delete", what, kind, meta("Status"), meta("DeleteOptions"), all);
    }
  }

  void subresource(const Resource& r, const std::string& path, const Subresource& sub) {
    std::string_view kind = sub.kind.empty() ? r.kind : sub.kind;
    std::string what = (r.namespaced ? "Namespaced" : "") + std::string(r.kind) + capital(sub.name);
    gvk_group_ = sub.group.empty() ? r.group : sub.group;
    gvk_version_ = sub.version.empty() ? r.version : sub.version;
    if (sub.connect) {
      static constexpr std::pair<uint32_t, std::string_view> kMethods[] = {{kVerbGet, "get"},
                                                                           {kVerbCreate, "post"},
                                                                           {kVerbUpdate, "put"},
                                                                           {kVerbPatch, "patch"},
                                                                           {kVerbDelete, "delete"}};
      for (auto [verb, method] : kMethods) {
        if (sub.verbs & verb)
          op(r, path, method, "connect", "connect" + capital(method), what, kind, R"({"type":"string"})", "",
             options_of(r, kind));
      }
    } else if (sub.name == "log") {
      op(r, path, "get", "get", "read", what, kind, R"({"type":"string"})", "", options_of(r, "PodLogOptions"));
    } else {
      const Type* type = sub.group.empty()
                             ? sibling(r, kind)
                             : find_type(fmt::format("io.k8s.api.{}.{}.{}", sub.group.substr(0, sub.group.find('.')),
                                                     sub.version, kind));
      std::string self = ref_of(type, gvk_group_, gvk_version_, kind);
      if (sub.verbs & kVerbCreate) op(r, path, "post", "post", "create", what, kind, self, self, kWrite);
      item(r, path, sub.verbs, what, kind, self);
    }
    gvk_group_ = gvk_version_ = {};
  }

  // The fields of an options kind are query parameters.
  static std::vector<Parameter> options_of(const Resource& r, std::string_view kind) {
    std::vector<Parameter> out;
    const Type* type = sibling(r, kind);
    if (type == nullptr) return out;
    for (const Field& field : type->fields) {
      if (field.name == "apiVersion" || field.name == "kind" || field.name == "metadata" || field.inlined) continue;
      std::string_view shape = field.kind == FieldKind::Bool                                      ? "boolean"
                               : field.kind == FieldKind::Int32 || field.kind == FieldKind::Int64 ? "integer"
                                                                                                  : "string";
      out.push_back({field.name, shape, documentation(field.doc)});
    }
    return out;
  }

  void append_parameter(std::string& out, const Parameter& p, std::string_view in) {
    if (out.back() != '[') out += ',';
    out += fmt::format(R"({{"name":"{}","in":"{}",)", p.name, in);
    if (!p.words.empty()) {
      out += "\"description\":";
      append_json_string(out, p.words);
      out += ',';
    }
    if (in == "path") out += "\"required\":true,";
    out += version_ == OpenApiVersion::V2 ? fmt::format(R"("type":"{}","uniqueItems":true}})", p.type)
                                          : fmt::format(R"("schema":{{"type":"{}","uniqueItems":true}}}})", p.type);
  }

  void op(const Resource& r, const std::string& path, std::string_view method, std::string_view action,
          std::string_view verb, const std::string& what, std::string_view kind, const std::string& answer,
          const std::string& body, std::span<const Parameter> parameters) {
    static constexpr std::string_view kAnswers[] = {"application/json", "application/yaml",
                                                    "application/vnd.kubernetes.protobuf"};
    static constexpr std::string_view kPatches[] = {"application/apply-patch+yaml", "application/json-patch+json",
                                                    "application/merge-patch+json",
                                                    "application/strategic-merge-patch+json"};
    std::string group = camel_group(r.group);
    std::string out = fmt::format(R"("{}":{{"operationId":"{}{}{}{}","tags":["{}_{}"],"description":)", method, verb,
                                  capital(group), capital(r.version), what, group, r.version);
    append_json_string(out, fmt::format("{} {}", action, kind));
    out += ",\"parameters\":[";
    if (path.find("{name}") != std::string::npos)
      append_parameter(out, {"name", "string", fmt::format("name of the {}", r.kind)}, "path");
    if (path.find("{namespace}") != std::string::npos)
      append_parameter(out, {"namespace", "string", "the namespace it is in"}, "path");
    append_parameter(out, kPretty, "query");
    for (const Parameter& p : parameters) append_parameter(out, p, "query");
    if (!body.empty() && version_ == OpenApiVersion::V2)
      out += fmt::format(R"(,{{"name":"body","in":"body","required":{},"schema":{}}})", method != "delete", body);
    out += "],";
    std::span<const std::string_view> takes =
        method == "patch" ? std::span<const std::string_view>(kPatches) : std::span<const std::string_view>(kAnswers);
    if (!body.empty() && version_ == OpenApiVersion::V3) {
      out += "\"requestBody\":{\"content\":{";
      if (method == "patch") {
        for (std::string_view type : takes) out += fmt::format(R"("{}":{{"schema":{}}},)", type, body);
        out.pop_back();
      } else {
        out += fmt::format(R"("*/*":{{"schema":{}}})", body);
      }
      out += method == "delete" ? "}}," : "},\"required\":true},";
    }
    if (version_ == OpenApiVersion::V2) {
      out += "\"consumes\":[";
      if (body.empty() || method != "patch") {
        out += "\"*/*\"";
      } else {
        out += fmt::format("\"{}\"", fmt::join(takes, "\",\""));
      }
      out += fmt::format("],\"produces\":[\"{}\"],\"schemes\":[\"https\"],", fmt::join(kAnswers, "\",\""));
    }
    out += "\"responses\":{";
    auto response = [&](int code, std::string_view words) {
      out += fmt::format(R"("{}":{{"description":"{}",)", code, words);
      if (version_ == OpenApiVersion::V2) {
        out += fmt::format("\"schema\":{}}},", answer);
      } else {
        out += "\"content\":{";
        for (std::string_view type : kAnswers) out += fmt::format(R"("{}":{{"schema":{}}},)", type, answer);
        out.back() = '}';
        out += "},";
      }
    };
    response(200, "OK");
    if (action == "post" || action == "put" || action == "patch") response(201, "Created");
    if (action == "post" || action == "delete") response(202, "Accepted");
    out += fmt::format(R"("401":{{"description":"Unauthorized"}}}},"x-kubernetes-action":"{}",)", action);
    out +=
        fmt::format(R"("x-kubernetes-group-version-kind":{{"group":"{}","kind":"{}","version":"{}"}}}})",
                    gvk_version_.empty() ? r.group : gvk_group_, kind, gvk_version_.empty() ? r.version : gvk_version_);
    paths_[path].push_back(std::move(out));
  }

  OpenApiVersion version_;
  OpenApiSchemas schemas_;
  std::map<std::string, std::vector<std::string>> paths_;
  std::string_view gvk_group_, gvk_version_;  // of a subresource's kind while it is written
};

std::string document(OpenApiVersion version, std::span<const Resource* const> resources) {
  Writer writer(version);
  for (const Resource* resource : resources) writer.add(*resource);
  return writer.take();
}

}  // namespace

std::string openapi_v2(std::span<const Resource* const> resources) {
  return document(OpenApiVersion::V2, resources);
}

std::string openapi_v3(std::string_view group, std::string_view version, std::span<const Resource* const> resources) {
  std::vector<const Resource*> mine;
  for (const Resource* resource : resources) {
    if (resource->group == group && resource->version == version) mine.push_back(resource);
  }
  return document(OpenApiVersion::V3, mine);
}

}  // namespace redoubt::schema
