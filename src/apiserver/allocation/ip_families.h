// What spec.ipFamilyPolicy, ipFamilies and clusterIPs of a Service come to on this cluster.
// https://kubernetes.io/docs/concepts/services-networking/dual-stack/. Pure.
#pragma once
#include <string>
#include <vector>

#include "apiserver/resources/hooks.h"

namespace redoubt::apiserver {

// The cluster's families, the default one first: {"IPv4"}, {"IPv4", "IPv6"}, ...
using IpFamilies = std::vector<std::string>;

// Fills in the three fields (clusterIPs gets "" where an address is to be given), with upstream's rules and messages.
// Not for ExternalName. `old` is null on create. The kind's own preparation (resources/core/service.cc) comes before:
// clusterIP and clusterIPs agree, and an update has what it left out.
void init_ip_families(Value& service, const Value& old, const IpFamilies& cluster, Arena& arena, Causes& causes);

}  // namespace redoubt::apiserver
