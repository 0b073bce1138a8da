#include "apiserver/proxy/page_body.h"

#include <zlib.h>

#include "apiserver/proxy/html_rewriter.h"

namespace redoubt::apiserver {

namespace {

// What one piece of a packed page may unpack to: a page is no archive.
constexpr size_t kMaxUnpackedBytes = 16 << 20;

class Unpacker {
 public:
  Unpacker() = default;
  ~Unpacker() {
    if (started_) inflateEnd(&stream_);
  }
  Unpacker(const Unpacker&) = delete;
  Unpacker& operator=(const Unpacker&) = delete;

  Result<std::string> feed(std::string_view piece) {
    if (piece.empty() || ended_) return std::string();
    if (!started_) {
      // "deflate" is sent both with zlib's header, as the standard says, and without.
      auto first = static_cast<unsigned char>(piece[0]);
      int bits = first == 0x1F ? 15 + 16 : (first & 0x0F) == Z_DEFLATED && first >> 4 <= 7 ? 15 : -15;
      if (inflateInit2(&stream_, bits) != Z_OK) return internal_error("zlib");
      started_ = true;
    }
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(piece.data()));
    stream_.avail_in = static_cast<uInt>(piece.size());
    std::string out;
    char buffer[16 * 1024];
    do {
      stream_.next_out = reinterpret_cast<Bytef*>(buffer);
      stream_.avail_out = sizeof buffer;
      int code = inflate(&stream_, Z_NO_FLUSH);
      if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) return bad_request("the page is packed wrongly");
      out.append(buffer, sizeof buffer - stream_.avail_out);
      if (out.size() > kMaxUnpackedBytes) return request_entity_too_large("the page unpacks to too much");
      if (code == Z_STREAM_END) ended_ = true;
    } while (!ended_ && stream_.avail_out == 0);
    return out;
  }

 private:
  z_stream stream_{};
  bool started_ = false;
  bool ended_ = false;
};

struct Page {
  explicit Page(std::shared_ptr<const LinkRewriter> l)
      : links(std::move(l)), html([this](std::string_view url) { return links->rewrite(url); }) {}
  std::shared_ptr<const LinkRewriter> links;
  HtmlRewriter html;
  std::unique_ptr<Unpacker> unpacker;
};

}  // namespace

RelayHooks::Transform page_transform(net::Headers& headers, std::shared_ptr<const LinkRewriter> links) {
  std::string_view type = headers.get("content-type").value_or("");
  type = type.substr(0, type.find(';'));
  while (!type.empty() && type.back() == ' ') type.remove_suffix(1);
  if (type != "text/html") return {};
  std::string_view packed = headers.get("content-encoding").value_or("");
  bool unpack = packed == "gzip" || packed == "deflate";
  if (!unpack && !packed.empty() && packed != "identity") return {};
  auto page = std::make_shared<Page>(std::move(links));
  if (unpack) page->unpacker = std::make_unique<Unpacker>();
  // What these say of the body is no longer true.
  for (const char* name : {"content-length", "content-encoding", "content-md5", "digest", "accept-ranges"})
    headers.remove(name);
  return [page](std::string_view piece, bool end) -> Result<std::string> {
    std::string out;
    if (page->unpacker) {
      RD_TRY(std::string text, page->unpacker->feed(piece));
      out = page->html.feed(text);
    } else {
      out = page->html.feed(piece);
    }
    if (end) out += page->html.finish();
    return out;
  };
}

}  // namespace redoubt::apiserver
