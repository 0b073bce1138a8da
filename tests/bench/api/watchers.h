// Many watchers of one resource, and writers that create an object each and go on when every watcher has seen it: the
// load is as fast as delivery, so that neither queues without end nor idle time hide how long an event takes.
#pragma once
#include "target.h"

namespace redoubt::bench {

struct WatchLoad {
  std::string name;  // of the objects: the prefix, another for each run
  size_t watchers = 200;
  size_t connections = 4;
  size_t writers = 32;
  size_t objects = 3000;
  std::chrono::seconds limit{30};
};

// A Timing of deliveries: from before the object was sent until a watcher has its event. `done` counts events.
Timing run_watchers(Target& target, const WatchLoad& load);

}  // namespace redoubt::bench
