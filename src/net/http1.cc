#include "net/http1.h"

#include "net/limits.h"
#include "net/trailers.h"

namespace redoubt::net {

namespace {

bool is_token_char(char c) {
  if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return true;
  return std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool is_token(std::string_view text) {
  for (char c : text) {
    if (!is_token_char(c)) return false;
  }
  return !text.empty();
}

Error malformed(std::string_view what) {
  return bad_request(fmt::format("malformed HTTP: {}", what));
}

}  // namespace

Task<Result<size_t>> BufferedReader::fill() {
  size_t old = buffer_.size();
  buffer_.resize(old + 8 * 1024);
  auto got = co_await stream_->read_some({buffer_.data() + old, 8 * 1024});
  buffer_.resize(old + (got ? *got : 0));
  co_return got;
}

Task<Result<std::string>> BufferedReader::read_head(size_t limit) {
  size_t from = 0;
  while (true) {
    // Blank lines before a request are passed over (RFC 9112, 2.2).
    while (from == 0 && buffer_.starts_with("\r\n")) buffer_.erase(0, 2);
    size_t end = buffer_.find("\r\n\r\n", from);
    if (end != std::string::npos && end <= limit) {
      std::string head = buffer_.substr(0, end + 2);
      buffer_.erase(0, end + 4);
      co_return head;
    }
    if (buffer_.size() > limit)
      co_return Error(Status(431, "RequestHeaderFieldsTooLarge", fmt::format("the header is over {} bytes", limit)));
    from = buffer_.size() < 3 ? 0 : buffer_.size() - 3;
    RD_CO_TRY(size_t n, co_await fill());
    if (n == 0) {
      if (buffer_.empty()) co_return std::string();
      co_return malformed("the connection ended within a header");
    }
  }
}

Task<Result<std::string>> BufferedReader::read_line(size_t limit) {
  while (true) {
    size_t end = buffer_.find("\r\n");
    if (end != std::string::npos && end <= limit) {
      std::string line = buffer_.substr(0, end);
      buffer_.erase(0, end + 2);
      co_return line;
    }
    if (buffer_.size() > limit + 2) co_return malformed("a line is too long");
    RD_CO_TRY(size_t n, co_await fill());
    if (n == 0) co_return malformed("the connection ended within a line");
  }
}

Task<Result<Bytes>> BufferedReader::read_some(size_t most) {
  if (buffer_.empty()) {
    RD_CO_TRY(size_t n, co_await fill());
    if (n == 0) co_return Bytes();
  }
  if (buffer_.size() <= most) co_return Bytes::take(std::exchange(buffer_, {}));
  Bytes out = Bytes::copy(std::string_view(buffer_).substr(0, most));
  buffer_.erase(0, most);
  co_return out;
}

Task<Result<void>> BufferedReader::peek() {
  if (!buffer_.empty()) co_return Result<void>{};
  RD_CO_TRY(size_t n, co_await fill());
  if (n == 0) co_return service_unavailable("the peer is gone");
  co_return Result<void>{};
}

Result<Http1Head> parse_http1_head(std::string_view text) {
  Http1Head out;
  size_t end = text.find("\r\n");
  out.start_line = text.substr(0, end);
  text.remove_prefix(end + 2);
  for (char c : out.start_line) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) return malformed("a control character in the first line");
  }
  while (!text.empty()) {
    end = text.find("\r\n");
    if (end == std::string_view::npos) return malformed("a header without an end");
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 2);
    size_t colon = line.find(':');
    // A blank before the colon and a folded line are how requests are smuggled: both are refused.
    if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) return malformed("a header's name");
    std::string_view value = line.substr(colon + 1);
    while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
    while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.remove_suffix(1);
    for (char c : value) {
      if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7F)
        return malformed("a control character in a header");
    }
    out.headers.add(std::string(line.substr(0, colon)), std::string(value));
  }
  return out;
}

Result<Request> parse_http1_request(std::string_view text) {
  RD_TRY(Http1Head head, parse_http1_head(text));
  std::string_view line = head.start_line;
  size_t first = line.find(' ');
  size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == last) return malformed("the request line");
  Request request;
  request.method = line.substr(0, first);
  request.target = line.substr(first + 1, last - first - 1);
  std::string_view version = line.substr(last + 1);
  if (!is_token(request.method) || request.target.empty() || request.target.find(' ') != std::string::npos)
    return malformed("the request line");
  if (version != "HTTP/1.1" && version != "HTTP/1.0")
    return Error(Status(505, "BadRequest", "only HTTP/1.1 and HTTP/2 are spoken here"));
  auto hosts = head.headers.get_all("host");
  if (hosts.size() > 1 || (hosts.empty() && version == "HTTP/1.1")) return malformed("one Host header is needed");
  if (!hosts.empty()) request.authority = hosts[0];
  if (version == "HTTP/1.0") head.headers.set("connection", "close");
  if (request.method == "CONNECT") {
    request.authority = request.target;
  } else {
    if (request.target.starts_with("http://") || request.target.starts_with("https://")) {
      size_t authority = request.target.find("//") + 2;
      size_t slash = request.target.find('/', authority);
      request.authority = request.target.substr(authority, slash - authority);
      request.target = slash == std::string::npos ? "/" : request.target.substr(slash);
    }
    if (request.target[0] != '/' && request.target != "*") return malformed("the request target");
    size_t question = request.target.find('?');
    request.path = request.target.substr(0, question);
    if (question != std::string::npos) request.query = request.target.substr(question + 1);
  }
  request.headers = std::move(head.headers);
  return request;
}

Result<BodyFraming> body_framing(const Headers& headers, bool response, std::optional<uint64_t>& length) {
  auto lengths = headers.get_all("content-length");
  auto codings = headers.get_all("transfer-encoding");
  for (std::string_view text : lengths) {
    uint64_t value = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || error != std::errc() || end != text.data() + text.size() || (length && *length != value))
      return malformed("content-length");
    length = value;
  }
  if (!codings.empty()) {
    if (length) return malformed("content-length together with transfer-encoding");
    if (codings.size() != 1 || !(codings[0] == "chunked" || codings[0] == "Chunked"))
      return malformed("a transfer-encoding other than chunked");
    return BodyFraming::Chunked;
  }
  if (length) return BodyFraming::Length;
  return response ? BodyFraming::UntilClose : BodyFraming::None;
}

namespace {

class Http1Body : public TrailedBody {
 public:
  Http1Body(BufferedReader& reader, BodyFraming framing, uint64_t length, std::shared_ptr<bool> done,
            std::function<Task<Result<void>>()> before)
      : reader_(reader), framing_(framing), left_(length), done_(std::move(done)), before_(std::move(before)) {
    if (framing == BodyFraming::None || (framing == BodyFraming::Length && length == 0)) *done_ = true;
  }

  Task<Result<Bytes>> read_some() override {
    if (*done_) co_return Bytes();
    if (before_) {
      auto before = std::exchange(before_, {});
      RD_CO_TRYV(co_await before());
    }
    if (framing_ == BodyFraming::Chunked && left_ == 0) {
      RD_CO_TRYV(co_await next_chunk());
      if (*done_) co_return Bytes();
    }
    size_t most = framing_ == BodyFraming::UntilClose
                      ? kReadBufferBytes
                      : static_cast<size_t>(std::min<uint64_t>(left_, kReadBufferBytes));
    RD_CO_TRY(Bytes piece, co_await reader_.read_some(most));
    if (framing_ == BodyFraming::UntilClose) {
      if (piece.empty()) *done_ = true;
      co_return piece;
    }
    if (piece.empty()) co_return service_unavailable("unexpected EOF: the connection ended within a body");
    left_ -= piece.size();
    if (framing_ == BodyFraming::Length && left_ == 0) *done_ = true;
    if (framing_ == BodyFraming::Chunked && left_ == 0) {
      RD_CO_TRY(std::string end, co_await reader_.read_line(2));
      if (!end.empty()) co_return malformed("a chunk's end");
    }
    co_return piece;
  }

  Headers trailers() const override { return trailers_; }

 private:
  Task<Result<void>> next_chunk() {
    RD_CO_TRY(std::string line, co_await reader_.read_line(kMaxChunkLineBytes));
    std::string_view digits = std::string_view(line).substr(0, line.find(';'));
    while (!digits.empty() && digits.back() == ' ') digits.remove_suffix(1);
    auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), left_, 16);
    if (digits.empty() || error != std::errc() || end != digits.data() + digits.size())
      co_return malformed("a chunk's size");
    if (left_ == 0) {
      for (int i = 0; i < 32; ++i) {
        RD_CO_TRY(std::string trailer, co_await reader_.read_line(8 * 1024));
        if (trailer.empty()) {
          *done_ = true;
          co_return Result<void>{};
        }
        // Read as strictly as the header is.
        RD_CO_TRY(Http1Head parsed, parse_http1_head("\r\n" + trailer + "\r\n"));
        for (auto& [name, value] : parsed.headers) trailers_.add(name, value);
      }
      co_return malformed("too many trailers");
    }
    co_return Result<void>{};
  }

  BufferedReader& reader_;
  BodyFraming framing_;
  uint64_t left_;
  std::shared_ptr<bool> done_;
  std::function<Task<Result<void>>()> before_;
  Headers trailers_;
};

}  // namespace

std::unique_ptr<BodyReader> make_http1_body(BufferedReader& reader, BodyFraming framing, uint64_t length,
                                            std::shared_ptr<bool> done,
                                            std::function<Task<Result<void>>()> before_first_read) {
  return std::make_unique<Http1Body>(reader, framing, length, std::move(done), std::move(before_first_read));
}

std::string format_headers(const Headers& headers) {
  std::string out;
  for (const auto& [name, value] : headers) {
    out += name;
    out += ": ";
    // A line break in a value would make a header of its own.
    for (char c : value) out += c == '\r' || c == '\n' ? ' ' : c;
    out += "\r\n";
  }
  return out + "\r\n";
}

}  // namespace redoubt::net
