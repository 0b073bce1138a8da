// The live catalogue as the server itself sees it: a web page for administrators, and what only the server knows.
//
//   GET /redoubt/paths               the page; it asks for
//   GET /redoubt/paths/report.json   the same report that `redoubt paths -o json` makes
//   GET /redoubt/paths/state         policies, and each node's way and tunnels
//
// Non-resource URLs: RBAC decides, and by default lets nobody but administrators in. Any loop.
#pragma once
#include <map>
#include <memory>
#include <string>

#include "apiserver/apiserver.h"
#include "cmd/egress.h"
#include "cmd/server.h"

namespace redoubt::cmd {

class PathsPage {
 public:
  // All three outlive it.
  static std::unique_ptr<PathsPage> make(const Server& server, const Egress& egress, const store::Store& store);
  virtual ~PathsPage() = default;
  virtual std::map<std::string, apiserver::DocumentSource, std::less<>> documents() = 0;
};

}  // namespace redoubt::cmd
