#include "kubelet/node/network.h"

#include <fmt/format.h>

#include <filesystem>
#include <fstream>

#include "base/log.h"
#include "kubelet/files.h"
#include "pki/certificate.h"

namespace redoubt::kubelet {

namespace {

// What the runtime would take as a configuration, and is none of ours; "" when there is none.
std::string foreign_config(const std::string& folder) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    std::string name = entry.path().filename(), kind = entry.path().extension();
    if (name != "10-redoubt.conflist" && (kind == ".conflist" || kind == ".conf" || kind == ".json"))
      return entry.path();
  }
  return "";
}

}  // namespace

Result<void> write_cni_config(const std::string& cni_conf_dir, const std::string& pod_cidr,
                              const std::string& state_dir, int mtu) {
  RD_TRYV(make_folder(cni_conf_dir));
  const std::string mine = cni_conf_dir + "/10-redoubt.conflist";
  if (std::string other = foreign_config(cni_conf_dir); !other.empty()) {
    log_info("the pods' network is the administrator's", {{"configuration", other}});
    std::error_code gone;
    std::filesystem::remove(mine, gone);
    return {};
  }
  std::string config = fmt::format(
      R"({{"cniVersion":"0.4.0","name":"redoubt","plugins":[{{"type":"bridge","bridge":"{}","isGateway":true,"ipMasq":false,{}"hairpinMode":true,"promiscMode":false,)"
      R"("ipam":{{"type":"host-local","dataDir":"{}","ranges":[[{{"subnet":"{}"}}]],"routes":[{{"dst":"0.0.0.0/0"}}]}}}},{{"type":"portmap","capabilities":{{"portMappings":true}}}}]}})",
      kBridge, mtu > 0 ? fmt::format(R"("mtu":{},)", mtu) : "", state_dir, pod_cidr);
  auto old = pki::read_file(mine);
  if (!old || *old != config) RD_TRYV(pki::write_file(mine, config, 0600));
  std::ofstream("/proc/sys/net/ipv4/ip_forward") << "1";
  // Between two pods of this node, too, packets go through the rules of Services and network policies.
  for (const char* family : {"iptables", "ip6tables"}) {
    std::ofstream file(std::string("/proc/sys/net/bridge/bridge-nf-call-") + family);
    if (!(file << "1" << std::flush))
      log_warning("pods of this node reach each other without network policies: the module br_netfilter is not loaded",
                  {{"remedy", "modprobe br_netfilter"}});
  }
  return {};
}

}  // namespace redoubt::kubelet
