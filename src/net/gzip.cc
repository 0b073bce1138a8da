#include "net/gzip.h"

#include <zlib.h>

namespace redoubt::net {

namespace {

constexpr size_t kBufferBytes = 64 * 1024;
constexpr int kGzipWindow = 15 + 16;  // zlib's way to say: the largest window, and gzip's header

Bytef* bytes_of(const char* data) {
  return reinterpret_cast<Bytef*>(const_cast<char*>(data));
}

}  // namespace

std::string gzip(const BytesList& pieces, int level) {
  z_stream stream{};
  deflateInit2(&stream, level, Z_DEFLATED, kGzipWindow, 8, Z_DEFAULT_STRATEGY);
  std::string out;
  std::string buffer(kBufferBytes, '\0');
  auto run = [&](int flush) {
    int result;
    do {
      stream.next_out = bytes_of(buffer.data());
      stream.avail_out = static_cast<uInt>(buffer.size());
      result = deflate(&stream, flush);
      out.append(buffer, 0, buffer.size() - stream.avail_out);
    } while (stream.avail_out == 0 && result != Z_STREAM_END);
  };
  for (const Bytes& piece : pieces) {
    stream.next_in = bytes_of(piece.data());
    stream.avail_in = static_cast<uInt>(piece.size());
    run(Z_NO_FLUSH);
  }
  run(Z_FINISH);
  deflateEnd(&stream);
  return out;
}

Result<std::string> gunzip(std::string_view packed, size_t limit) {
  z_stream stream{};
  inflateInit2(&stream, kGzipWindow);
  stream.next_in = bytes_of(packed.data());
  stream.avail_in = static_cast<uInt>(packed.size());
  std::string out;
  std::string buffer(kBufferBytes, '\0');
  int result = Z_OK;
  while (result == Z_OK && out.size() <= limit) {
    stream.next_out = bytes_of(buffer.data());
    stream.avail_out = static_cast<uInt>(buffer.size());
    result = inflate(&stream, Z_NO_FLUSH);
    out.append(buffer, 0, buffer.size() - stream.avail_out);
  }
  inflateEnd(&stream);
  if (out.size() > limit) return request_entity_too_large(fmt::format("more than {} bytes once unpacked", limit));
  if (result != Z_STREAM_END) return bad_request("malformed gzip data");
  return out;
}

}  // namespace redoubt::net
