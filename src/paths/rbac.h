// Role bindings that open a path: what they grant, to whom, and which path that concerns.
//
// Administrators (system:masters, kubeadm's and Redoubt's own) are meant to be able to do everything and are no
// finding.
#pragma once
#include <string>
#include <vector>

#include "paths/facts.h"

namespace redoubt::paths {

struct RbacFinding {
  std::string path;
  Finding finding;
};
std::vector<RbacFinding> judge_grants(const std::vector<Grant>& grants);

// Does a rule allow it? Resources are "secrets" or "nodes/proxy"; stars count as RBAC counts them.
bool allows(const Rule& rule, std::string_view verb, std::string_view group, std::string_view resource);

}  // namespace redoubt::paths
