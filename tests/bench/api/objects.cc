#include "objects.h"

#include <fmt/format.h>

namespace redoubt::bench {

std::string config_map(const std::string& name) {
  static const std::string filler(800, 'x');
  return fmt::format(
      R"({{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"{0}","labels":{{"app":"bench","of":"{0}"}}}},"data":{{"config.yaml":"{1}"}}}})",
      name, filler);
}

std::string pod(const std::string& name) {
  // Nobody schedules it: what is measured is the API server.
  std::string out = fmt::format(
      R"({{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"{0}","labels":{{"app.kubernetes.io/name":"bench","app.kubernetes.io/instance":"{0}","pod-template-hash":"6d4b75cb6d"}},)"
      R"("annotations":{{"prometheus.io/scrape":"true","prometheus.io/port":"8080","checksum/config":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}}}},)"
      R"("spec":{{"schedulerName":"nobody","priority":0,"serviceAccountName":"default","containers":[)",
      name);
  for (int i = 0; i < 5; ++i) {
    if (i > 0) out += ',';
    out += fmt::format(
        R"({{"name":"container-{0}","image":"registry.example/team/app-{0}:1.2.3","args":["--listen=:808{0}"],"ports":[{{"containerPort":808{0}}}],)"
        R"("env":[{{"name":"NODE_NAME","valueFrom":{{"fieldRef":{{"fieldPath":"spec.nodeName"}}}}}}],"resources":{{"requests":{{"cpu":"50m","memory":"64Mi"}}}},)"
        R"("readinessProbe":{{"httpGet":{{"path":"/","port":808{0}}}}}}})",
        i);
  }
  return out + "]}}";
}

}  // namespace redoubt::bench
