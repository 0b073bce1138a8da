// The node ports of Services.
#include <fmt/format.h>

#include "apiserver/allocation/service_holds.h"
#include "apiserver/allocation/service_ips.h"
#include "base/metrics.h"
#include "base/random.h"

namespace redoubt::apiserver {

namespace {

void count(std::string_view outcome, bool by_number) {
  counter(fmt::format("kube_apiserver_nodeport_allocator_{}_total", outcome),
          outcome == "allocation" ? "Node ports given to Services." : "Node ports that could not be given to Services.",
          {{"scope", by_number ? "static" : "dynamic"}})
      .add();
}

}  // namespace

int64_t ServiceIps::pick_port() const {
  int64_t low = node_ports_.reserved();
  for (auto [from, count] :
       {std::pair{node_ports_.first + low, node_ports_.size() - low}, std::pair{node_ports_.first, low}}) {
    if (count == 0) continue;
    auto start = static_cast<int64_t>(random_below(static_cast<uint64_t>(count)));
    for (int64_t i = 0; i < count; ++i) {
      int64_t candidate = from + (start + i) % count;
      if (!ports_.contains(candidate)) return candidate;
    }
  }
  return 0;
}

Result<void> ServiceIps::assign_ports(Value& service, const Value& old, Arena& arena, Reservation& out) {
  Value& spec = service.object_at(arena, "spec");
  std::string_view type = spec.get({"type"}).as_string();
  if (type != "NodePort" && type != "LoadBalancer") return {};
  std::string name(service.get({"metadata", "name"}).as_string());
  std::vector<int64_t> has = held_ports(old);

  auto take = [&](int64_t port, bool by_number) {
    count("allocation", by_number);
    ports_[port] = {out.service_, kReserved};
    out.ports_.push_back(port);
  };
  // Why `port` can't be had; empty when it can, and then it is had.
  auto ask = [&](int64_t port) -> std::string {
    if (std::ranges::find(out.ports_, port) != out.ports_.end()) return "";
    auto it = ports_.find(port);
    if (it != ports_.end() && it->second.service == out.service_ && std::ranges::find(has, port) != has.end())
      return "";
    std::string why;
    if (!node_ports_.holds(port)) {
      why = "provided port is not in the valid range. The range of valid ports is " + node_ports_.to_string();
    } else if (it != ports_.end()) {
      why = "provided port is already allocated";
    } else {
      take(port, true);
    }
    if (!why.empty()) count("allocation_errors", true);
    return why;
  };

  std::vector<Value*> all;
  for (Value& port : schema::items(spec.get({"ports"}))) all.push_back(&port);
  // Those who ask by number first, so that nobody is given what another port of the Service names.
  for (size_t i = 0; i < all.size(); ++i) {
    int64_t asked = all[i]->get({"nodePort"}).as_int();
    if (asked == 0) continue;
    if (std::string why = ask(asked); !why.empty()) {
      Causes causes;
      add_cause(causes, "FieldValueInvalid", fmt::format("spec.ports[{}].nodePort", i),
                fmt::format("Invalid value: {}: {}", asked, why));
      return invalid("", "Service", name, std::move(causes));
    }
  }
  bool any = type == "NodePort" || spec.get({"allocateLoadBalancerNodePorts"}).as_bool(true);
  for (Value* port : all) {
    if (!any || port->get({"nodePort"}).as_int() != 0) continue;
    int64_t given = 0;
    // A new Service that has one port in several protocols gets one node port for them, as upstream has it.
    for (const Value* other : all) {
      if (old.is_null() && other->get({"port"}).equals(port->get({"port"})) && given == 0)
        given = other->get({"nodePort"}).as_int();
    }
    if (given == 0) {
      given = pick_port();
      if (given == 0) {
        count("allocation_errors", false);
        return internal_error("Internal error occurred: failed to allocate a nodePort: range is full");
      }
      take(given, false);
    }
    port->set(arena, "nodePort", Value::integer(given));
  }

  if (type != "LoadBalancer" || spec.get({"externalTrafficPolicy"}).as_string() != "Local") return {};
  if (int64_t asked = spec.get({"healthCheckNodePort"}).as_int(); asked != 0) {
    if (std::string why = ask(asked); !why.empty()) {
      return internal_error(
          fmt::format("Internal error occurred: failed to allocate requested HealthCheck NodePort {}: {}", asked, why));
    }
    return {};
  }
  int64_t given = pick_port();
  if (given == 0) {
    count("allocation_errors", false);
    return internal_error("Internal error occurred: failed to allocate a HealthCheck NodePort: range is full");
  }
  take(given, false);
  spec.set(arena, "healthCheckNodePort", Value::integer(given));
  return {};
}

}  // namespace redoubt::apiserver
