// The ServiceCIDR "kubernetes": the command line's networks as an object
// (https://kubernetes.io/docs/reference/networking/virtual-ips/#ip-address-objects).
#pragma once
#include <string>
#include <vector>

#include "apiserver/rest.h"

namespace redoubt::apiserver {

// Makes it when there is none, gives it a second family that the command line has since, and marks it ready. One that
// says something else stays as it is: Services have addresses of it. With `say_difference` the log says so. `rest`
// outlives the task.
Task<Result<void>> sync_default_service_cidr(Rest& rest, std::vector<std::string> cidrs, bool say_difference);

}  // namespace redoubt::apiserver
