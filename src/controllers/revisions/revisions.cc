#include "controllers/revisions/revisions.h"

#include <algorithm>

#include "schema/typed.h"

namespace redoubt::controllers {

namespace {
constexpr const char* kReplace = R"("$patch":"replace")";
constexpr const char* kHashLabel = "controller-revision-hash";
}  // namespace

std::string revision_data(const core::PodTemplateSpec& tmpl) {
  std::string text = schema::to_json(tmpl);
  text.insert(1, text.size() > 2 ? std::string(kReplace) + "," : kReplace);
  return R"({"spec":{"template":)" + text + "}}";
}

std::optional<core::PodTemplateSpec> template_of(const apps::ControllerRevision& revision) {
  schema::Arena arena;
  auto parsed = schema::parse_json(revision.data.json, arena, {.max_bytes = SIZE_MAX});
  if (!parsed || !parsed->get({"spec", "template"}).is_object()) return std::nullopt;
  auto tmpl = schema::from_value<core::PodTemplateSpec>(parsed->get({"spec", "template"}));
  if (!tmpl) return std::nullopt;
  return std::move(*tmpl);
}

std::string revision_hash(const core::PodTemplateSpec& tmpl, int32_t collisions) {
  uint64_t hash = 14695981039346656037ULL;
  std::string text = schema::to_json(tmpl) + (collisions > 0 ? std::to_string(collisions) : "");
  for (char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";
  std::string out;
  for (int i = 0; i < 10; ++i, hash /= kAlphabet.size()) out += kAlphabet[hash % kAlphabet.size()];
  return out;
}

std::vector<RevisionPtr> revisions_of(const client::Informer<apps::ControllerRevision>& informer, const std::string& ns,
                                      const std::string& owner_uid) {
  std::vector<RevisionPtr> out;
  const auto& all = informer.objects();
  for (auto it = all.lower_bound(ns + "/"); it != all.end() && it->second->metadata.namespace_ == ns; ++it) {
    const auto* owner = controller_of(it->second->metadata);
    if (owner != nullptr && owner->uid == owner_uid) out.push_back(it->second);
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const RevisionPtr& a, const RevisionPtr& b) { return a->revision < b->revision; });
  return out;
}

RevisionPtr find_equal(const std::vector<RevisionPtr>& revisions, const core::PodTemplateSpec& tmpl) {
  for (auto it = revisions.rbegin(); it != revisions.rend(); ++it) {
    auto held = template_of(**it);
    if (held && schema::equal(*held, tmpl)) return *it;
  }
  return nullptr;
}

std::vector<RevisionPtr> surplus(const std::vector<RevisionPtr>& revisions, const std::vector<std::string>& live,
                                 int32_t limit) {
  std::vector<RevisionPtr> dead;
  for (const RevisionPtr& revision : revisions) {
    if (std::find(live.begin(), live.end(), revision->metadata.name) == live.end()) dead.push_back(revision);
  }
  size_t keep = static_cast<size_t>(std::max(limit, 0));
  dead.resize(dead.size() > keep ? dead.size() - keep : 0);
  return dead;
}

Task<Result<RevisionPtr>> sync_revision(client::Client& api, std::vector<RevisionPtr> revisions,
                                        core::PodTemplateSpec tmpl, meta::ObjectMeta owner,
                                        meta::OwnerReference reference, std::map<std::string, std::string> labels,
                                        int32_t& collisions) {
  int64_t newest = revisions.empty() ? 0 : revisions.back()->revision;
  if (RevisionPtr equal = find_equal(revisions, tmpl)) {
    if (equal->revision == newest) co_return equal;
    apps::ControllerRevision again = *equal;
    again.revision = newest + 1;
    RD_CO_TRY(apps::ControllerRevision written, co_await api.update(std::move(again)));
    co_return std::make_shared<const apps::ControllerRevision>(std::move(written));
  }
  while (true) {
    apps::ControllerRevision made;
    std::string hash = revision_hash(tmpl, collisions);
    made.metadata.namespace_ = owner.namespace_;
    made.metadata.name = owner.name + "-" + hash;
    made.metadata.labels = labels;
    made.metadata.labels[kHashLabel] = hash;
    made.metadata.annotations = owner.annotations;
    made.metadata.annotations.erase("kubectl.kubernetes.io/last-applied-configuration");
    made.metadata.ownerReferences.push_back(reference);
    made.data.json = revision_data(tmpl);
    made.revision = newest + 1;
    std::string name = made.metadata.name;
    auto written = co_await api.create(std::move(made));
    if (written) co_return std::make_shared<const apps::ControllerRevision>(std::move(*written));
    if (!written.error().is("AlreadyExists")) co_return Error(written.error());
    RD_CO_TRY(apps::ControllerRevision there, co_await api.get<apps::ControllerRevision>(owner.namespace_, name));
    const auto* controller = controller_of(there.metadata);
    auto held = template_of(there);
    // Ours already: the informer has not shown it yet.
    if (controller != nullptr && controller->uid == owner.uid && held && schema::equal(*held, tmpl))
      co_return std::make_shared<const apps::ControllerRevision>(std::move(there));
    ++collisions;
  }
}

}  // namespace redoubt::controllers
