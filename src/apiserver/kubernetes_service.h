// The Service `kubernetes` in `default`, by which pods reach the API server: the first address of the Service network,
// and behind it the server's advertised address.
//
// One server writes one store (store/sqlite locks its file), so the endpoints are this server's and no lease says who
// else lives; what a former address left there goes at the start.
#pragma once
#include <string>
#include <vector>

#include "apiserver/own_objects.h"

namespace redoubt::apiserver {

// The Service, its Endpoints and its EndpointSlice. `address` is an IP address.
std::vector<OwnObject> kubernetes_service(const std::string& cluster_ip, const std::string& address, uint16_t port);
// An EndpointSlice's address type does not change: one of the other family goes. Before the objects are ensured; `rest`
// outlives the task.
Task<Result<void>> fit_address_type(Rest& rest, std::string address);

}  // namespace redoubt::apiserver
