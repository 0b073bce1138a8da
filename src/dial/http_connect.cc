#include "dial/http_connect.h"

#include "base/event.h"

namespace redoubt::net {

namespace {

// What was read behind the proxy's answer comes first.
class AfterHead : public Stream {
 public:
  AfterHead(StreamPtr inner, std::string left) : inner_(std::move(inner)), left_(std::move(left)) {}
  Task<Result<size_t>> read_some(std::span<char> into) override {
    if (at_ == left_.size()) return inner_->read_some(into);
    return take_left(into);
  }
  Task<Result<void>> write(BytesList pieces) override { return inner_->write(std::move(pieces)); }
  Task<Result<void>> shutdown_write() override { return inner_->shutdown_write(); }
  void abort() noexcept override { inner_->abort(); }

 private:
  Task<Result<size_t>> take_left(std::span<char> into) {
    size_t n = std::min(into.size(), left_.size() - at_);
    std::memcpy(into.data(), left_.data() + at_, n);
    at_ += n;
    co_return n;
  }
  StreamPtr inner_;
  std::string left_;
  size_t at_ = 0;
};

// Shown in errors: what a stranger sent, cut and without control characters.
std::string printable(std::string_view text) {
  std::string out(text.substr(0, 200));
  for (char& c : out) c = c < ' ' || c > '~' ? '?' : c;
  return out;
}

Task<Result<std::string>> read_answer(Stream& stream, std::string_view authority) {
  std::string head;
  char buffer[2048];
  while (true) {
    size_t end = head.find("\r\n\r\n");
    if (end != std::string::npos) {
      std::string line = head.substr(0, head.find("\r\n"));
      if (!line.starts_with("HTTP/1.") || line.size() < 12)
        co_return service_unavailable(fmt::format("proxy answered no HTTP to CONNECT {}", authority));
      if (line[9] != '2')
        co_return service_unavailable(fmt::format("proxy refused CONNECT {}: {}", authority, printable(line)));
      co_return head.substr(end + 4);
    }
    if (head.size() > kConnectAnswerBytes)
      co_return service_unavailable(fmt::format("proxy's answer to CONNECT {} is too long", authority));
    RD_CO_TRY(size_t n, co_await stream.read_some(buffer));
    if (n == 0) co_return service_unavailable(fmt::format("proxy closed the connection at CONNECT {}", authority));
    head.append(buffer, n);
  }
}

Task<void> abort_after(Stream& stream, std::chrono::milliseconds limit, bool& fired) {
  co_await sleep_for(limit);
  fired = true;
  stream.abort();
}

}  // namespace

Task<Result<StreamPtr>> http_connect(StreamPtr stream, std::string authority, std::string authorization,
                                     std::chrono::milliseconds timeout) {
  Scope deadline(co_await boost::asio::this_coro::executor, "connect deadline");
  bool fired = false;
  deadline.spawn(abort_after(*stream, timeout, fired));
  std::string text = fmt::format("CONNECT {} HTTP/1.1\r\nhost: {}\r\n", authority, authority);
  if (!authorization.empty()) text += "proxy-authorization: " + authorization + "\r\n";
  text += "\r\n";
  BytesList pieces;
  pieces.push_back(Bytes::take(std::move(text)));
  Result<std::string> left = std::string();
  std::exception_ptr cancelled;
  try {
    auto sent = co_await stream->write(std::move(pieces));
    if (sent) {
      left = co_await read_answer(*stream, authority);
    } else {
      left = Error(sent.error());
    }
    co_await deadline.join();
  } catch (...) {
    cancelled = std::current_exception();
  }
  if (cancelled) {
    co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
    co_await deadline.join();
    std::rethrow_exception(cancelled);
  }
  if (fired) co_return service_unavailable(fmt::format("proxy did not answer CONNECT {}: i/o timeout", authority));
  if (!left) co_return Error(std::move(left).error());
  if (left->empty()) co_return std::move(stream);
  StreamPtr out = std::make_unique<AfterHead>(std::move(stream), std::move(*left));
  co_return out;
}

}  // namespace redoubt::net
