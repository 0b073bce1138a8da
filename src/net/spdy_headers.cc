#include "net/spdy_headers.h"

#include <zlib.h>

#include "net/limits.h"

namespace redoubt::net {

namespace {

void put_u32(std::string& out, size_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xff);
}

// The dictionary of SPDY/3: words with their lengths, then plain text.
const std::string& dictionary() {
  static const std::string text = [] {
    std::string out;
    for (std::string_view word : {"options",
                                  "head",
                                  "post",
                                  "put",
                                  "delete",
                                  "trace",
                                  "accept",
                                  "accept-charset",
                                  "accept-encoding",
                                  "accept-language",
                                  "accept-ranges",
                                  "age",
                                  "allow",
                                  "authorization",
                                  "cache-control",
                                  "connection",
                                  "content-base",
                                  "content-encoding",
                                  "content-language",
                                  "content-length",
                                  "content-location",
                                  "content-md5",
                                  "content-range",
                                  "content-type",
                                  "date",
                                  "etag",
                                  "expect",
                                  "expires",
                                  "from",
                                  "host",
                                  "if-match",
                                  "if-modified-since",
                                  "if-none-match",
                                  "if-range",
                                  "if-unmodified-since",
                                  "last-modified",
                                  "location",
                                  "max-forwards",
                                  "pragma",
                                  "proxy-authenticate",
                                  "proxy-authorization",
                                  "range",
                                  "referer",
                                  "retry-after",
                                  "server",
                                  "te",
                                  "trailer",
                                  "transfer-encoding",
                                  "upgrade",
                                  "user-agent",
                                  "vary",
                                  "via",
                                  "warning",
                                  "www-authenticate",
                                  "method",
                                  "get",
                                  "status",
                                  "200 OK",
                                  "version",
                                  "HTTP/1.1",
                                  "url",
                                  "public",
                                  "set-cookie",
                                  "keep-alive",
                                  "origin"}) {
      put_u32(out, word.size());
      out += word;
    }
    out +=
        "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
        "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized"
        "403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
        "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
        "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,"
        "text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.";
    return out;
  }();
  return text;
}

Bytef* bytes_of(std::string_view text) {
  return reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
}

class Cursor {
 public:
  explicit Cursor(std::string_view text) : rest_(text) {}
  std::optional<uint32_t> u32() {
    if (rest_.size() < 4) return std::nullopt;
    uint32_t value = 0;
    for (int i = 0; i < 4; ++i) value = value << 8 | static_cast<uint8_t>(rest_[static_cast<size_t>(i)]);
    rest_.remove_prefix(4);
    return value;
  }
  std::optional<std::string_view> text() {
    auto size = u32();
    if (!size || *size > rest_.size()) return std::nullopt;
    std::string_view out = rest_.substr(0, *size);
    rest_.remove_prefix(*size);
    return out;
  }
  bool done() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

Result<Headers> parse_block(std::string_view text) {
  Cursor cursor(text);
  Headers headers;
  auto count = cursor.u32();
  if (!count) return bad_request("spdy: a header block without a count");
  for (uint32_t i = 0; i < *count; ++i) {
    auto name = cursor.text();
    auto values = name ? cursor.text() : std::nullopt;
    if (!values || name->empty()) return bad_request("spdy: a malformed header block");
    // One field, several values: parted by NUL.
    std::string_view rest = *values;
    while (true) {
      size_t nul = rest.find('\0');
      headers.add(std::string(*name), std::string(rest.substr(0, nul)));
      if (nul == std::string_view::npos) break;
      rest = rest.substr(nul + 1);
    }
  }
  if (!cursor.done()) return bad_request("spdy: a header block with something behind it");
  return headers;
}

}  // namespace

SpdyHeaderWriter::SpdyHeaderWriter() : zlib_(std::make_unique<z_stream_s>()) {
  // A small window and state: header blocks here are a few words.
  if (deflateInit2(zlib_.get(), Z_BEST_COMPRESSION, Z_DEFLATED, 11, 1, Z_DEFAULT_STRATEGY) != Z_OK)
    throw std::bad_alloc();
  deflateSetDictionary(zlib_.get(), bytes_of(dictionary()), static_cast<uInt>(dictionary().size()));
}

SpdyHeaderWriter::~SpdyHeaderWriter() {
  deflateEnd(zlib_.get());
}

std::string SpdyHeaderWriter::write(const Headers& headers) {
  std::vector<std::pair<std::string, std::string>> joined;
  for (const auto& [name, value] : headers) {
    auto same = std::find_if(joined.begin(), joined.end(), [&](const auto& field) { return field.first == name; });
    if (same == joined.end()) {
      joined.emplace_back(name, value);
    } else {
      same->second += '\0';
      same->second += value;
    }
  }
  std::string plain;
  put_u32(plain, joined.size());
  for (const auto& [name, value] : joined) {
    put_u32(plain, name.size());
    plain += name;
    put_u32(plain, value.size());
    plain += value;
  }
  std::string out(deflateBound(zlib_.get(), static_cast<uLong>(plain.size())) + 64, '\0');
  zlib_->next_in = bytes_of(plain);
  zlib_->avail_in = static_cast<uInt>(plain.size());
  size_t made = 0;
  while (true) {
    zlib_->next_out = bytes_of(out) + made;
    zlib_->avail_out = static_cast<uInt>(out.size() - made);
    deflate(zlib_.get(), Z_SYNC_FLUSH);
    made = out.size() - zlib_->avail_out;
    if (zlib_->avail_out > 0) break;
    out.resize(out.size() * 2);
  }
  out.resize(made);
  return out;
}

SpdyHeaderReader::SpdyHeaderReader() : zlib_(std::make_unique<z_stream_s>()) {
  if (inflateInit(zlib_.get()) != Z_OK) throw std::bad_alloc();
}

SpdyHeaderReader::~SpdyHeaderReader() {
  inflateEnd(zlib_.get());
}

Result<Headers> SpdyHeaderReader::read(std::string_view block) {
  std::string plain;
  char buffer[4096];
  zlib_->next_in = bytes_of(block);
  zlib_->avail_in = static_cast<uInt>(block.size());
  while (true) {
    zlib_->next_out = reinterpret_cast<Bytef*>(buffer);
    zlib_->avail_out = sizeof buffer;
    int result = inflate(zlib_.get(), Z_SYNC_FLUSH);
    if (result == Z_NEED_DICT) {
      if (inflateSetDictionary(zlib_.get(), bytes_of(dictionary()), static_cast<uInt>(dictionary().size())) != Z_OK)
        return bad_request("spdy: header blocks with an unknown dictionary");
      continue;
    }
    if (result != Z_OK && result != Z_BUF_ERROR) return bad_request("spdy: a header block that does not decompress");
    plain.append(buffer, sizeof buffer - zlib_->avail_out);
    if (plain.size() > kSpdyHeaderBytes) return bad_request("spdy: a header block that is too large");
    if (zlib_->avail_out > 0) break;  // the input is used up
  }
  if (zlib_->avail_in > 0) return bad_request("spdy: a header block that does not decompress");
  return parse_block(plain);
}

}  // namespace redoubt::net
