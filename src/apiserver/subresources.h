// Subresources of stored objects that are neither the object nor its status: scale, binding, eviction, finalize,
// approval, log and the connections.
#pragma once
#include "apiserver/connect.h"
#include "apiserver/rest.h"

namespace redoubt::apiserver {

class Subresources {
 public:
  Subresources(Rest& rest, ConnectHandler* connect) : rest_(rest), connect_(connect) {}
  Task<void> serve(Context& context);

 private:
  Task<void> scale(Context& context);
  Task<void> bind(Context& context);
  Task<void> evict(Context& context);
  Task<void> replace_part(Context& context);  // finalize, approval, ephemeralcontainers, resize
  Task<void> connect(Context& context);
  Rest& rest_;
  ConnectHandler* connect_;
};

}  // namespace redoubt::apiserver
