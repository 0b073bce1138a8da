// One event loop a core: threads that each run one io_context, on which connections stay pinned.
#pragma once
#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "base/task.h"

namespace redoubt::net {

class LoopPool {
 public:
  // Starts `count` threads, named NAME-0, NAME-1, ...
  explicit LoopPool(size_t count, const char* name = "loop");
  ~LoopPool();  // stop()
  size_t size() const { return loops_.size(); }
  boost::asio::io_context& loop(size_t i) { return *loops_[i]; }
  Executor executor(size_t i) { return loops_[i]->get_executor(); }
  // Ends the loops and joins their threads. What still runs on them is dropped: join Scopes first.
  void stop();

 private:
  std::vector<std::unique_ptr<boost::asio::io_context>> loops_;
  std::vector<std::thread> threads_;
};

// Runs `task` on a loop of its own in the calling thread until it is done; for tests and command-line programs.
void run_until_done(std::function<Task<void>()> task);

}  // namespace redoubt::net
