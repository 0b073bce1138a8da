#include "podnetwork/pod_network.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/blocking.h"
#include "base/json_text.h"
#include "base/log.h"
#include "base/metrics.h"
#include "nft/nft.h"
#include "podnetwork/masquerade.h"
#include "podnetwork/wireguard.h"

namespace redoubt::podnetwork {

namespace core = k8s::core::v1;

namespace {

// Of a Node, what makes a peer; statuses are most of it.
void trim_node(schema::Value& node) {
  if (schema::Value* status = node.find("status")) {
    for (const char* part : {"images", "conditions", "capacity", "allocatable", "nodeInfo", "volumesInUse",
                             "volumesAttached", "daemonEndpoints", "config", "runtimeHandlers", "features"})
      status->erase(part);
  }
  if (schema::Value* metadata = node.find("metadata")) {
    metadata->erase("managedFields");
    metadata->erase("labels");
  }
}

// The MTU of the machine's way out.
int underlay_mtu() {
  std::ifstream routes("/proc/net/route");
  std::string line, interface;
  std::getline(routes, line);
  while (std::getline(routes, line)) {
    std::istringstream words(line);
    std::string name, destination;
    words >> name >> destination;
    if (destination == "00000000") {
      interface = name;
      break;
    }
  }
  int mtu = 0;
  if (!interface.empty()) std::ifstream("/sys/class/net/" + interface + "/mtu") >> mtu;
  return mtu > 0 ? mtu : kUsualMtu;
}

// The network's own address, for the interface.
std::vector<std::string> interface_addresses(const std::vector<std::string>& cidrs) {
  std::vector<std::string> out;
  for (const std::string& cidr : cidrs)
    out.push_back(cidr.substr(0, cidr.find('/')) + (cidr.find(':') == std::string::npos ? "/32" : "/128"));
  return out;
}

}  // namespace

Result<Mode> parse_mode(std::string_view text) {
  if (text == "wireguard") return Mode::Wireguard;
  if (text == "vxlan") return Mode::Vxlan;
  if (text == "routes") return Mode::Routes;
  if (text == "none") return Mode::None;
  return bad_request(fmt::format("--pod-network \"{}\" must be wireguard, vxlan, routes or none", text));
}

std::string interface_name(const std::string& root_dir) {
  if (root_dir.starts_with("/var/lib/redoubt")) return "redoubt-wg";
  // At most 15 characters. FNV-1a.
  uint32_t hash = 2166136261U;
  for (char c : root_dir) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  return fmt::format("rdwg-{:08x}", hash);
}

int pod_mtu(Mode mode) {
  int overhead = mode == Mode::Wireguard ? kWireguardOverhead : mode == Mode::Vxlan ? kVxlanOverhead : 0;
  return mode == Mode::None ? 0 : std::max(underlay_mtu() - overhead, kLeastMtu);
}

PodNetwork::PodNetwork(client::Client& api, Options options)
    : api_(api), options_(std::move(options)), nodes_(api, {}, {}, &trim_node), changed_(api.executor()) {
  nodes_.on_change([this](const auto&, const auto&) { changed_.notify(); });
}

Plan PodNetwork::plan() const {
  std::vector<const core::Node*> nodes;
  for (const auto& [name, node] : nodes_.objects()) nodes.push_back(node.get());
  return make_plan(nodes, options_.node_name, options_.cluster_cidrs);
}

Task<void> PodNetwork::run() {
  Scope scope(api_.executor(), "pod network");
  std::exception_ptr stopped;
  try {
    scope.spawn(nodes_.run());
    co_await nodes_.wait_synced();
    bool quiet = false;  // the same failure is said once
    while (true) {
      Result<void> done;
      if (options_.mode == Mode::Wireguard) done = co_await publish();
      if (done) done = co_await install();
      if (!done && !quiet) log_error("the pod network is not in place", {{"error", done.error().message()}});
      if (done && quiet) log_info("the pod network is in place again");
      quiet = !done;
      static Gauge& peers = gauge("podnetwork_peers", "Nodes that this one's pods reach.");
      peers.set(static_cast<int64_t>(done ? installed_.peers.size() : 0));
      if (!done) {
        co_await sleep_for(kRetry);
      } else if (co_await changed_.wait_for(kCheckEvery)) {
        co_await sleep_for(kGather);
      }
    }
  } catch (...) {
    stopped = std::current_exception();
  }
  co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
  co_await scope.join();
  if (stopped) std::rethrow_exception(stopped);
}

// Writes key and endpoint on this node's object, whenever they are not there.
Task<Result<void>> PodNetwork::publish() {
  RD_CO_TRY(Key key, co_await run_blocking([o = options_]() -> Result<Key> {
              std::error_code error;
              std::filesystem::create_directories(o.folder, error);
              std::filesystem::permissions(o.folder, std::filesystem::perms::owner_all, error);
              return load_key(o.folder + "/wireguard.key", o.key_lifetime);
            }));
  bool fresh = key.public_key != key_.public_key;
  key_ = std::move(key);
  if (fresh) is_installed_ = false;
  std::string endpoint = options_.endpoint;
  if (options_.behind_nat || (endpoint.empty() && likely_behind_nat(options_.node_ip, options_.server_host)))
    endpoint = "nat";
  if (endpoint.empty()) endpoint = net::Address{options_.node_ip, options_.port}.to_string();
  auto node = nodes_.get("", options_.node_name);
  if (!node) co_return service_unavailable(fmt::format("Node {} is not known yet", options_.node_name));
  auto is = [&](const char* name, const std::string& value) {
    auto it = node->metadata.annotations.find(name);
    return it != node->metadata.annotations.end() && it->second == value;
  };
  if (is(kKeyAnnotation, key_.public_key) && is(kEndpointAnnotation, endpoint)) co_return Result<void>{};
  std::string patch = fmt::format(R"({{"metadata":{{"annotations":{{"{}":"{}","{}":)", kKeyAnnotation, key_.public_key,
                                  kEndpointAnnotation);
  append_json_string(patch, endpoint);
  patch += "}}}";
  auto written = co_await api_.patch<core::Node>("", options_.node_name, client::PatchType::Merge, patch);
  if (!written) co_return Error(written.error().with_context("publishing this node's WireGuard key"));
  if (fresh) log_info("WireGuard key published", {{"node", options_.node_name}, {"endpoint", endpoint}});
  co_return Result<void>{};
}

Task<Result<void>> PodNetwork::install() {
  Plan now = plan();
  for (const std::string& why : now.left_out) {
    if (std::ranges::find(installed_.left_out, why) == installed_.left_out.end())
      log_warning("left out of the pod network", {{"node", why}});
  }
  if (now.own_cidrs.empty())
    co_return service_unavailable(fmt::format("Node {} has no podCIDR yet", options_.node_name));
  WireguardState state{.interface = options_.interface,
                       .config_file = options_.folder + "/wireguard.conf",
                       .addresses = interface_addresses(now.own_cidrs),
                       .cluster_cidrs = options_.cluster_cidrs,
                       .mtu = pod_mtu(options_.mode)};
  bool alone = now.peers.empty();
  bool same = is_installed_ && now == installed_;
  PlainCommands plain = options_.mode == Mode::Vxlan    ? vxlan_commands(now, options_.interface)
                        : options_.mode == Mode::Routes ? route_commands(now)
                                                        : PlainCommands{};
  std::string config;
  if (options_.mode == Mode::Wireguard) {
    bool nat = options_.behind_nat || likely_behind_nat(options_.node_ip, options_.server_host);
    config = wireguard_config(now, key_.private_key, options_.port, nat ? kKeepalive : std::chrono::seconds(0));
  }
  auto done = co_await run_blocking([=, o = options_, before = plain_]() -> Result<void> {
    std::error_code error;
    std::filesystem::create_directories(o.folder, error);
    if (!same || !masquerade_in_place(now.own_cidrs))
      RD_TRYV(nft::apply(masquerade_script(now.own_cidrs, o.cluster_cidrs)));
    if (alone && !interface_exists(o.interface)) return {};
    if (o.mode == Mode::Wireguard) {
      if (same && wireguard_in_place(state)) return {};
      return apply_wireguard(state, config);
    }
    // Again each time: who took a route away is not asked for.
    if (o.mode == Mode::Vxlan) RD_TRYV(ensure_vxlan(o.interface, now, o.node_ip, state.mtu));
    return apply_plain(before, plain, o.folder);
  });
  if (!done) co_return Error(done.error());
  if (!same) log_info("pod network installed", {{"peers", now.peers.size()}});
  plain_ = std::move(plain);
  installed_ = std::move(now);
  is_installed_ = true;
  co_return Result<void>{};
}

Result<void> remove_pod_network(const std::string& root_dir) {
  RD_TRYV(remove_masquerade());
  return remove_interface(interface_name(root_dir));
}

}  // namespace redoubt::podnetwork
