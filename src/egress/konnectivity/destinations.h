// What an agent may be asked to dial. Upstream's agents dial anything; ours can be held to what it is there for.
#pragma once
#include <string>
#include <vector>

#include "base/status.h"
#include "egress/konnectivity/header.h"

namespace redoubt::konnectivity {

class Destinations {
 public:
  // Words of --allow-destinations: "any"; "node" (this host's own addresses, loopback included); networks and
  // addresses. BadRequest for anything else.
  static Result<Destinations> parse(const std::vector<std::string>& words);

  bool any() const { return any_; }
  // `address` is an IP literal. Reads the host's addresses each time (they change); a system call, no wait.
  bool allows(const std::string& address) const;

 private:
  bool any_ = false;
  bool node_ = false;
  std::vector<Network> networks_;
};

}  // namespace redoubt::konnectivity
