// Cookies of backends behind the API server's one origin, kept apart: a backend's cookie gets a name and a path that
// only requests to this backend carry, and a backend gets only cookies of its own, under the names it gave them. So no
// backend reads, or overwrites, another's session.
#pragma once
#include <string>
#include <string_view>

#include "net/http.h"

namespace redoubt::apiserver {

class CookieScope {
 public:
  // `prefix`: the proxy's path, "/api/v1/namespaces/d/services/web/proxy".
  explicit CookieScope(std::string prefix);
  // The Cookie header that the backend gets; empty: none.
  std::string inward(const net::Headers& request) const;
  // Renames and re-paths the Set-Cookie headers of an answer.
  void outward(net::Headers& answer) const;

 private:
  std::string outward_one(std::string_view cookie) const;
  std::string prefix_;
  std::string tag_;  // before each cookie's name
};

}  // namespace redoubt::apiserver
