#include "egress/konnectivity/backends.h"

#include <algorithm>

#include "base/random.h"
#include "egress/konnectivity/metrics.h"

namespace redoubt::konnectivity {

std::string_view strategy_name(Strategy strategy) {
  switch (strategy) {
    case Strategy::Default:
      return "default";
    case Strategy::DestHost:
      return "destHost";
    case Strategy::DefaultRoute:
      return "defaultRoute";
  }
  return "unknown";
}

Result<std::vector<Strategy>> parse_strategies(std::string_view text) {
  std::vector<Strategy> out;
  while (!text.empty()) {
    std::string_view name = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), name.size() + 1));
    if (name.empty()) continue;
    bool known = false;
    for (Strategy strategy : {Strategy::Default, Strategy::DestHost, Strategy::DefaultRoute}) {
      if (strategy_name(strategy) != name) continue;
      out.push_back(strategy);
      known = true;
    }
    if (!known)
      return bad_request(fmt::format("unknown proxy strategy: {} (default, destHost and defaultRoute exist)", name));
  }
  if (out.empty()) return bad_request("proxy strategies cannot be empty");
  return out;
}

namespace {

// The first that is not draining, else the first.
BackendPtr first_of(const std::vector<BackendPtr>& backends) {
  for (const BackendPtr& backend : backends) {
    if (!backend->draining) return backend;
  }
  return backends.empty() ? nullptr : backends.front();
}

void erase_from(std::unordered_map<std::string, std::vector<BackendPtr>>& map, const std::string& key,
                const BackendPtr& backend) {
  auto found = map.find(key);
  if (found == map.end()) return;
  std::erase(found->second, backend);
  if (found->second.empty()) map.erase(found);
}

}  // namespace

BackendSet::BackendSet(std::vector<Strategy> strategies) : strategies_(std::move(strategies)) {
  set_gauges();
}

void BackendSet::add(BackendPtr backend) {
  auto& same = by_id_[backend->agent_id];
  if (same.empty()) ids_.push_back(backend->agent_id);
  same.push_back(backend);
  for (auto* hosts : {&backend->identifiers.ipv4, &backend->identifiers.ipv6, &backend->identifiers.host}) {
    for (const std::string& host : *hosts) {
      auto& at = by_host_[host];
      if (std::find(at.begin(), at.end(), backend) == at.end()) at.push_back(backend);
    }
  }
  for (const std::string& cidr : backend->identifiers.cidr) {
    if (auto network = Network::parse(cidr)) by_network_.emplace_back(*network, backend);
  }
  all_.push_back(std::move(backend));
  set_gauges();
}

void BackendSet::remove(const BackendPtr& backend) {
  erase_from(by_id_, backend->agent_id, backend);
  if (!by_id_.contains(backend->agent_id)) std::erase(ids_, backend->agent_id);
  for (auto* hosts : {&backend->identifiers.ipv4, &backend->identifiers.ipv6, &backend->identifiers.host}) {
    for (const std::string& host : *hosts) erase_from(by_host_, host, backend);
  }
  std::erase_if(by_network_, [&](const auto& entry) { return entry.second == backend; });
  std::erase(all_, backend);
  set_gauges();
}

BackendPtr BackendSet::any(bool default_route) const {
  BackendPtr draining;
  if (ids_.empty()) return nullptr;
  size_t start = random_below(ids_.size());
  for (size_t i = 0; i < ids_.size(); ++i) {
    const BackendPtr& backend = by_id_.at(ids_[(start + i) % ids_.size()]).front();
    if (default_route && !backend->identifiers.default_route) continue;
    if (!backend->draining) return backend;
    if (!draining) draining = backend;
  }
  return draining;
}

BackendPtr BackendSet::by_host(const std::string& host) const {
  if (auto found = by_host_.find(host); found != by_host_.end()) return first_of(found->second);
  std::vector<BackendPtr> best;
  int length = -1;
  for (const auto& [network, backend] : by_network_) {
    if (network.prefix_length() < length || !network.contains(host)) continue;
    if (network.prefix_length() > length) best.clear();
    length = network.prefix_length();
    best.push_back(backend);
  }
  return first_of(best);
}

BackendPtr BackendSet::of_node(const std::string& node) const {
  if (node.empty()) return nullptr;
  if (auto found = by_id_.find(node); found != by_id_.end()) return first_of(found->second);
  if (auto found = by_host_.find(node); found != by_host_.end()) return first_of(found->second);
  return nullptr;
}

BackendPtr BackendSet::pick(const std::string& host, const std::string& node) const {
  if (BackendPtr found = of_node(node)) return found;
  for (Strategy strategy : strategies_) {
    BackendPtr found = strategy == Strategy::DestHost ? by_host(host) : any(strategy == Strategy::DefaultRoute);
    if (found) return found;
  }
  return nullptr;
}

size_t BackendSet::count(Strategy strategy) const {
  switch (strategy) {
    case Strategy::Default:
      return by_id_.size();
    case Strategy::DestHost:
      return by_host_.size() + by_network_.size();
    case Strategy::DefaultRoute:
      return static_cast<size_t>(
          std::count_if(all_.begin(), all_.end(), [](const BackendPtr& b) { return b->identifiers.default_route; }));
  }
  return 0;
}

bool BackendSet::ready() const {
  return !strategies_.empty() && count(strategies_.front()) > 0;
}

void BackendSet::set_gauges() const {
  ServerMetrics& metrics = ServerMetrics::get();
  for (Strategy strategy : strategies_) {
    metrics.backends(strategy_name(strategy)).set(static_cast<int64_t>(count(strategy)));
  }
  metrics.backends_deprecated.set(static_cast<int64_t>(by_id_.size()));
}

}  // namespace redoubt::konnectivity
