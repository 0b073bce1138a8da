#include "kubelet/node/network.h"

#include <fmt/format.h>

#include <fstream>

#include "kubelet/files.h"
#include "pki/certificate.h"

namespace redoubt::kubelet {

Result<void> write_cni_config(const std::string& cni_conf_dir, const std::string& pod_cidr,
                              const std::string& state_dir) {
  RD_TRYV(make_folder(cni_conf_dir));
  std::string config = fmt::format(
      R"({{"cniVersion":"0.4.0","name":"redoubt","plugins":[{{"type":"bridge","bridge":"{}","isGateway":true,"ipMasq":true,"hairpinMode":true,"promiscMode":false,)"
      R"("ipam":{{"type":"host-local","dataDir":"{}","ranges":[[{{"subnet":"{}"}}]],"routes":[{{"dst":"0.0.0.0/0"}}]}}}},{{"type":"portmap","capabilities":{{"portMappings":true}}}}]}})",
      kBridge, state_dir, pod_cidr);
  auto old = pki::read_file(cni_conf_dir + "/10-redoubt.conflist");
  if (!old || *old != config) RD_TRYV(pki::write_file(cni_conf_dir + "/10-redoubt.conflist", config, 0600));
  std::ofstream("/proc/sys/net/ipv4/ip_forward") << "1";
  return {};
}

}  // namespace redoubt::kubelet
