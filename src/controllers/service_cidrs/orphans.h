// Which addresses a ServiceCIDR's end would leave without a network. Pure.
// https://kubernetes.io/docs/tasks/network/extend-service-ip-ranges/#deleting-a-servicecidr
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "schema/k8s/networking_v1.h"

namespace redoubt::controllers {

using ServiceCidrs = std::vector<std::shared_ptr<const k8s::networking::v1::ServiceCIDR>>;

// Whether each network of `going` lies in one of another that stays: then no address can be left alone.
bool is_covered(const k8s::networking::v1::ServiceCIDR& going, const ServiceCidrs& all);
// Whether `address` lies in `going` and in no other that stays.
bool would_be_orphan(const std::string& address, const k8s::networking::v1::ServiceCIDR& going,
                     const ServiceCidrs& all);

}  // namespace redoubt::controllers
