// Binds pods without a node to one: filters, then scores, then pods/NAME/binding.
//
// What does not fit waits, and is tried again when a node or a pod changes, or after a while. Belongs to one loop.
#pragma once
#include <memory>

#include "client/client.h"
#include "client/informer.h"
#include "client/work_queue.h"
#include "schema/k8s/core_v1.h"

namespace redoubt::scheduler {

class Scheduler {
 public:
  // Reads through informers that others in the process may share, and that run beside it; writes with its own identity.
  Scheduler(client::Client& api, client::Informer<k8s::core::v1::Pod>& pods,
            client::Informer<k8s::core::v1::Node>& nodes);
  ~Scheduler();
  Task<void> run();  // until cancelled

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace redoubt::scheduler
