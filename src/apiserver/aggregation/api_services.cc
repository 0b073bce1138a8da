#include "apiserver/aggregation/api_services.h"

#include <algorithm>
#include <unordered_set>

#include "base/encoding.h"
#include "pki/certificate.h"
#include "schema/codec.h"
#include "schema/resource.h"

namespace redoubt::apiserver {

namespace {

// What stands against ever calling the server, and the authorities to verify it by.
void read_trust(const schema::Value& spec, ApiService& s) {
  if (spec.get({"insecureSkipTLSVerify"}).as_bool()) {
    s.objection_reason = "VerificationRequired";
    s.objection = fmt::format(
        "APIService \"{}\" asks not to verify its server (spec.insecureSkipTLSVerify), which this server never does: "
        "put the server's authority in spec.caBundle",
        s.name);
    return;
  }
  std::string_view bundle = spec.get({"caBundle"}).as_string();
  s.ca_pem = base64_decode(bundle).value_or("");
  // One that can't be read must not end as trust in the system's roots.
  if (bundle.empty() || !pki::parse_certificates(s.ca_pem).empty()) return;
  s.objection_reason = "InvalidCABundle";
  s.objection = fmt::format("spec.caBundle of APIService \"{}\" holds no certificate in PEM", s.name);
}

}  // namespace

bool is_builtin(std::string_view group_version) {
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  static const auto* all = [] {
    auto* made = new std::unordered_set<std::string, Hash, std::equal_to<>>;
    for (const schema::Resource& r : schema::builtin_resources())
      made->insert(fmt::format("{}/{}", r.group, r.version));
    return made;
  }();
  return all->contains(group_version);
}

std::shared_ptr<const ApiServiceTable> ApiServiceTable::read(const store::Snapshot& objects) {
  auto out = std::make_shared<ApiServiceTable>();
  schema::Arena arena;
  objects.visit("/registry/", {}, [&](const store::ObjectPtr& object) {
    auto parsed = schema::parse_json(arena.copy(object->json.view()), arena, {.max_bytes = SIZE_MAX});
    if (!parsed) return true;
    schema::Value spec = parsed->get({"spec"});
    ApiService s;
    s.name = object->name;
    s.uid = object->uid;
    s.group = spec.get({"group"}).as_string();
    s.version = spec.get({"version"}).as_string();
    s.group_priority = spec.get({"groupPriorityMinimum"}).as_int();
    s.version_priority = spec.get({"versionPriority"}).as_int();
    s.local = !spec.get({"service"}).is_object() || s.group.empty() || is_builtin(s.group_version());
    if (!s.local) {
      s.service_namespace = spec.get({"service", "namespace"}).as_string();
      s.service_name = spec.get({"service", "name"}).as_string();
      s.port = static_cast<uint16_t>(spec.get({"service", "port"}).as_int(443));
      read_trust(spec, s);
    }
    out->services_.push_back(std::move(s));
    return true;
  });
  return out;
}

const ApiService* ApiServiceTable::find(std::string_view group, std::string_view version) const {
  for (const ApiService& s : services_) {
    if (!s.local && s.group == group && s.version == version) return &s;
  }
  return nullptr;
}

std::vector<std::string> ApiServiceTable::remote_groups() const {
  std::vector<std::pair<int64_t, std::string>> found;
  for (const ApiService& s : services_) {
    if (s.local) continue;
    bool ours = std::ranges::any_of(schema::builtin_resources(), [&](const auto& r) { return r.group == s.group; });
    if (ours) continue;
    auto known = std::ranges::find(found, s.group, &std::pair<int64_t, std::string>::second);
    if (known == found.end()) {
      found.emplace_back(s.group_priority, s.group);
    } else {
      known->first = std::max(known->first, s.group_priority);
    }
  }
  std::ranges::sort(
      found, [](const auto& a, const auto& b) { return a.first != b.first ? a.first > b.first : a.second < b.second; });
  std::vector<std::string> out;
  for (auto& [priority, group] : found) out.push_back(std::move(group));
  return out;
}

std::vector<const ApiService*> ApiServiceTable::versions(std::string_view group) const {
  std::vector<const ApiService*> out;
  for (const ApiService& s : services_) {
    if (!s.local && s.group == group) out.push_back(&s);
  }
  std::ranges::stable_sort(out, [](const auto* a, const auto* b) { return a->version_priority > b->version_priority; });
  return out;
}

std::shared_ptr<const ApiServiceTable> ApiServices::current() {
  auto snapshot = store_.snapshot("apiregistration.k8s.io/apiservices");
  std::lock_guard lock(mutex_);
  if (!table_ || !seen_ || seen_->identity() != snapshot->identity()) {
    table_ = ApiServiceTable::read(*snapshot);
    seen_ = std::move(snapshot);
  }
  return table_;
}

}  // namespace redoubt::apiserver
