#include "apiserver/auth/pod_references.h"

namespace redoubt::apiserver {

std::vector<PodReference> pod_references(const k8s::core::v1::Pod& pod) {
  std::vector<PodReference> out;
  const auto& spec = pod.spec;
  auto add = [&](std::string_view resource, const std::string& name) {
    if (!name.empty()) out.push_back({resource, name});
  };
  auto secret = [&](const auto& reference) {
    if (reference) add("secrets", reference->name);
  };
  auto config_map = [&](const auto& reference) {
    if (reference) add("configmaps", reference->name);
  };

  add("serviceaccounts", spec.serviceAccountName);
  for (const auto& pull : spec.imagePullSecrets) add("secrets", pull.name);
  auto containers = [&](const auto& list) {
    for (const auto& container : list) {
      for (const auto& from : container.envFrom) {
        secret(from.secretRef);
        config_map(from.configMapRef);
      }
      for (const auto& env : container.env) {
        if (!env.valueFrom) continue;
        secret(env.valueFrom->secretKeyRef);
        config_map(env.valueFrom->configMapKeyRef);
      }
    }
  };
  containers(spec.initContainers);
  containers(spec.containers);
  containers(spec.ephemeralContainers);

  for (const auto& volume : spec.volumes) {
    if (volume.secret) add("secrets", volume.secret->secretName);
    if (volume.azureFile) add("secrets", volume.azureFile->secretName);
    if (volume.cephfs) secret(volume.cephfs->secretRef);
    if (volume.csi) secret(volume.csi->nodePublishSecretRef);
    if (volume.flexVolume) secret(volume.flexVolume->secretRef);
    if (volume.iscsi) secret(volume.iscsi->secretRef);
    if (volume.rbd) secret(volume.rbd->secretRef);
    if (volume.scaleIO) secret(volume.scaleIO->secretRef);
    if (volume.storageos) secret(volume.storageos->secretRef);
    config_map(volume.configMap);
    if (volume.persistentVolumeClaim) add("persistentvolumeclaims", volume.persistentVolumeClaim->claimName);
    if (volume.ephemeral) add("persistentvolumeclaims", pod.metadata.name + "-" + volume.name);
    if (!volume.projected) continue;
    for (const auto& source : volume.projected->sources) {
      secret(source.secret);
      config_map(source.configMap);
    }
  }
  for (const auto& claim : spec.resourceClaims) {
    if (claim.resourceClaimName) add("resourceclaims", *claim.resourceClaimName);
  }
  for (const auto& claim : pod.status.resourceClaimStatuses) {
    if (claim.resourceClaimName) add("resourceclaims", *claim.resourceClaimName);
  }
  return out;
}

}  // namespace redoubt::apiserver
