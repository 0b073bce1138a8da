#include "base/blocking.h"

#include <boost/asio/thread_pool.hpp>

namespace redoubt {

void post_blocking(std::function<void()> work) {
  static boost::asio::thread_pool pool(4);
  boost::asio::post(pool, std::move(work));
}

}  // namespace redoubt
