// A loop on which tunnels' connections live, apart from those that serve requests: their handshakes and ciphers hold up
// no request, and they outlive the requests that use them.
#pragma once
#include <functional>
#include <vector>

#include "base/task.h"
#include "net/loop.h"

namespace redoubt::cmd {

class TunnelLoop {
 public:
  TunnelLoop() = default;
  TunnelLoop(const TunnelLoop&) = delete;
  ~TunnelLoop() { finish(); }
  Executor executor() { return pool_.executor(0); }
  net::LoopPool& pool() { return pool_; }
  // What finish() runs, on the loop.
  void at_end(std::function<Task<void>()> end) { ends_.push_back(std::move(end)); }
  // Runs what at_end() was given, last first, then ends the loop's thread. What belongs to the loop may be destroyed
  // after this, and before the TunnelLoop itself. Blocking.
  void finish();

 private:
  net::LoopPool pool_{1, "tunnels"};
  std::vector<std::function<Task<void>()>> ends_;
};

// Finishes it when destroyed.
struct FinishLoop {
  void operator()(TunnelLoop* loop) const { loop->finish(); }
};

}  // namespace redoubt::cmd
