// IPAddress objects, and agreement between them, the stored Services and what is in memory.
#include <fmt/format.h>

#include "apiserver/allocation/service_holds.h"
#include "apiserver/allocation/service_ips.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/random.h"
#include "base/time.h"
#include "schema/codec.h"

namespace redoubt::apiserver {

namespace {

constexpr std::string_view kAddresses = "ipaddresses";

std::string address_key(std::string_view ip) {
  return fmt::format("/registry/{}/{}", kAddresses, ip);
}

bool is_ours(const store::Object& address) {
  return std::ranges::any_of(address.labels, [](const auto& label) {
    return label.first == "ipaddress.kubernetes.io/managed-by" && label.second == "ipallocator.k8s.io";
  });
}

Counter& ip_errors(const char* type) {
  return counter("apiserver_clusterip_repair_ip_errors_total",
                 "Addresses of Services that were not as they should be, by what was wrong.", {{"type", type}});
}

Counter& port_errors(const char* type) {
  return counter("apiserver_nodeport_repair_port_errors_total",
                 "Node ports of Services that were not as they should be, by what was wrong.", {{"type", type}});
}

}  // namespace

Task<std::expected<store::Committed, store::CommitError>> ServiceIps::make_object(std::string ip, std::string service) {
  std::string_view ns = std::string_view(service).substr(0, service.find('/')),
                   name = std::string_view(service).substr(service.find('/') + 1);
  auto object = std::make_shared<store::Object>();
  object->key = address_key(ip);
  object->name = ip;
  object->uid = random_uuid();
  object->labels = {{"ipaddress.kubernetes.io/ip-family", ip_family(ip)},
                    {"ipaddress.kubernetes.io/managed-by", "ipallocator.k8s.io"}};
  std::string head =
      fmt::format(R"({{"kind":"IPAddress","apiVersion":"networking.k8s.io/v1","metadata":{{"name":"{}","uid":"{}",)",
                  ip, object->uid);
  object->resource_version_offset = static_cast<uint32_t>(head.size());
  object->json = Bytes::take(
      head +
      fmt::format(
          R"("creationTimestamp":"{}","labels":{{"ipaddress.kubernetes.io/ip-family":"{}",)"
          R"("ipaddress.kubernetes.io/managed-by":"ipallocator.k8s.io"}}}},"spec":{{"parentRef":{{"resource":"services",)"
          R"("namespace":"{}","name":"{}"}}}}}})",
          format_rfc3339(now()), ip_family(ip), ns, name));
  store::Write write;
  write.resource = std::string(kAddresses);
  write.key = object->key;
  write.precondition = store::Write::Precondition::MustNotExist;
  write.object = std::move(object);
  co_return co_await store_.commit(std::move(write));
}

Task<void> ServiceIps::remove_object(std::string ip) {
  store::Write write;
  write.resource = std::string(kAddresses);
  write.key = address_key(ip);
  write.precondition = store::Write::Precondition::Any;
  auto done = co_await store_.commit(std::move(write));
  // repair() finds it.
  if (!done && done.error().failure != store::CommitFailure::NotFound)
    log_warning("an IPAddress could not be removed", {{"ip", ip}, {"error", done.error().message}});
}

Task<void> ServiceIps::repair() {
  struct Wanted {
    std::string service;
    store::ObjectPtr object;
  };
  std::unordered_map<std::string, Wanted> ips;
  std::unordered_map<int64_t, Wanted> ports;
  auto services = store_.snapshot("services/specs");
  services->visit("", "", [&](const store::ObjectPtr& object) {
    Arena arena;
    auto service = schema::parse_json(object->json, arena);
    if (!service) return true;
    std::string key = service_key(*service);
    for (const std::string& ip : held_ips(*service)) {
      auto [it, fresh] = ips.try_emplace(ip, Wanted{key, object});
      if (fresh) continue;
      ip_errors("duplicate").add();
      log_error("two Services have one address; delete one of them",
                {{"ip", ip}, {"services", it->second.service + " " + key}});
    }
    for (int64_t port : held_ports(*service)) {
      auto [it, fresh] = ports.try_emplace(port, Wanted{key, object});
      if (fresh) continue;
      port_errors("duplicate").add();
      log_error("two Services have one node port; delete one of them",
                {{"port", std::to_string(port)}, {"services", it->second.service + " " + key}});
    }
    return true;
  });

  // What is in memory. Settled since before the snapshot, and nobody has it: a request was cut off between a Service's
  // end and what follows it. The other way round: between a Service's commit and keep().
  auto agree = [&](auto& held, const auto& wanted, auto& errors) {
    std::lock_guard lock(mutex_);
    std::erase_if(held, [&](const auto& entry) {
      bool lost = entry.second.since <= services->revision() && !wanted.contains(entry.first);
      if (lost) errors("leak").add();
      return lost;
    });
    for (const auto& [key, by] : wanted) {
      if (held.contains(key)) continue;
      // Not while that Service goes or changes: what it had is freed after its commit, under the lock.
      auto now = store_.snapshot("services/specs")->find(by.object->key);
      if (!now || now->revision != by.object->revision) continue;
      errors("repair").add();
      held.emplace(key, Holder{by.service, by.object->revision});
    }
  };
  agree(ips_, ips, ip_errors);
  agree(ports_, ports, port_errors);

  auto holder = [&](const std::string& ip) -> std::string {
    std::lock_guard lock(mutex_);
    auto it = ips_.find(ip);
    return it == ips_.end() ? "" : it->second.service;
  };
  std::vector<std::string> left;
  auto addresses = store_.snapshot(kAddresses);
  addresses->visit("", "", [&](const store::ObjectPtr& object) {
    Arena arena;
    auto address = is_ours(*object) ? schema::parse_json(object->json, arena) : Result<Value>(bad_request("not ours"));
    // What is reserved right now has its object before its Service.
    if (address && parent_key(*address) != holder(object->name)) left.push_back(object->name);
    return true;
  });
  for (const std::string& ip : left) {
    ip_errors("leak").add();
    log_warning("an IPAddress without its Service is removed", {{"ip", ip}});
    co_await remove_object(ip);
  }
  for (const auto& [ip, by] : ips) {
    // Not while its Service goes: then neither is held.
    if (store_.snapshot(kAddresses)->find(address_key(ip)) || holder(ip) != by.service) continue;
    ip_errors("repair").add();
    auto made = co_await make_object(ip, by.service);
    if (!made) log_warning("an IPAddress could not be made", {{"ip", ip}, {"error", made.error().message}});
  }
}

}  // namespace redoubt::apiserver
