#include "apiserver/allocation/service_ips.h"

#include <fmt/format.h>

#include "apiserver/allocation/service_holds.h"
#include "base/metrics.h"
#include "base/random.h"
#include "schema/codec.h"

namespace redoubt::apiserver {

namespace {

// A range with more addresses than this is never searched from end to end.
constexpr uint64_t kMaxSearch = 1 << 21;

void count(std::string_view outcome, bool by_number) {
  counter(fmt::format("kube_apiserver_clusterip_allocator_{}_total", outcome),
          outcome == "allocation" ? "Addresses given to Services." : "Addresses that could not be given to Services.",
          {{"scope", by_number ? "static" : "dynamic"}})
      .add();
}

std::string shown_list(const std::vector<std::string>& items) {
  std::string out;
  for (const std::string& item : items) out += fmt::format("{}\"{}\"", out.empty() ? "" : ",", item);
  return "[" + out + "]";
}

}  // namespace

ServiceIps::ServiceIps(store::Store& store, std::vector<Network> networks, PortRange node_ports)
    : store_(store), networks_(std::move(networks)), node_ports_(node_ports) {
  store_.snapshot("services/specs")->visit("", "", [&](const store::ObjectPtr& object) {
    Arena arena;
    if (auto service = schema::parse_json(object->json, arena)) {
      for (const std::string& ip : held_ips(*service))
        ips_.try_emplace(ip, Holder{service_key(*service), object->revision});
      for (int64_t port : held_ports(*service))
        ports_.try_emplace(port, Holder{service_key(*service), object->revision});
    }
    return true;
  });
}

std::vector<std::string> ServiceIps::cidrs() const {
  std::vector<std::string> out;
  for (const Network& network : networks_) out.push_back(network.to_string());
  return out;
}

const std::vector<Network>& ServiceIps::networks() {
  auto snapshot = store_.snapshot("servicecidrs");
  if (cidrs_seen_ && cidrs_seen_->identity() == snapshot->identity()) return ready_;
  ready_.clear();
  if (!snapshot->find("/registry/servicecidrs/kubernetes")) ready_ = networks_;
  snapshot->visit("", "", [&](const store::ObjectPtr& object) {
    Arena arena;
    auto cidr = schema::parse_json(object->json, arena);
    if (!cidr || cidr->get({"metadata"}).has("deletionTimestamp")) return true;
    // Without a condition it counts as ready: perhaps no controller runs.
    for (const Value& condition : schema::items(cidr->get({"status", "conditions"}))) {
      if (condition.get({"type"}).as_string() == "Ready" && condition.get({"status"}).as_string() != "True")
        return true;
    }
    for (const Value& text : schema::items(cidr->get({"spec", "cidrs"}))) {
      if (auto network = Network::parse(text.as_string())) ready_.push_back(*network);
    }
    return true;
  });
  // The cluster's own before those that were added, whatever their names.
  std::ranges::stable_partition(ready_, [&](const Network& n) {
    return std::ranges::any_of(networks_, [&](const Network& own) { return own.to_string() == n.to_string(); });
  });
  cidrs_seen_ = std::move(snapshot);
  return ready_;
}

ServiceIps::Reservation& ServiceIps::Reservation::operator=(Reservation&& other) noexcept {
  std::swap(owner_, other.owner_);
  std::swap(service_, other.service_);
  std::swap(ips_, other.ips_);
  std::swap(ports_, other.ports_);
  return *this;
}

ServiceIps::Reservation::~Reservation() {
  if (owner_ != nullptr) owner_->release(service_, ips_, ports_);
}

void ServiceIps::release(const std::string& service, const std::vector<std::string>& ips,
                         const std::vector<int64_t>& ports) {
  std::lock_guard lock(mutex_);
  for (const std::string& ip : ips) {
    if (auto it = ips_.find(ip); it != ips_.end() && it->second.service == service) ips_.erase(it);
  }
  for (int64_t port : ports) {
    if (auto it = ports_.find(port); it != ports_.end() && it->second.service == service) ports_.erase(it);
  }
}

std::string ServiceIps::pick_ip(bool v6) {
  auto objects = store_.snapshot("ipaddresses");
  for (const Network& network : networks()) {
    if (network.v6() != v6) continue;
    // From a random place on, so that a freed address isn't the next one's at once; what is left to those who ask by
    // number comes last.
    uint64_t low = network.reserved(), room = network.size() - low;
    for (auto [from, count] : {std::pair{low + 1, room}, std::pair{uint64_t{1}, low}}) {
      if (count == 0) continue;
      uint64_t start = random_below(count);
      for (uint64_t i = 0; i < std::min(count, kMaxSearch); ++i) {
        std::string candidate = network.at(from + (start + i) % count);
        // An IPAddress may be somebody else's who is no Service.
        if (!ips_.contains(candidate) && !objects->find("/registry/ipaddresses/" + candidate)) return candidate;
      }
    }
  }
  return "";
}

Result<void> ServiceIps::assign_ips(Value& service, const Value& old, Arena& arena, Reservation& out) {
  Value& spec = service.object_at(arena, "spec");
  if (spec.get({"type"}).as_string() == "ExternalName") return {};
  std::string name(service.get({"metadata", "name"}).as_string());
  Causes causes;
  IpFamilies families;
  for (const Network& network : networks_) families.emplace_back(network.v6() ? "IPv6" : "IPv4");
  init_ip_families(service, old, families, arena, causes);
  if (!causes.empty()) return invalid("", "Service", name, std::move(causes));
  std::vector<std::string> wanted;
  for (const Value& ip : schema::items(spec.get({"clusterIPs"}))) wanted.emplace_back(ip.as_string());
  if (wanted.empty() || wanted[0] == "None") return {};
  std::vector<std::string> has = held_ips(old);
  for (size_t i = 0; i < wanted.size(); ++i) {
    std::string& ip = wanted[i];
    if (!ip.empty() && std::ranges::find(has, ip) != has.end()) continue;
    bool by_number = !ip.empty();
    if (by_number) {
      auto covering = std::ranges::find_if(networks(), [&](const Network& n) { return n.covers(ip); });
      std::string why;
      if (covering == ready_.end()) {
        why = "the provided network does not match the current range";
      } else if (std::ranges::none_of(ready_, [&](const Network& n) { return n.holds(ip); })) {
        why = fmt::format("the provided IP ({}) is not in the valid range. The range of valid IPs is {}", ip,
                          covering->to_string());
      } else if (ips_.contains(ip)) {
        why = "provided IP is already allocated";
      }
      if (!why.empty()) {
        count("allocation_errors", true);
        add_cause(causes, "FieldValueInvalid", "spec.clusterIPs",
                  fmt::format("Invalid value: {}: failed to allocate IP {}: {}", shown_list(wanted), ip, why));
        return invalid("", "Service", name, std::move(causes));
      }
    } else {
      ip = pick_ip(spec.get({"ipFamilies"}).at(i).as_string() == "IPv6");
      if (ip.empty()) {
        count("allocation_errors", false);
        return internal_error("Internal error occurred: failed to allocate a serviceIP: range is full");
      }
    }
    count("allocation", by_number);
    ips_[ip] = {out.service_, kReserved};
    out.ips_.push_back(ip);
  }
  Value list = Value::array(arena);
  for (const std::string& ip : wanted) list.push_back(arena, Value::string(arena.copy(ip)));
  spec.set(arena, "clusterIPs", list);
  spec.set(arena, "clusterIP", list.at(0));
  return {};
}

Result<ServiceIps::Reservation> ServiceIps::assign(Value& service, const Value& old, Arena& arena) {
  Reservation out;
  Result<void> done;
  {
    std::lock_guard lock(mutex_);
    out.owner_ = this;
    out.service_ = service_key(service);
    done = assign_ips(service, old, arena, out);
    if (done) done = assign_ports(service, old, arena, out);
  }
  // Here, without the lock, `out` gives back what it holds.
  if (!done) return Error(done.error());
  return out;
}

Task<Result<void>> ServiceIps::record(const Reservation& reservation) {
  const std::vector<std::string> ips = reservation.ips_;
  const std::string service = reservation.service_;
  for (const std::string& ip : ips) {
    auto made = co_await make_object(ip, service);
    if (made) continue;
    if (made.error().failure != store::CommitFailure::AlreadyExists)
      co_return internal_error(
          fmt::format("Internal error occurred: failed to allocate IP {}: {}", ip, made.error().message));
    // This very Service's, left from an earlier try: as good as made.
    Arena arena;
    auto there = made.error().current ? schema::parse_json(made.error().current->json, arena)
                                      : Result<Value>(bad_request("unknown"));
    if (there && parent_key(*there) == service) continue;
    Causes causes;
    add_cause(causes, "FieldValueInvalid", "spec.clusterIPs",
              fmt::format("Invalid value: {}: failed to allocate IP {}: provided IP is already allocated",
                          shown_list(ips), ip));
    co_return invalid("", "Service", service.substr(service.find('/') + 1), std::move(causes));
  }
  co_return Result<void>{};
}

void ServiceIps::keep(Reservation& reservation, store::Revision revision) {
  if (reservation.owner_ == nullptr) return;
  reservation.owner_ = nullptr;
  std::lock_guard lock(mutex_);
  for (const std::string& ip : reservation.ips_) ips_[ip] = {reservation.service_, revision};
  for (int64_t port : reservation.ports_) ports_[port] = {reservation.service_, revision};
}

Task<void> ServiceIps::settle(store::ObjectPtr before, store::ObjectPtr now) {
  if (!before) co_return;
  Arena arena;
  auto was = schema::parse_json(before->json, arena);
  if (!was) co_return;
  std::vector<std::string> ips = held_ips(*was);
  std::vector<int64_t> ports = held_ports(*was);
  if (now) {
    auto is = schema::parse_json(now->json, arena);
    if (!is) co_return;
    auto kept_ips = held_ips(*is);
    auto kept_ports = held_ports(*is);
    std::erase_if(ips, [&](const std::string& ip) { return std::ranges::find(kept_ips, ip) != kept_ips.end(); });
    std::erase_if(ports, [&](int64_t port) { return std::ranges::find(kept_ports, port) != kept_ports.end(); });
  }
  if (ips.empty() && ports.empty()) co_return;
  std::string service = service_key(*was);
  release(service, {}, ports);
  // First the objects: an address that is free in memory can be recorded anew at once.
  for (const std::string& ip : ips) co_await remove_object(ip);
  release(service, ips, {});
}

Task<void> ServiceIps::give_up(Reservation reservation) {
  const std::vector<std::string> ips = reservation.ips_;
  for (const std::string& ip : ips) {
    // Only what was made for this Service: one that stood in the way is somebody else's.
    auto object = store_.snapshot("ipaddresses")->find("/registry/ipaddresses/" + ip);
    Arena arena;
    auto there = object ? schema::parse_json(object->json, arena) : Result<Value>(bad_request("none"));
    if (there && parent_key(*there) == reservation.service_) co_await remove_object(ip);
  }
}

}  // namespace redoubt::apiserver
