#include "apiserver/service_ips.h"

#include <arpa/inet.h>

#include <charconv>

#include "base/random.h"
#include "schema/codec.h"

namespace redoubt::apiserver {

namespace {

constexpr int64_t kFirstNodePort = 30000, kLastNodePort = 32767;

std::string text_of(uint32_t address) {
  return fmt::format("{}.{}.{}.{}", address >> 24, address >> 16 & 255, address >> 8 & 255, address & 255);
}

bool parse_ip(std::string_view text, uint32_t& into) {
  in_addr raw{};
  if (inet_pton(AF_INET, std::string(text).c_str(), &raw) != 1) return false;
  into = ntohl(raw.s_addr);
  return true;
}

}  // namespace

Result<std::unique_ptr<ServiceIps>> ServiceIps::make(const store::Store& store, std::string_view cidr) {
  size_t slash = cidr.find('/');
  uint32_t network = 0;
  int bits = 0;
  if (slash == std::string_view::npos || !parse_ip(cidr.substr(0, slash), network) ||
      std::from_chars(cidr.data() + slash + 1, cidr.data() + cidr.size(), bits).ec != std::errc() || bits < 8 ||
      bits > 28) {
    return bad_request(
        fmt::format("--service-cluster-ip-range \"{}\" must be an IPv4 network between /8 and /28", cidr));
  }
  uint32_t size = 1U << (32 - bits);
  return std::unique_ptr<ServiceIps>(new ServiceIps(store, network & ~(size - 1), size));
}

std::string ServiceIps::first() const {
  return text_of(network_ + 1);
}

std::string ServiceIps::dns() const {
  return text_of(network_ + 10);
}

ServiceIps::Reservation::~Reservation() {
  if (owner_ == nullptr) return;
  std::lock_guard lock(owner_->mutex_);
  for (const std::string& ip : ips_) owner_->pending_ips_.erase(ip);
  for (int64_t port : ports_) owner_->pending_ports_.erase(port);
}

Result<ServiceIps::Reservation> ServiceIps::assign(Value& service, const Value& old, Arena& arena) {
  Value& spec = service.object_at(arena, "spec");
  std::string_view type = spec.get({"type"}).as_string("ClusterIP");
  Reservation out;
  std::lock_guard lock(mutex_);
  out.owner_ = this;
  std::set<std::string> taken = pending_ips_;
  std::set<int64_t> taken_ports = pending_ports_;
  std::string_view own_key = service.get({"metadata", "uid"}).as_string();
  store_.snapshot("services/specs")->visit("", "", [&](const store::ObjectPtr& object) {
    if (object->uid == own_key) return true;
    for (const auto& [field, value] : object->fields) {
      if (field == "spec.clusterIP") taken.insert(value);
    }
    Arena local;
    if (auto parsed = schema::parse_json(object->json, local)) {
      for (const Value& port : schema::items(parsed->get({"spec", "ports"}))) {
        if (int64_t n = port.get({"nodePort"}).as_int(); n > 0) taken_ports.insert(n);
      }
    }
    return true;
  });
  std::string_view name = service.get({"metadata", "name"}).as_string();
  auto invalid_service = [&](std::string field, std::string_view shown, std::string_view why) {
    Causes causes;
    invalid_value(causes, std::move(field), shown, why);
    return invalid("", "Service", name, std::move(causes));
  };

  if (type == "ExternalName") {
    spec.erase("clusterIP");
    spec.erase("clusterIPs");
  } else {
    std::string_view asked = spec.get({"clusterIP"}).as_string();
    if (asked.empty()) asked = spec.get({"clusterIPs"}).size() > 0 ? spec.get({"clusterIPs"}).at(0).as_string() : "";
    std::string_view before = old.get({"spec", "clusterIP"}).as_string();
    if (asked.empty() && !before.empty()) asked = arena.copy(before);
    if (asked != "None" && (asked.empty() || asked != before)) {
      uint32_t address = 0;
      if (!asked.empty()) {
        if (!parse_ip(asked, address) || address <= network_ || address >= network_ + size_ - 1) {
          return invalid_service(
              "spec.clusterIPs[0]", asked,
              fmt::format("failed to allocate IP {}: the provided network does not match the current range", asked));
        }
        if (taken.contains(std::string(asked)))
          return invalid_service("spec.clusterIPs", asked,
                                 fmt::format("failed to allocate IP {}: provided IP is already allocated", asked));
      } else {
        // A random start, so that two writers rarely meet; the first sixteen are left to those who ask by number.
        uint32_t room = size_ - 18, start = static_cast<uint32_t>(random_below(room));
        for (uint32_t i = 0; i < room && asked.empty(); ++i) {
          std::string candidate = text_of(network_ + 17 + (start + i) % room);
          if (!taken.contains(candidate)) asked = arena.copy(candidate);
        }
        if (asked.empty()) return internal_error("failed to allocate a serviceIP: range is full");
      }
      pending_ips_.insert(std::string(asked));
      out.ips_.emplace_back(asked);
    }
    asked = arena.copy(asked);
    spec.set(arena, "clusterIP", Value::string(asked));
    Value list = Value::array(arena);
    list.push_back(arena, Value::string(asked));
    spec.set(arena, "clusterIPs", list);
    if (!spec.has("ipFamilies")) {
      Value families = Value::array(arena);
      families.push_back(arena, Value::string("IPv4"));
      spec.set(arena, "ipFamilies", families);
    }
    set_default(spec, arena, "ipFamilyPolicy", Value::string("SingleStack"));
  }

  for (Value& port : schema::items(spec.get({"ports"}))) {
    if (type != "NodePort" && type != "LoadBalancer") {
      if (type == "ClusterIP") port.erase("nodePort");
      continue;
    }
    int64_t asked = port.get({"nodePort"}).as_int();
    for (const Value& before : schema::items(old.get({"spec", "ports"}))) {
      if (asked == 0 && before.get({"port"}).equals(port.get({"port"})) &&
          before.get({"protocol"}).equals(port.get({"protocol"})))
        asked = before.get({"nodePort"}).as_int();
    }
    if (asked != 0) {
      if (asked < kFirstNodePort || asked > kLastNodePort) {
        return invalid_service("spec.ports[0].nodePort", std::to_string(asked),
                               fmt::format("provided port is not in the valid range. The range of valid ports is {}-{}",
                                           kFirstNodePort, kLastNodePort));
      }
      if (taken_ports.contains(asked))
        return invalid_service("spec.ports[0].nodePort", std::to_string(asked), "provided port is already allocated");
    } else {
      int64_t room = kLastNodePort - kFirstNodePort + 1,
              start = static_cast<int64_t>(random_below(static_cast<uint64_t>(room)));
      for (int64_t i = 0; i < room && asked == 0; ++i) {
        int64_t candidate = kFirstNodePort + (start + i) % room;
        if (!taken_ports.contains(candidate)) asked = candidate;
      }
      if (asked == 0) return internal_error("failed to allocate a nodePort: range is full");
    }
    taken_ports.insert(asked);
    pending_ports_.insert(asked);
    out.ports_.push_back(asked);
    port.set(arena, "nodePort", Value::integer(asked));
  }
  return out;
}

}  // namespace redoubt::apiserver
