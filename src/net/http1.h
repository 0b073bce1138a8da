// HTTP/1.1 messages on a Stream (RFC 9112), for both sides: heads parsed strictly (nothing that two parsers could read
// in two ways), bodies by length, by chunks or to the end. For net/'s own use.
#pragma once
#include <memory>
#include <string>

#include "net/http.h"
#include "net/stream.h"

namespace redoubt::net {

// A Stream with what was read too far put back in front.
class BufferedReader {
 public:
  explicit BufferedReader(Stream& stream) : stream_(&stream) {}
  // The head up to and without the blank line; empty at a clean end before its first byte. 431 over the limit.
  Task<Result<std::string>> read_head(size_t limit);
  Task<Result<std::string>> read_line(size_t limit);
  // At most `most` bytes; empty at the end.
  Task<Result<Bytes>> read_some(size_t most);
  // Waits until a byte is there or the peer is gone, without taking any; for noticing a client that left.
  Task<Result<void>> peek();
  std::string take_buffered() { return std::exchange(buffer_, {}); }
  bool buffered() const { return !buffer_.empty(); }

 private:
  Task<Result<size_t>> fill();
  Stream* stream_;
  std::string buffer_;
};

struct Http1Head {
  std::string start_line;
  Headers headers;
};
Result<Http1Head> parse_http1_head(std::string_view text);
// Fills method, target, path, query, authority, content_length, version.
Result<Request> parse_http1_request(std::string_view head);

enum class BodyFraming { None, Length, Chunked, UntilClose };
// How the message's body ends; a 400-like error for contradictory or unknown framing.
Result<BodyFraming> body_framing(const Headers& headers, bool response, std::optional<uint64_t>& length);

// Reads a body off `reader`, which must outlive it. `done` is set once the body was read to its end.
std::unique_ptr<BodyReader> make_http1_body(BufferedReader& reader, BodyFraming framing, uint64_t length,
                                            std::shared_ptr<bool> done,
                                            std::function<Task<Result<void>>()> before_first_read = {});
std::string format_headers(const Headers& headers);

}  // namespace redoubt::net
