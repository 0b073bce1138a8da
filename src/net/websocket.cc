#include "net/websocket.h"

#include <openssl/sha.h>

#include <algorithm>

#include "base/encoding.h"
#include "base/event.h"
#include "base/random.h"

namespace redoubt::net {

namespace {

constexpr std::string_view kAcceptGuid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";  // RFC 6455, 1.3
constexpr size_t kMaxControlPayload = 125;
constexpr size_t kReadBytes = 32 * 1024;

enum Opcode : uint8_t { kContinuation = 0, kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10 };

enum CloseCode : uint16_t { kNormal = 1000, kProtocolError = 1002, kNoStatus = 1005, kNotUtf8 = 1007, kTooBig = 1009 };

std::string accept_value(std::string_view key) {
  std::string text = std::string(key) + std::string(kAcceptGuid);
  unsigned char digest[SHA_DIGEST_LENGTH];
  SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest);
  return base64_encode({reinterpret_cast<const char*>(digest), sizeof digest});
}

bool valid_utf8(std::string_view text) {
  size_t i = 0;
  auto continuation = [&](size_t at) { return at < text.size() && (static_cast<uint8_t>(text[at]) & 0xc0) == 0x80; };
  while (i < text.size()) {
    uint8_t lead = static_cast<uint8_t>(text[i]);
    size_t more = lead < 0x80 ? 0 : lead >= 0xc2 && lead < 0xe0 ? 1 : lead >= 0xe0 && lead < 0xf0 ? 2 : 3;
    if ((lead >= 0x80 && lead < 0xc2) || lead > 0xf4) return false;
    for (size_t k = 1; k <= more; ++k) {
      if (!continuation(i + k)) return false;
    }
    if (more >= 2) {
      uint8_t second = static_cast<uint8_t>(text[i + 1]);
      if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) || (lead == 0xf0 && second < 0x90) ||
          (lead == 0xf4 && second > 0x8f))
        return false;
    }
    i += more + 1;
  }
  return true;
}

void apply_mask(char* data, size_t size, const unsigned char (&mask)[4]) {
  for (size_t i = 0; i < size; ++i) data[i] = static_cast<char>(data[i] ^ mask[i & 3]);
}

class WebSocketImpl : public WebSocket {
 public:
  WebSocketImpl(StreamPtr stream, bool server, size_t max_message, Executor executor)
      : stream_(std::move(stream)), server_(server), max_message_(max_message), unlocked_(executor) {}

  Task<Result<std::optional<Message>>> read() override {
    Message message;
    bool in_message = false;
    while (true) {
      if (peer_closed_) co_return std::optional<Message>();
      auto frame = co_await read_frame(message.data.size());
      if (!frame) co_return Error(std::move(frame).error());
      switch (frame->opcode) {
        case kPing:
          if (!close_sent_) {
            auto pong = co_await send_text(kPong, std::move(frame->payload));
            if (!pong) co_return Error(std::move(pong).error());
          }
          continue;
        case kPong:
          continue;
        case kClose: {
          peer_closed_ = true;
          uint16_t code = kNoStatus;
          if (frame->payload.size() >= 2)
            code = static_cast<uint16_t>(static_cast<uint8_t>(frame->payload[0]) << 8 |
                                         static_cast<uint8_t>(frame->payload[1]));
          // The peer may be gone already: what the answer meets changes nothing.
          if (!close_sent_) (void)co_await close(code == kNoStatus ? uint16_t{kNormal} : code, "");
          co_return std::optional<Message>();
        }
        case kContinuation:
          if (!in_message) co_return co_await fail(kProtocolError, "a continuation of no message");
          break;
        default:
          if (in_message) co_return co_await fail(kProtocolError, "a message inside a message");
          in_message = true;
          message.binary = frame->opcode == kBinary;
      }
      if (message.data.empty()) {
        message.data = std::move(frame->payload);
      } else {
        message.data += frame->payload;
      }
      if (!frame->final) continue;
      if (!message.binary && !valid_utf8(message.data)) co_return co_await fail(kNotUtf8, "a text that is no UTF-8");
      co_return std::optional<Message>(std::move(message));
    }
  }

  Task<Result<void>> write(bool binary, BytesList payload) override {
    return send(binary ? kBinary : kText, std::move(payload));
  }
  Task<Result<void>> ping() override { return send(kPing, {}); }
  Task<Result<void>> close(uint16_t code, std::string reason) override {
    if (close_sent_) co_return Result<void>{};
    std::string payload{static_cast<char>(code >> 8), static_cast<char>(code & 0xff)};
    payload += std::string_view(reason).substr(0, kMaxControlPayload - 2);
    co_return co_await send_text(kClose, std::move(payload));
  }
  void abort() noexcept override { stream_->abort(); }

 private:
  struct Frame {
    bool final = true;
    uint8_t opcode = 0;
    std::string payload;
  };

  // Closes with `code` and reports; nothing more is read after it.
  Task<Result<std::optional<Message>>> fail(uint16_t code, std::string why) {
    peer_closed_ = true;
    (void)co_await close(code, why);
    co_return bad_request("websocket: " + why);
  }
  Task<Result<Frame>> fail_frame(uint16_t code, std::string why) {
    auto failed = co_await fail(code, std::move(why));
    co_return Error(std::move(failed).error());
  }

  Task<Result<void>> need(size_t size) {
    if (buffer_.size() - at_ >= size) co_return Result<void>{};
    buffer_.erase(0, at_);
    at_ = 0;
    while (buffer_.size() < size) {
      size_t had = buffer_.size();
      buffer_.resize(had + kReadBytes);
      auto got = co_await stream_->read_some({buffer_.data() + had, kReadBytes});
      buffer_.resize(had + (got ? *got : 0));
      if (!got) co_return Error(std::move(got).error());
      if (*got == 0) co_return service_unavailable("websocket: the connection ended without a close");
    }
    co_return Result<void>{};
  }

  Task<Result<Frame>> read_frame(size_t so_far) {
    RD_CO_TRYV(co_await need(2));
    uint8_t first = static_cast<uint8_t>(buffer_[at_]);
    uint8_t second = static_cast<uint8_t>(buffer_[at_ + 1]);
    Frame frame;
    frame.final = first & 0x80;
    frame.opcode = first & 0x0f;
    bool masked = second & 0x80;
    uint64_t length = second & 0x7f;
    if (first & 0x70) co_return co_await fail_frame(kProtocolError, "reserved bits are set");
    if (masked != server_)
      co_return co_await fail_frame(kProtocolError, server_ ? "an unmasked frame" : "a masked frame");
    bool control = frame.opcode & 8;
    if (frame.opcode > kPong || (frame.opcode > kBinary && frame.opcode < kClose))
      co_return co_await fail_frame(kProtocolError, "an unknown opcode");
    if (control && (!frame.final || length > kMaxControlPayload || (frame.opcode == kClose && length == 1)))
      co_return co_await fail_frame(kProtocolError, "a malformed control frame");
    size_t extra = length == 126 ? 2 : length == 127 ? 8 : 0;
    RD_CO_TRYV(co_await need(2 + extra + (masked ? 4 : 0)));
    if (extra) {
      length = 0;
      for (size_t i = 0; i < extra; ++i) length = length << 8 | static_cast<uint8_t>(buffer_[at_ + 2 + i]);
      if ((extra == 2 && length < 126) || (extra == 8 && length < 65536))
        co_return co_await fail_frame(kProtocolError, "a length that is not in its shortest form");
    }
    if (!control && (length > max_message_ || so_far + length > max_message_))
      co_return co_await fail_frame(kTooBig, fmt::format("a message of more than {} bytes", max_message_));
    unsigned char mask[4] = {};
    if (masked) std::memcpy(mask, buffer_.data() + at_ + 2 + extra, 4);
    at_ += 2 + extra + (masked ? 4 : 0);
    RD_CO_TRYV(co_await need(length));
    frame.payload.assign(buffer_, at_, length);
    at_ += length;
    if (masked) apply_mask(frame.payload.data(), frame.payload.size(), mask);
    co_return frame;
  }

  Task<Result<void>> send_text(uint8_t opcode, std::string payload) {
    BytesList pieces;
    if (!payload.empty()) pieces.push_back(Bytes::take(std::move(payload)));
    co_return co_await send(opcode, std::move(pieces));
  }

  // One frame at a time; who is cancelled in the middle of one leaves the connection broken.
  Task<Result<void>> send(uint8_t opcode, BytesList payload) {
    if (opcode >= kClose) {
      // Before the next frame of a sender that always has more: a peer whose pings are not answered gives up.
      struct Urgent {
        explicit Urgent(WebSocketImpl& s) : self(s) { ++self.urgent_; }
        ~Urgent() {
          --self.urgent_;
          self.unlocked_.notify();
        }
        WebSocketImpl& self;
      } urgent(*this);
      while (writing_) co_await unlocked_.wait();
    } else {
      while (writing_ || urgent_ > 0) co_await unlocked_.wait();
    }
    if (broken_ || close_sent_) co_return service_unavailable("websocket: it has been closed");
    if (opcode == kClose) close_sent_ = true;
    size_t size = total_size(payload);
    std::string head{static_cast<char>(0x80 | opcode)};
    uint8_t mask_bit = server_ ? 0 : 0x80;
    if (size < 126) {
      head += static_cast<char>(mask_bit | size);
    } else {
      int bytes = size < 65536 ? 2 : 8;
      head += static_cast<char>(mask_bit | (bytes == 2 ? 126 : 127));
      for (int i = bytes - 1; i >= 0; --i) head += static_cast<char>(static_cast<uint64_t>(size) >> (8 * i) & 0xff);
    }
    BytesList pieces;
    if (server_) {
      pieces.reserve(payload.size() + 1);
      pieces.push_back(Bytes::take(std::move(head)));
      for (Bytes& piece : payload) pieces.push_back(std::move(piece));
    } else {
      unsigned char mask[4];
      random_bytes(mask);
      head.append(reinterpret_cast<const char*>(mask), 4);
      size_t start = head.size();
      for (const Bytes& piece : payload) head += piece.view();
      apply_mask(head.data() + start, size, mask);
      pieces.push_back(Bytes::take(std::move(head)));
    }
    struct Lock {
      explicit Lock(WebSocketImpl& s) : self(s) { self.writing_ = self.broken_ = true; }
      ~Lock() {
        self.writing_ = false;
        self.unlocked_.notify();
      }
      WebSocketImpl& self;
    } lock(*this);
    auto written = co_await stream_->write(std::move(pieces));
    if (written) broken_ = false;
    co_return written;
  }

  StreamPtr stream_;
  const bool server_;
  const size_t max_message_;
  Event unlocked_;
  bool writing_ = false;
  size_t urgent_ = 0;  // control frames that wait for their turn
  bool broken_ = false;
  bool close_sent_ = false;
  bool peer_closed_ = false;
  std::string buffer_;
  size_t at_ = 0;
};

// The handshake is read from a loop's coroutine, but websocket_over() is a plain function: an Event takes its executor
// from whoever waits, so any will do here.
std::unique_ptr<WebSocket> make_socket(StreamPtr stream, bool server, size_t max_message) {
  return std::make_unique<WebSocketImpl>(std::move(stream), server, max_message, Executor());
}

class WebSocketStream : public Stream {
 public:
  explicit WebSocketStream(std::unique_ptr<WebSocket> socket) : socket_(std::move(socket)) {}
  ~WebSocketStream() override { abort(); }
  Task<Result<size_t>> read_some(std::span<char> into) override {
    while (left_.empty()) {
      auto message = co_await socket_->read();
      if (!message) co_return Error(std::move(message).error());
      if (!*message) co_return size_t{0};
      if (!(*message)->binary) co_return bad_request("websocket: a text message where bytes belong");
      left_ = Bytes::take(std::move((*message)->data));
    }
    size_t n = std::min(into.size(), left_.size());
    std::memcpy(into.data(), left_.data(), n);
    left_ = left_.slice(n);
    co_return n;
  }
  Task<Result<void>> write(BytesList pieces) override {
    if (total_size(pieces) == 0) co_return Result<void>{};
    co_return co_await socket_->write(true, std::move(pieces));
  }
  Task<Result<void>> shutdown_write() override { return socket_->close(kNormal, ""); }
  void abort() noexcept override { socket_->abort(); }

 private:
  std::unique_ptr<WebSocket> socket_;
  Bytes left_;
};

std::vector<std::string> offered_protocols(const Headers& headers) {
  std::vector<std::string> out;
  for (std::string_view field : headers.get_all("sec-websocket-protocol")) {
    while (!field.empty()) {
      size_t comma = field.find(',');
      std::string_view item = field.substr(0, comma);
      field = comma == std::string_view::npos ? std::string_view() : field.substr(comma + 1);
      while (!item.empty() && (item.front() == ' ' || item.front() == '\t')) item.remove_prefix(1);
      while (!item.empty() && (item.back() == ' ' || item.back() == '\t')) item.remove_suffix(1);
      if (!item.empty()) out.emplace_back(item);
    }
  }
  return out;
}

}  // namespace

bool is_websocket_request(const Request& request) {
  if (request.version_major == 2) return request.method == "CONNECT" && request.protocol == "websocket";
  return request.method == "GET" && request.headers.has_token("connection", "upgrade") &&
         request.headers.has_token("upgrade", "websocket");
}

std::vector<std::string> websocket_protocols(const Request& request) {
  return offered_protocols(request.headers);
}

Task<Result<WebSocketAccepted>> websocket_accept(Request& request, Responder& responder,
                                                 std::vector<std::string> protocols, size_t max_message_bytes) {
  if (!is_websocket_request(request)) co_return bad_request("not a websocket request");
  if (request.headers.get("sec-websocket-version") != "13")
    co_return bad_request("unsupported websocket version: 13 is supported");
  Headers headers;
  if (request.version_major == 1) {
    auto key = request.headers.get("sec-websocket-key");
    auto decoded = key ? base64_decode(*key) : std::nullopt;
    if (!decoded || decoded->size() != 16) co_return bad_request("the Sec-WebSocket-Key is missing or malformed");
    headers.add("upgrade", "websocket");
    headers.add("connection", "Upgrade");
    headers.add("sec-websocket-accept", accept_value(*key));
  }
  std::vector<std::string> offered = offered_protocols(request.headers);
  WebSocketAccepted out;
  for (const std::string& protocol : protocols) {
    if (std::find(offered.begin(), offered.end(), protocol) == offered.end()) continue;
    out.protocol = protocol;
    break;
  }
  if (out.protocol.empty() && !offered.empty() && !protocols.empty())
    co_return Error(Status(403, "Forbidden",
                           fmt::format("unable to upgrade: none of the websocket protocols {} is supported, {} are",
                                       fmt::join(offered, ", "), fmt::join(protocols, ", "))));
  if (!out.protocol.empty()) headers.add("sec-websocket-protocol", out.protocol);
  RD_CO_TRY(StreamPtr stream, co_await responder.upgrade(std::move(headers)));
  out.socket = make_socket(std::move(stream), true, max_message_bytes);
  co_return out;
}

std::unique_ptr<WebSocket> websocket_over(StreamPtr stream, bool server, size_t max_message_bytes) {
  return make_socket(std::move(stream), server, max_message_bytes);
}

Headers websocket_client_headers(const std::vector<std::string>& protocols) {
  unsigned char key[16];
  random_bytes(key);
  Headers headers{{"connection", "Upgrade"},
                  {"upgrade", "websocket"},
                  {"sec-websocket-version", "13"},
                  {"sec-websocket-key", base64_encode({reinterpret_cast<const char*>(key), sizeof key})}};
  if (!protocols.empty()) headers.add("sec-websocket-protocol", fmt::format("{}", fmt::join(protocols, ", ")));
  return headers;
}

Result<std::string> websocket_check_answer(const Headers& sent, const Headers& answer) {
  if (!answer.has_token("upgrade", "websocket") || !answer.has_token("connection", "upgrade"))
    return service_unavailable("websocket: the server switched to something else");
  if (answer.get("sec-websocket-accept") != accept_value(sent.get("sec-websocket-key").value_or("")))
    return service_unavailable("websocket: the server's Sec-WebSocket-Accept does not belong to our key");
  std::string protocol(answer.get("sec-websocket-protocol").value_or(""));
  std::vector<std::string> offered = offered_protocols(sent);
  if (!protocol.empty() && std::find(offered.begin(), offered.end(), protocol) == offered.end())
    return service_unavailable("websocket: the server chose a protocol that was not offered");
  return protocol;
}

StreamPtr websocket_as_stream(std::unique_ptr<WebSocket> socket) {
  return std::make_unique<WebSocketStream>(std::move(socket));
}

}  // namespace redoubt::net
