// The history of a workload's template: ControllerRevisions, as DaemonSets and StatefulSets keep them and `kubectl
// rollout history` and `undo` read them.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "controllers/controller.h"

namespace redoubt::controllers {

using RevisionPtr = std::shared_ptr<const apps::ControllerRevision>;

// The patch that puts `tmpl` into its owner's spec: a revision's data.
std::string revision_data(const core::PodTemplateSpec& tmpl);
// The template that a revision holds; nothing when its data is no such patch.
std::optional<core::PodTemplateSpec> template_of(const apps::ControllerRevision& revision);
// Ten characters in the alphabet of names; `collisions` makes another one of the same template.
std::string revision_hash(const core::PodTemplateSpec& tmpl, int32_t collisions);

// The owner's revisions, oldest first.
std::vector<RevisionPtr> revisions_of(const client::Informer<apps::ControllerRevision>& informer, const std::string& ns,
                                      const std::string& owner_uid);
// The newest one that holds `tmpl`; null when there is none.
RevisionPtr find_equal(const std::vector<RevisionPtr>& revisions, const core::PodTemplateSpec& tmpl);
// Those to be deleted so that at most `limit` are left besides the `live` ones (by name).
std::vector<RevisionPtr> surplus(const std::vector<RevisionPtr>& revisions, const std::vector<std::string>& live,
                                 int32_t limit);

// The revision of `tmpl`, made when it is new; an older one that holds it becomes the newest again (a roll-back).
// `collisions` is counted up when somebody else's revision has the name: the caller writes it to the status.
Task<Result<RevisionPtr>> sync_revision(client::Client& api, std::vector<RevisionPtr> revisions,
                                        core::PodTemplateSpec tmpl, meta::ObjectMeta owner,
                                        meta::OwnerReference reference, std::map<std::string, std::string> labels,
                                        int32_t& collisions);

}  // namespace redoubt::controllers
