// Answers that need no task. A server that has everything in memory answers most reads on the spot; a coroutine for
// each of those costs more than the answer.
#pragma once
#include <functional>
#include <optional>

#include "net/http.h"

namespace redoubt::net {

class ImmediateResponder {
 public:
  virtual ~ImmediateResponder() = default;
  // Queues a whole answer, as Responder::send would send it, and returns at once. The body counts against no bound:
  // for what is in memory anyway. Nothing happens when the client has gone.
  virtual void send_now(int status, Headers headers, BytesList body) = 0;
};

// Called on the connection's loop, once a request, from within the parser: it must not wait. `now` is null where there
// is no immediate way (HTTP/1.1). Either it answers by `now` and returns nothing, or it returns the task that answers
// by `responder`, which lives as long as that task. Cancelled like a Handler.
using Starter = std::function<std::optional<Task<void>>(Request, Responder& responder, ImmediateResponder* now)>;

}  // namespace redoubt::net
