#include "cmd/tunnel_loop.h"

#include <boost/asio/co_spawn.hpp>
#include <future>

namespace redoubt::cmd {

void TunnelLoop::finish() {
  while (!ends_.empty()) {
    std::promise<void> done;
    boost::asio::co_spawn(executor(), ends_.back()(), [&done](std::exception_ptr) { done.set_value(); });
    done.get_future().wait();
    ends_.pop_back();
  }
  pool_.stop();
}

}  // namespace redoubt::cmd
