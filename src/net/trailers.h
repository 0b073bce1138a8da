// Fields that come behind a message's body (RFC 9110, 6.5).
#pragma once
#include "net/http.h"

namespace redoubt::net {

// A body that may have them; HTTP/1.1's chunked ones and HTTP/2's do.
class TrailedBody : public BodyReader {
 public:
  // After the end, as they came. Not trusted: who passes them on decides which.
  virtual Headers trailers() const = 0;
};

// The fields behind a body that was read to its end; none where it can have none.
Headers trailers_of(const BodyReader* body);

}  // namespace redoubt::net
