#include "controllers/endpoints/service_pods.h"

namespace redoubt::controllers {

namespace {
std::string zone_label(const core::Node& node) {
  auto it = node.metadata.labels.find("topology.kubernetes.io/zone");
  return it == node.metadata.labels.end() ? "" : it->second;
}
}  // namespace

void follow_services(Informers& informers, std::function<void(const std::string& key)> concerned) {
  informers.services.on_change([concerned](const auto& before, const auto& after) {
    const auto& service = after ? after : before;
    concerned(service->metadata.namespace_ + "/" + service->metadata.name);
  });
  informers.pods.on_change([&informers, concerned](const auto& before, const auto& after) {
    if (before && after && !endpoint_differs(*before, *after)) return;
    const std::string& ns = (after ? after : before)->metadata.namespace_;
    const auto& services = informers.services.objects();
    for (auto it = services.lower_bound(ns + "/"); it != services.end() && it->second->metadata.namespace_ == ns;
         ++it) {
      const auto& selector = it->second->spec.selector;
      if ((before && selects(selector, before->metadata.labels)) ||
          (after && selects(selector, after->metadata.labels)))
        concerned(it->first);
    }
  });
  informers.nodes.on_change([&informers, concerned](const auto& before, const auto& after) {
    if (before && after && zone_label(*before) == zone_label(*after)) return;
    if (zone_label(*(after ? after : before)).empty() && (!before || zone_label(*before).empty())) return;
    for (const auto& [key, service] : informers.services.objects()) concerned(key);
  });
}

std::vector<PodPtr> pods_of(Informers& informers, const core::Service& service) {
  std::vector<PodPtr> out;
  const std::string& ns = service.metadata.namespace_;
  const auto& pods = informers.pods.objects();
  for (auto it = pods.lower_bound(ns + "/"); it != pods.end() && it->second->metadata.namespace_ == ns; ++it) {
    if (selects(service.spec.selector, it->second->metadata.labels)) out.push_back(it->second);
  }
  return out;
}

}  // namespace redoubt::controllers
