// A resource's recent events, in order of revision, bounded; and the cursors that walk them.
//
// The committer appends; cursors on any loop read batches under a short lock and sleep until the log grows. A loop is
// woken once an append, not once a watcher.
#pragma once
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "base/event.h"
#include "store/store.h"

namespace redoubt::store {

class EventLog : public std::enable_shared_from_this<EventLog> {
 public:
  EventLog(size_t capacity, Revision start) : capacity_(capacity), start_(start) {}

  // Adds a batch and wakes sleepers. `store_revision`: everything of this resource up to there is in the log now.
  void append(std::vector<EventPtr> events);
  // Events after `after`, at most `max`; false when the log no longer reaches back that far.
  bool read(Revision after, size_t max, std::vector<EventPtr>& out) const;
  // Events after `revision`, newest first, for undoing them.
  bool read_back(Revision revision, std::vector<EventPtr>& out) const;
  // Forgets what is at or before `revision`.
  void trim(Revision revision);
  Revision start() const;

  // The wake-up of one loop; cursors of that loop share it. Call on that loop.
  struct Sleepers {
    explicit Sleepers(Executor e) : executor(e), grown(e) {}
    Executor executor;
    ::redoubt::Event grown;
    std::atomic<bool> posted{false};
  };
  std::shared_ptr<Sleepers> sleepers(Executor executor);

 private:
  size_t capacity_;
  mutable std::mutex mutex_;
  std::deque<EventPtr> events_;
  Revision start_;  // all events after this one are in events_
  std::vector<std::weak_ptr<Sleepers>> sleepers_;
};

}  // namespace redoubt::store
