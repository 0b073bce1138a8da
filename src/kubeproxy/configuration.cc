#include "kubeproxy/configuration.h"

#include <arpa/inet.h>

#include <array>
#include <charconv>

#include "base/time.h"
#include "schema/codec.h"
#include "schema/value.h"

namespace redoubt::kubeproxy {

namespace {

using schema::Arena;
using schema::Member;
using schema::Value;

// Fields that other modes and the Windows kernel have; they are taken and mean nothing here.
constexpr std::array kIgnored = {"apiVersion",
                                 "kind",
                                 "iptables",
                                 "ipvs",
                                 "winkernel",
                                 "featureGates",
                                 "oomScoreAdj",
                                 "conntrack",
                                 "detectLocal",
                                 "detectLocalMode",
                                 "enableProfiling",
                                 "logging",
                                 "bindAddress",
                                 "configSyncPeriod",
                                 "portRange",
                                 "showHiddenMetricsForVersion",
                                 "bindAddressHardFail",
                                 "windowsRunAsService"};

std::string trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return std::string(text);
}

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    size_t comma = text.find(',');
    if (std::string part = trimmed(text.substr(0, comma)); !part.empty()) out.push_back(std::move(part));
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
  }
  return out;
}

// Go's durations in the forms that configuration files have: "30s", "1m0s", "500ms".
Result<std::chrono::milliseconds> duration(std::string_view field, std::string_view text) {
  int64_t total = 0;
  std::string_view rest = text;
  while (!rest.empty()) {
    int64_t n = 0;
    auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), n);
    size_t used = static_cast<size_t>(end - rest.data());
    std::string_view unit = rest.substr(used, rest.find_first_of("0123456789", used) - used);
    int64_t scale = unit == "ms" ? 1 : unit == "s" ? 1000 : unit == "m" ? 60'000 : unit == "h" ? 3'600'000 : 0;
    if (error != std::errc() || scale == 0 || n < 0 || n > 1'000'000)
      return bad_request(fmt::format("{}: \"{}\" is no duration (like 30s or 500ms)", field, text));
    total += n * scale;
    rest.remove_prefix(used + unit.size());
  }
  return std::chrono::milliseconds(total);
}

}  // namespace

Result<Configuration> parse_configuration(std::string_view text) {
  Arena arena;
  RD_TRY(Value file, schema::parse_yaml(text, arena));
  if (!file.is_object()) return bad_request("a KubeProxyConfiguration is an object");
  std::string_view version = file.get({"apiVersion"}).as_string(), kind = file.get({"kind"}).as_string();
  if (kind != "KubeProxyConfiguration" || version != "kubeproxy.config.k8s.io/v1alpha1")
    return bad_request(
        fmt::format("no kind \"{}\" is registered for version \"{}\": a KubeProxyConfiguration of "
                    "kubeproxy.config.k8s.io/v1alpha1 is expected",
                    kind, version));
  Configuration out;
  for (const Member& m : schema::members(file)) {
    if (m.key == "mode") {
      std::string_view mode = m.value.as_string();
      if (!mode.empty() && mode != "nftables")
        return bad_request(fmt::format("mode: \"{}\" is not supported: this proxy uses nftables", mode));
    } else if (m.key == "clientConnection") {
      out.kubeconfig = m.value.get({"kubeconfig"}).as_string();
    } else if (m.key == "hostnameOverride") {
      out.proxy.node_name = m.value.as_string();
    } else if (m.key == "clusterCIDR") {
      out.proxy.rules.cluster_cidrs = split(m.value.as_string());
    } else if (m.key == "healthzBindAddress") {
      out.healthz_bind_address = m.value.as_string();
    } else if (m.key == "metricsBindAddress") {
      out.metrics_bind_address = m.value.as_string();
    } else if (m.key == "nodePortAddresses") {
      for (const Value& item : schema::items(m.value)) {
        std::string_view address = item.as_string();
        if (address == "primary") continue;  // the default: the Node's own addresses
        out.proxy.rules.node_port_addresses.emplace_back(address);
      }
    } else if (m.key == "nftables") {
      const Value& n = m.value;
      out.proxy.rules.masquerade_all = n.get({"masqueradeAll"}).as_bool();
      if (Value* bit = n.find("masqueradeBit"); bit != nullptr && !bit->is_null()) {
        if (bit->as_int(-1) < 0 || bit->as_int() > 31)
          return bad_request("nftables.masqueradeBit must be within the range [0, 31]");
        out.proxy.rules.masquerade_mark = 1U << bit->as_int();
      }
      if (Value* least = n.find("minSyncPeriod"); least != nullptr && !least->as_string().empty()) {
        RD_TRY(out.proxy.min_sync, duration("nftables.minSyncPeriod", least->as_string()));
      }
      if (Value* every = n.find("syncPeriod"); every != nullptr && !every->as_string().empty()) {
        RD_TRY(auto period, duration("nftables.syncPeriod", every->as_string()));
        if (period < std::chrono::seconds(1)) return bad_request("nftables.syncPeriod must be at least 1s");
        out.proxy.check_every = std::chrono::duration_cast<std::chrono::seconds>(period);
      }
    } else if (std::find(kIgnored.begin(), kIgnored.end(), m.key) == kIgnored.end()) {
      return bad_request(fmt::format("strict decoding error: unknown field \"{}\"", m.key));
    }
  }
  return out;
}

}  // namespace redoubt::kubeproxy
