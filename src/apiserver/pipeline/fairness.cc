#include "apiserver/pipeline/pipeline.h"

namespace redoubt::apiserver::pipeline {

Verdict fairness(Services& s, Context& c) {
  if (is_long_running(c.info)) return {};
  bool writes = c.info.verb != "get" && c.info.verb != "list";
  c.seat = Seat(writes ? s.writing : s.reading);
  size_t limit = writes ? s.options.max_mutating_requests_inflight : s.options.max_requests_inflight;
  if (c.seat.number() <= limit || c.user.in_group("system:masters")) return {};
  return too_many_requests("too many requests, please try again later.", 1);
}

}  // namespace redoubt::apiserver::pipeline
