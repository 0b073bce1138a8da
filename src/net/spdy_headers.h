// SPDY/3 header blocks: name/value pairs compressed with zlib and the protocol's dictionary, one running state a
// direction. For net/'s own use. (draft-mbelshe-httpbis-spdy-00, 2.6.10.)
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "net/http.h"

struct z_stream_s;

namespace redoubt::net {

class SpdyHeaderWriter {
 public:
  SpdyHeaderWriter();
  ~SpdyHeaderWriter();
  SpdyHeaderWriter(const SpdyHeaderWriter&) = delete;
  SpdyHeaderWriter& operator=(const SpdyHeaderWriter&) = delete;
  std::string write(const Headers& headers);

 private:
  std::unique_ptr<z_stream_s> zlib_;
};

class SpdyHeaderReader {
 public:
  SpdyHeaderReader();
  ~SpdyHeaderReader();
  SpdyHeaderReader(const SpdyHeaderReader&) = delete;
  SpdyHeaderReader& operator=(const SpdyHeaderReader&) = delete;
  // Must be given every block of a connection, in order; after an error the connection is unusable.
  Result<Headers> read(std::string_view block);

 private:
  std::unique_ptr<z_stream_s> zlib_;
};

}  // namespace redoubt::net
