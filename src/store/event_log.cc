#include "store/event_log.h"

#include <algorithm>
#include <boost/asio/post.hpp>

namespace redoubt::store {

void EventLog::append(std::vector<EventPtr> events) {
  std::vector<std::shared_ptr<Sleepers>> to_wake;
  {
    std::lock_guard lock(mutex_);
    for (EventPtr& event : events) events_.push_back(std::move(event));
    while (events_.size() > capacity_) {
      start_ = events_.front()->revision;
      events_.pop_front();
    }
    std::erase_if(sleepers_, [&](const std::weak_ptr<Sleepers>& weak) {
      auto strong = weak.lock();
      if (strong) to_wake.push_back(std::move(strong));
      return weak.expired();
    });
  }
  for (auto& sleepers : to_wake) {
    if (sleepers->posted.exchange(true)) continue;
    boost::asio::post(sleepers->executor, [sleepers] {
      sleepers->posted = false;
      sleepers->grown.notify();
    });
  }
}

bool EventLog::read(Revision after, size_t max, std::vector<EventPtr>& out) const {
  std::lock_guard lock(mutex_);
  if (after < start_) return false;
  auto it = std::upper_bound(events_.begin(), events_.end(), after,
                             [](Revision r, const EventPtr& e) { return r < e->revision; });
  auto left = static_cast<size_t>(events_.end() - it);
  out.reserve(std::min(left, max));
  for (; it != events_.end() && out.size() < max; ++it) out.push_back(*it);
  return true;
}

bool EventLog::read_back(Revision revision, std::vector<EventPtr>& out) const {
  std::lock_guard lock(mutex_);
  if (revision < start_) return false;
  for (auto it = events_.rbegin(); it != events_.rend() && (*it)->revision > revision; ++it) out.push_back(*it);
  return true;
}

void EventLog::trim(Revision revision) {
  std::lock_guard lock(mutex_);
  while (!events_.empty() && events_.front()->revision <= revision) events_.pop_front();
  start_ = std::max(start_, revision);
}

Revision EventLog::start() const {
  std::lock_guard lock(mutex_);
  return start_;
}

std::shared_ptr<EventLog::Sleepers> EventLog::sleepers(Executor executor) {
  std::lock_guard lock(mutex_);
  for (const auto& weak : sleepers_) {
    auto strong = weak.lock();
    if (strong && strong->executor == executor) return strong;
  }
  auto made = std::make_shared<Sleepers>(executor);
  sleepers_.push_back(made);
  return made;
}

}  // namespace redoubt::store
