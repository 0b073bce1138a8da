#include "egress/dialer.h"

namespace redoubt::egress {

std::string_view path_name(PathId path) {
  switch (path) {
    case PathId::ApiserverKubelet:
      return "apiserver-kubelet";
    case PathId::ApiserverNode:
      return "apiserver-node";
    case PathId::ApiserverPod:
      return "apiserver-pod";
    case PathId::ApiserverService:
      return "apiserver-service";
    case PathId::ApiserverWebhook:
      return "apiserver-webhook";
    case PathId::ApiserverStore:
      return "apiserver-store";
  }
  return "unknown";
}

std::string_view network_name(Network network) {
  switch (network) {
    case Network::Node:
      return "node";
    case Network::Cluster:
      return "cluster";
    case Network::ControlPlane:
      return "controlplane";
    case Network::Etcd:
      return "etcd";
  }
  return "unknown";
}

Network network_of(PathId path, const Target& target) {
  if (target.network) return *target.network;
  switch (path) {
    case PathId::ApiserverKubelet:
    case PathId::ApiserverNode:
      return Network::Node;
    case PathId::ApiserverStore:
      return Network::Etcd;
    case PathId::ApiserverPod:
    case PathId::ApiserverService:
    case PathId::ApiserverWebhook:
      break;
  }
  return Network::Cluster;
}

Error not_confidential(PathId path, const Target& target, const Way& way) {
  std::string where = target.node.empty() ? "" : fmt::format(" on node \"{}\"", target.node);
  return Error(Status(403, "Forbidden",
                      fmt::format("{}: refusing to send plain text to {}{} by the way \"{}\": {}", path_name(path),
                                  target.address.to_string(), where, way.kind, way.why_not)));
}

}  // namespace redoubt::egress
