// What each port of a Service leads to on this node: the choice of endpoints by readiness, traffic policy and topology.
//
// Follows https://kubernetes.io/docs/reference/networking/virtual-ips/: ready endpoints first, and where there is none
// the ones that still serve while they terminate. Pure; any thread.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "schema/k8s/core_v1.h"
#include "schema/k8s/discovery_v1.h"

namespace redoubt::kubeproxy {

enum class Family : uint8_t { IPv4, IPv6 };
// IPv6 for what has a colon.
Family family_of(std::string_view address);

struct Destination {
  std::string ip;
  uint16_t port = 0;
  bool local = false;  // on this node
  auto operator<=>(const Destination&) const = default;
};

// One port of a Service in one family.
struct ServicePort {
  std::string service;  // "ns/name"
  std::string port_name;
  std::string protocol;  // "tcp", "udp", "sctp"
  Family family = Family::IPv4;
  std::string cluster_ip;
  uint16_t port = 0;
  uint16_t node_port = 0;                   // 0: none
  std::vector<std::string> external_ips;    // spec.externalIPs
  std::vector<std::string> load_balancers;  // status.loadBalancer addresses that are to be handled on nodes
  std::vector<std::string> source_ranges;   // who may use the load balancers' addresses; empty: everybody
  int affinity_seconds = 0;                 // 0: none
  bool internal_local = false;              // internalTrafficPolicy: Local
  bool external_local = false;              // externalTrafficPolicy: Local
  uint16_t health_check_node_port = 0;
  // Sorted. `cluster`: for traffic that may go to any node; `local`: on this node only. Empty where there is none.
  std::vector<Destination> cluster;
  std::vector<Destination> local;
  bool any_endpoint = false;  // some endpoint would serve somewhere, whatever the policy says
  bool operator==(const ServicePort&) const = default;
};

// The node that the choice is made for.
struct Place {
  std::string node;
  std::string zone;  // "" when unknown
};

// Nothing for headless Services, ExternalName, and Services that another proxy serves
// (label service.kubernetes.io/service-proxy-name). What becomes part of a rule is looked at again, whatever the API
// server let through: addresses, ranges, ports and protocols that are none are left out.
std::vector<ServicePort> service_ports(const k8s::core::v1::Service& service,
                                       const std::vector<const k8s::discovery::v1::EndpointSlice*>& slices,
                                       const Place& place);

}  // namespace redoubt::kubeproxy
