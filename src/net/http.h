// One HTTP for 1.1 and 2: what a request, a response and their bodies are, on both the server's and the client's side.
// RFC 9110 (semantics), 9112 (HTTP/1.1), 9113 (HTTP/2), 8441 (extended CONNECT).
#pragma once
#include <any>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/status.h"
#include "base/task.h"
#include "net/stream.h"

namespace redoubt::net {

// Header fields in order. Names are kept lower case; look-ups take lower-case names.
class Headers {
 public:
  Headers() = default;
  Headers(std::initializer_list<std::pair<std::string, std::string>> fields) : fields_(fields) {}
  // The first value of that name, or nothing.
  std::optional<std::string_view> get(std::string_view name) const;
  std::vector<std::string_view> get_all(std::string_view name) const;
  bool has(std::string_view name) const { return get(name).has_value(); }
  void add(std::string name, std::string value);  // lower-cases the name
  void reserve(size_t count) { fields_.reserve(count); }
  void set(std::string name, std::string value);  // replaces all of that name
  void remove(std::string_view name);
  // True when a comma-separated list in any field of that name holds `token` (compared without case).
  bool has_token(std::string_view name, std::string_view token) const;
  auto begin() { return fields_.begin(); }
  auto end() { return fields_.end(); }
  auto begin() const { return fields_.begin(); }
  auto end() const { return fields_.end(); }
  size_t size() const { return fields_.size(); }

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

// What is known of the connection a request came by. Shared by all its requests; belongs to the connection's loop.
struct ConnectionInfo {
  std::string remote_address;  // without port; IPv6 without brackets
  uint16_t remote_port = 0;
  std::string local_address;
  uint16_t local_port = 0;
  bool tls = false;
  std::string tls_version;  // "TLSv1.3"
  std::string server_name;  // SNI
  std::string alpn;         // "h2" or "http/1.1"
  // DER certificates the peer sent, leaf first; empty when it sent none. Not yet verified: the authenticators decide.
  std::vector<std::string> peer_certificates;
  // A place for the authenticator to keep what it worked out of peer_certificates, so that it is done once a
  // connection.
  mutable std::shared_ptr<const void> authentication_cache;
};

// A body as it arrives. Reading takes flow-control credit off the peer only for what was read.
class BodyReader {
 public:
  virtual ~BodyReader() = default;
  // The next piece; empty at the end.
  virtual Task<Result<Bytes>> read_some() = 0;
};
// The whole body; RequestEntityTooLarge (413) once more than `limit` bytes came.
Task<Result<std::string>> read_body(BodyReader& body, size_t limit);

struct Request {
  std::string method;     // "GET"; as sent
  std::string target;     // as sent: path with query
  std::string path;       // the target up to '?', percent-encoding kept
  std::string query;      // after '?', as sent
  std::string authority;  // Host or :authority
  std::string protocol;   // :protocol of an extended CONNECT, e.g. "websocket"; else empty
  int version_major = 1;
  Headers headers;
  std::optional<uint64_t> content_length;
  std::unique_ptr<BodyReader> body;  // never null
  std::shared_ptr<const ConnectionInfo> connection;
  // True when the client asks to change protocols: HTTP/1.1 Upgrade, CONNECT, or extended CONNECT.
  bool wants_upgrade() const;
};

// The sending side of a streamed body.
class BodyWriter {
 public:
  virtual ~BodyWriter() = default;  // without finish(): the stream is reset, so that the peer sees a broken body
  // Completes when the transport took the pieces (HTTP/2: within both windows). Pieces are spliced, not copied.
  virtual Task<Result<void>> write(BytesList pieces) = 0;
  virtual Task<Result<void>> finish(Headers trailers = {}) = 0;
};

// The answer to one request. Exactly one of send, start and upgrade is called, once; a handler that returns without any
// makes a 500. Belongs to the connection's loop.
class Responder {
 public:
  virtual ~Responder() = default;
  // A whole response; content-length is set from the body. HEAD sends the headers alone.
  virtual Task<Result<void>> send(int status, Headers headers, BytesList body) = 0;
  // Headers now, the body as it comes (chunked in HTTP/1.1).
  virtual Task<Result<std::unique_ptr<BodyWriter>>> start(int status, Headers headers) = 0;
  // 101 Switching Protocols (HTTP/1.1; the caller gives `upgrade` and its like in headers), or 200 to (extended)
  // CONNECT: from then on the request's bytes are the stream's.
  virtual Task<Result<StreamPtr>> upgrade(Headers headers) = 0;
  virtual bool started() const = 0;
};

// Called on the connection's loop, once a request. The task is cancelled when the client goes away (connection lost or
// stream reset), which ends a sleeping watch.
using Handler = std::function<Task<void>(Request, Responder&)>;

// Percent-decodes a path segment or a query value ('+' is a blank in a query only). Nothing when an escape is
// malformed.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_blank = false);
std::string percent_encode(std::string_view text);  // everything but unreserved characters
// A query as ordered pairs, decoded; nothing when malformed.
std::optional<std::vector<std::pair<std::string, std::string>>> parse_query(std::string_view query);
std::string_view status_text(int status);  // "Not Found"

}  // namespace redoubt::net
