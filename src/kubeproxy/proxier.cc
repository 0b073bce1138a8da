#include "kubeproxy/proxier.h"

#include "base/blocking.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/random.h"
#include "kubeproxy/conntrack.h"
#include "kubeproxy/nftables.h"
#include "nft/nft.h"

namespace redoubt::kubeproxy {

namespace core = k8s::core::v1;
namespace discovery = k8s::discovery::v1;

namespace {

constexpr std::string_view kServiceLabel = "kubernetes.io/service-name";
constexpr std::chrono::seconds kRetry{2};
constexpr size_t kFullPercent = 95;  // of the connections that the kernel tracks: from here on it drops what it can

std::string service_of(const discovery::EndpointSlice& slice) {
  auto it = slice.metadata.labels.find(std::string(kServiceLabel));
  return it == slice.metadata.labels.end() ? "" : slice.metadata.namespace_ + "/" + it->second;
}

std::vector<std::string> internal_addresses(const core::Node& node) {
  std::vector<std::string> out;
  for (const auto& address : node.status.addresses) {
    if (address.type == "InternalIP") out.push_back(address.address);
  }
  return out;
}

std::string zone_of(const core::Node& node) {
  auto it = node.metadata.labels.find("topology.kubernetes.io/zone");
  return it == node.metadata.labels.end() ? "" : it->second;
}

}  // namespace

Proxier::Proxier(client::Client& api, client::ServiceWatch& watch, net::LoopPool& loops, Options options)
    : api_(api),
      options_(std::move(options)),
      services_(watch.services),
      slices_(watch.slices),
      node_(api, "", client::ListOptions{.field_selector = "metadata.name=" + options_.node_name}),
      tables_{{Family::IPv4, 0, {}}, {Family::IPv6, 0, {}}},
      work_(api.executor()),
      health_checks_(loops) {
  services_.on_change([this](const auto& before, const auto& after) {
    const auto& metadata = (after ? after : before)->metadata;
    mark(metadata.namespace_ + "/" + metadata.name);
  });
  slices_.on_change([this](const auto& before, const auto& after) {
    const auto& slice = after ? after : before;
    std::string key = slice->metadata.namespace_ + "/" + slice->metadata.name;
    std::string was = before ? service_of(*before) : "", is = after ? service_of(*after) : "";
    if (!was.empty() && was != is) {
      slices_of_[was].erase(key);
      if (slices_of_[was].empty()) slices_of_.erase(was);
      mark(was);
    }
    if (!is.empty()) {
      slices_of_[is].insert(key);
      mark(is);
    }
  });
  node_.on_change([this](const auto& before, const auto& after) {
    if (!after ||
        (before && zone_of(*before) == zone_of(*after) && internal_addresses(*before) == internal_addresses(*after)))
      return;
    resync_ = true;
    work_.notify();
  });
}

void Proxier::mark(const std::string& service) {
  dirty_.insert(service);
  work_.notify();
}

Task<void> Proxier::run() {
  Scope scope(api_.executor(), "kube-proxy");
  std::exception_ptr stopped;
  try {
    scope.spawn(node_.run());
    co_await services_.wait_synced();
    co_await slices_.wait_synced();
    co_await node_.wait_synced();
    scope.spawn(keep_checked());
    co_await keep_synced();
  } catch (...) {
    stopped = std::current_exception();
  }
  co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
  co_await scope.join();
  if (stopped) std::rethrow_exception(stopped);
}

Task<void> Proxier::keep_synced() {
  while (true) {
    if (dirty_.empty() && !resync_) co_await work_.wait();
    co_await sleep_for(options_.min_sync);
    co_await sync();
    if (!healthy_) co_await sleep_for(kRetry);
  }
}

// Somebody may flush the rule set under us.
Task<void> Proxier::keep_checked() {
  while (true) {
    co_await sleep_for(options_.check_every);
    note_tracked_flows();
    for (Table& table : tables_) {
      if (table.generation == 0) continue;
      uint32_t expected = table.generation;
      auto there = co_await run_blocking([family = table.family] { return installed_generation(family); });
      // Not while a sync has moved on meanwhile.
      if (there == expected || table.generation != expected) continue;
      log_warning("nftables table is not as it was left: putting it back",
                  {{"table", kTable}, {"family", table.family == Family::IPv4 ? "ip" : "ip6"}});
      static Counter& repaired =
          counter("kubeproxy_table_repairs_total", "Tables that were put back after somebody changed them.");
      repaired.add();
      resync_ = true;
      work_.notify();
    }
  }
}

// The kernel drops new connections silently then, Services' and others alike.
void Proxier::note_tracked_flows() {
  static Gauge& entries = gauge("kubeproxy_conntrack_entries", "Connections that the kernel tracks.");
  static Gauge& limit = gauge("kubeproxy_conntrack_limit", "How many it tracks at most; then new ones are dropped.");
  auto flows = tracked_flows();
  if (!flows || flows->most == 0) return;
  entries.set(static_cast<int64_t>(flows->count));
  limit.set(static_cast<int64_t>(flows->most));
  bool full = flows->count * 100 >= flows->most * kFullPercent;
  if (full && !tracking_full_)
    log_error("connection tracking is full: new connections are dropped. Raise net.netfilter.nf_conntrack_max",
              {{"tracked", flows->count}, {"most", flows->most}});
  if (!full && tracking_full_) log_info("connection tracking has room again", {{"tracked", flows->count}});
  tracking_full_ = full;
}

Task<void> Proxier::sync() {
  auto began = std::chrono::steady_clock::now();
  bool whole = std::exchange(resync_, false);
  std::set<std::string> dirty = std::exchange(dirty_, {});
  // What they lost may have become free.
  dirty.insert(losers_.begin(), losers_.end());
  if (whole) {
    for (const auto& [key, service] : services_.objects()) dirty.insert(key);
    for (const auto& [key, state] : state_) dirty.insert(key);
  }
  Place place{options_.node_name, ""};
  RuleOptions rules = options_.rules;
  if (auto node = node_.get(options_.node_name)) {
    place.zone = zone_of(*node);
    if (rules.node_port_addresses.empty()) rules.node_port_addresses = internal_addresses(*node);
  }
  std::map<std::string, PerService> changed;
  for (const std::string& key : dirty) {
    PerService now;
    if (auto service = services_.get(key)) {
      std::vector<const discovery::EndpointSlice*> slices;
      if (auto it = slices_of_.find(key); it != slices_of_.end()) {
        for (const std::string& slice : it->second) {
          if (auto object = slices_.get(slice)) slices.push_back(object.get());
        }
      }
      now.ports = service_ports(*service, slices, place);
    }
    auto old = state_.find(key);
    if (!whole && !losers_.contains(key) && (old == state_.end() ? now.ports.empty() : old->second.ports == now.ports))
      continue;
    now.v4 = render(now.ports, Family::IPv4, rules);
    now.v6 = render(now.ports, Family::IPv6, rules);
    changed.emplace(key, std::move(now));
  }
  if (changed.empty() && !whole) {
    healthy_ = true;
    co_return;
  }
  bool ok = true;
  for (Table& table : tables_) {
    if (table.family == Family::IPv6 && !options_.ipv6) continue;
    if (whole) {
      table.owner.clear();
      std::string base = table_script(table.family, rules);
      table.generation = 0;
      Transaction transaction(table.family);
      for (auto& [key, now] : changed) {
        Fragment& mine = table.family == Family::IPv4 ? now.v4 : now.v6;
        mine = claim(table, key, std::move(mine));
        transaction.change({}, mine);
      }
      uint32_t generation = static_cast<uint32_t>(random_below(0x7fffffff)) + 1;
      std::string script = base + transaction.script() + generation_script(table.family, 0, generation);
      auto done = co_await run_blocking([script] { return nft::apply(script); });
      if (done) {
        table.generation = generation;
      } else {
        log_error("nftables: the rules could not be installed", {{"error", done.error().message()}});
        ok = false;
      }
    } else {
      ok = co_await sync_table(table, changed) && ok;
    }
  }
  static Histogram& duration =
      histogram("kubeproxy_sync_proxy_rules_duration_seconds", "How long applying changed rules took.",
                {0.001, 0.005, 0.02, 0.1, 0.5, 2, 10});
  duration.observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
  healthy_ = ok;
  if (!ok) {
    // What is installed is unknown now: from the ground up next time.
    resync_ = true;
    co_return;
  }
  if (whole) state_.clear();
  for (auto& [key, now] : changed) {
    if (now.ports.empty()) {
      state_.erase(key);
      losers_.erase(key);
    } else {
      state_[key] = now;
    }
  }
  co_await clean_conntrack(changed);
  co_await update_health_checks();
}

Task<bool> Proxier::sync_table(Table& table, std::map<std::string, PerService>& changed) {
  Transaction transaction(table.family);
  bool v4 = table.family == Family::IPv4;
  // First those that give something up, so that others can have it.
  for (const auto& [key, now] : changed) {
    auto old = state_.find(key);
    if (old == state_.end()) continue;
    for (const auto& [map, elements] : (v4 ? old->second.v4 : old->second.v6).elements) {
      for (const auto& [element, data] : elements) {
        auto owner = table.owner.find({map, element});
        if (owner != table.owner.end() && owner->second == key) table.owner.erase(owner);
      }
    }
  }
  for (auto& [key, now] : changed) {
    Fragment& mine = v4 ? now.v4 : now.v6;
    mine = claim(table, key, std::move(mine));
    auto old = state_.find(key);
    transaction.change(old == state_.end() ? Fragment{} : v4 ? old->second.v4 : old->second.v6, mine);
  }
  if (transaction.empty()) co_return true;
  uint32_t generation = static_cast<uint32_t>(random_below(0x7fffffff)) + 1;
  std::string script = transaction.script() + generation_script(table.family, table.generation, generation);
  auto done = co_await run_blocking([script] { return nft::apply(script); });
  if (!done) {
    log_error("nftables: a change was refused, installing everything anew", {{"error", done.error().message()}});
    co_return false;
  }
  table.generation = generation;
  co_return true;
}

// Two Services may ask for the same external address or node port: the first keeps it. Shared sets (cluster-ips,
// hairpin) hold the same element for several, so they are counted by owner too: whoever holds it keeps it in.
Fragment Proxier::claim(Table& table, const std::string& service, Fragment wanted) {
  bool lost = false;
  for (auto& [map, elements] : wanted.elements) {
    for (auto it = elements.begin(); it != elements.end();) {
      auto [owner, fresh] = table.owner.try_emplace({map, it->first}, service);
      if (fresh || owner->second == service) {
        ++it;
        continue;
      }
      if (!it->second.empty())
        log_warning("two Services want the same address and port",
                    {{"service", service}, {"holder", owner->second}, {"key", it->first}});
      lost = true;
      it = elements.erase(it);
    }
  }
  if (lost) {
    losers_.insert(service);
  } else {
    losers_.erase(service);
  }
  return wanted;
}

Task<void> Proxier::clean_conntrack(const std::map<std::string, PerService>& changed) {
  // (address, port) of changed UDP ports -> the endpoints that may answer for them.
  auto allowed =
      std::make_shared<std::map<std::pair<std::string, uint16_t>, std::set<std::pair<std::string, uint16_t>>>>();
  for (const auto& [key, now] : changed) {
    for (const ServicePort& p : now.ports) {
      if (p.protocol != "udp") continue;
      std::set<std::pair<std::string, uint16_t>> to;
      for (const auto* list : {&p.cluster, &p.local}) {
        for (const Destination& d : *list) to.emplace(d.ip, d.port);
      }
      auto add = [&](const std::string& address, uint16_t port) {
        (*allowed)[{address, port}].insert(to.begin(), to.end());
      };
      add(p.cluster_ip, p.port);
      for (const std::string& a : p.external_ips) add(a, p.port);
      for (const std::string& a : p.load_balancers) add(a, p.port);
      if (p.node_port != 0) {
        for (const std::string& a : options_.rules.node_port_addresses) add(a, p.node_port);
        if (auto node = node_.get(options_.node_name)) {
          for (const std::string& a : internal_addresses(*node)) add(a, p.node_port);
        }
      }
    }
  }
  if (allowed->empty()) co_return;
  auto removed = co_await run_blocking([allowed] {
    return forget_udp_flows([&](const UdpFlow& flow) {
      auto it = allowed->find({flow.destination, flow.port});
      return it != allowed->end() && !it->second.contains({flow.reply_source, flow.reply_port});
    });
  });
  if (!removed) {
    log_warning("stale UDP flows could not be removed", {{"error", removed.error().message()}});
  } else if (*removed > 0) {
    log_info("stale UDP flows removed", {{"count", *removed}});
  }
}

Task<void> Proxier::update_health_checks() {
  std::map<uint16_t, HealthChecks::Wanted> wanted;
  for (const auto& [key, state] : state_) {
    for (const ServicePort& p : state.ports) {
      if (p.health_check_node_port == 0) continue;
      auto& want = wanted[p.health_check_node_port];
      want = {p.health_check_node_port, key, std::max(want.local_endpoints, p.local.size())};
    }
  }
  co_await health_checks_.set(std::move(wanted), healthy_);
}

Result<void> remove_rules() {
  RD_TRYV(nft::apply(removal_script(Family::IPv4)));
  return nft::apply(removal_script(Family::IPv6));
}

}  // namespace redoubt::kubeproxy
