// Controllers and scheduler on a loop of their own, each a client of the secure port with its own identity.
#pragma once
#include <memory>

#include "base/status.h"

namespace redoubt::cmd {

class Server;

class ControlPlane {
 public:
  static Result<std::unique_ptr<ControlPlane>> start(const Server& server);
  virtual ~ControlPlane() = default;  // stops; blocking
};

}  // namespace redoubt::cmd
