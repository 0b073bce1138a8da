#include "cmd/control_plane.h"

namespace redoubt::cmd {

Result<std::unique_ptr<ControlPlane>> ControlPlane::start(const Server&) {
  return std::unique_ptr<ControlPlane>();
}

}  // namespace redoubt::cmd
