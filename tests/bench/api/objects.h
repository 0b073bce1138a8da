// The objects that are created: a ConfigMap of 1 KB, and a pod of 2 KB with what pods in production carry, which
// defaulting and admission grow to about 4.4 KB (5,000 of them list as 22 MB).
#pragma once
#include <string>

namespace redoubt::bench {

std::string config_map(const std::string& name);
std::string pod(const std::string& name);

}  // namespace redoubt::bench
