// What a Service's object says that it holds. Pure.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "schema/value.h"

namespace redoubt::apiserver {

// "namespace/name".
std::string service_key(const schema::Value& service);
// Its cluster addresses, canonical; none of an ExternalName, and "None" is none.
std::vector<std::string> held_ips(const schema::Value& service);
// Its node ports and its health check's; none where the type has none.
std::vector<int64_t> held_ports(const schema::Value& service);
// The Service that an IPAddress stands for.
std::string parent_key(const schema::Value& ip_address);

}  // namespace redoubt::apiserver
