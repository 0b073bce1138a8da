#include "kubelet/server/configz.h"

#include <fmt/format.h>

#include "base/json_text.h"

namespace redoubt::kubelet {

std::string configz(const Options& options) {
  auto text = [](std::string_view value) {
    std::string out;
    append_json_string(out, value);
    return out;
  };
  return fmt::format(
      R"({{"kubeletconfig":{{"kind":"KubeletConfiguration","apiVersion":"kubelet.config.k8s.io/v1beta1","address":{},)"
      R"("port":{},"serverTLSBootstrap":true,"rotateCertificates":true,"authentication":{{"anonymous":{{"enabled":false}},)"
      R"("webhook":{{"enabled":true,"cacheTTL":"2m0s"}},"x509":{{}}}},"authorization":{{"mode":"Webhook","webhook":)"
      R"({{"cacheAuthorizedTTL":"5m0s","cacheUnauthorizedTTL":"30s"}}}},"clusterDomain":{},"clusterDNS":[{}],)"
      R"("containerRuntimeEndpoint":{},"podLogsDir":{},"enableDebuggingHandlers":true,"enableSystemLogHandler":true}}}})",
      text(options.address), options.port, text(options.cluster_domain),
      options.cluster_dns.empty() ? "" : text(options.cluster_dns),
      text("unix://" + options.container_runtime_endpoint), text(options.pod_logs_dir));
}

}  // namespace redoubt::kubelet
