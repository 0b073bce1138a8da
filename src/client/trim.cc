#include "client/trim.h"

#include <string_view>

namespace redoubt::client {

void trim_pod(schema::Value& pod) {
  if (schema::Value* metadata = pod.find("metadata")) metadata->erase("managedFields");
  schema::Value* spec = pod.find("spec");
  if (spec == nullptr) return;
  for (std::string_view list : {"containers", "initContainers", "ephemeralContainers"}) {
    for (schema::Value& container : schema::items(spec->get({list}))) {
      for (std::string_view member :
           {"args", "command", "env", "envFrom", "imagePullPolicy", "lifecycle", "livenessProbe", "readinessProbe",
            "securityContext", "startupProbe", "terminationMessagePath", "terminationMessagePolicy", "volumeDevices",
            "volumeMounts", "workingDir"}) {
        container.erase(member);
      }
    }
  }
}

}  // namespace redoubt::client
