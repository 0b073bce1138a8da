// The objects that a pod names and that its node must therefore be able to read. For the Node authorizer's graph and
// for NodeRestriction.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "schema/k8s/core_v1.h"

namespace redoubt::apiserver {

inline constexpr std::string_view kMirrorPodAnnotation = "kubernetes.io/config.mirror";

struct PodReference {
  std::string_view resource;  // "secrets", "configmaps", "persistentvolumeclaims", "serviceaccounts", "resourceclaims"
  std::string name;           // in the pod's namespace
};

std::vector<PodReference> pod_references(const k8s::core::v1::Pod& pod);

}  // namespace redoubt::apiserver
