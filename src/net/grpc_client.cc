#include "net/grpc_client.h"

namespace redoubt::net {

namespace {

constexpr size_t kMaxMessageBytes = 16 * 1024 * 1024;  // containerd's own limit

Bytes frame(std::string_view message) {
  std::string out(5, '\0');
  auto size = static_cast<uint32_t>(message.size());
  for (int i = 0; i < 4; ++i) out[1 + i] = static_cast<char>(size >> (24 - 8 * i));
  out += message;
  return Bytes::take(std::move(out));
}

Error grpc_error(int code, std::string message) {
  struct Row {
    int http;
    const char* reason;
  };
  static constexpr Row kRows[] = {{200, ""},
                                  {499, "Canceled"},
                                  {500, "Unknown"},
                                  {400, "BadRequest"},
                                  {504, "Timeout"},
                                  {404, "NotFound"},
                                  {409, "AlreadyExists"},
                                  {403, "Forbidden"},
                                  {429, "TooManyRequests"},
                                  {412, "FailedPrecondition"},
                                  {409, "Aborted"},
                                  {400, "OutOfRange"},
                                  {501, "Unimplemented"},
                                  {500, "InternalError"},
                                  {503, "ServiceUnavailable"},
                                  {500, "DataLoss"},
                                  {401, "Unauthorized"}};
  const Row& row = code >= 0 && code < 17 ? kRows[code] : kRows[2];
  return Error(Status(row.http, row.reason, std::move(message)));
}

// The call's status from trailers, or from headers when the server sent nothing else.
Result<void> status_from(const Headers& headers) {
  auto code_text = headers.get("grpc-status");
  if (!code_text) return service_unavailable("the server sent no gRPC status");
  int code = 2;
  std::from_chars(code_text->data(), code_text->data() + code_text->size(), code);
  if (code == 0) return {};
  auto message = percent_decode(headers.get("grpc-message").value_or(""));
  return grpc_error(code, message.value_or("unreadable message"));
}

class MessageStream : public GrpcClient::ServerStream {
 public:
  explicit MessageStream(ClientResponse response) : response_(std::move(response)) {}

  Task<Result<std::optional<std::string>>> next() override {
    while (true) {
      if (buffer_.size() >= 5) {
        uint32_t size = 0;
        for (int i = 0; i < 4; ++i) size = size << 8 | static_cast<uint8_t>(buffer_[1 + i]);
        if (buffer_[0] != 0) co_return internal_error("a compressed gRPC message, which was not asked for");
        if (size > kMaxMessageBytes)
          co_return request_entity_too_large(fmt::format("a gRPC message of {} bytes", size));
        if (buffer_.size() >= 5 + size) {
          std::string message = buffer_.substr(5, size);
          buffer_.erase(0, 5 + size);
          co_return std::optional<std::string>(std::move(message));
        }
      }
      RD_CO_TRY(Bytes piece, co_await response_.body->read_some());
      if (piece.empty()) {
        if (!buffer_.empty()) co_return service_unavailable("the gRPC stream ended within a message");
        Headers trailers = response_.trailers();
        RD_CO_TRYV(status_from(trailers.has("grpc-status") ? trailers : response_.headers));
        co_return std::optional<std::string>();
      }
      buffer_ += piece.view();
    }
  }

 private:
  ClientResponse response_;
  std::string buffer_;
};

}  // namespace

Task<Result<std::unique_ptr<GrpcClient::ServerStream>>> GrpcClient::server_stream(std::string method,
                                                                                  std::string request) {
  ClientRequest call;
  call.method = "POST";
  call.target = std::move(method);
  call.headers = {{"content-type", "application/grpc"}, {"te", "trailers"}, {"user-agent", "redoubt"}};
  call.body.push_back(frame(request));
  call.header_timeout = std::chrono::milliseconds(0);
  RD_CO_TRY(ClientResponse response, co_await http_->send(std::move(call)));
  if (response.status != 200) co_return service_unavailable(fmt::format("gRPC: HTTP status {}", response.status));
  std::unique_ptr<ServerStream> out = std::make_unique<MessageStream>(std::move(response));
  co_return out;
}

Task<Result<std::string>> GrpcClient::unary(std::string method, std::string request, std::chrono::milliseconds limit) {
  // The deadline goes along; the server ends the call, and so do we.
  ClientRequest call;
  call.method = "POST";
  call.target = method;
  call.headers = {{"content-type", "application/grpc"},
                  {"te", "trailers"},
                  {"user-agent", "redoubt"},
                  {"grpc-timeout", fmt::format("{}m", limit.count())}};
  call.body.push_back(frame(request));
  call.header_timeout = limit + std::chrono::milliseconds(500);
  RD_CO_TRY(ClientResponse response, co_await http_->send(std::move(call)));
  if (response.status != 200) co_return service_unavailable(fmt::format("gRPC: HTTP status {}", response.status));
  MessageStream stream(std::move(response));
  RD_CO_TRY(std::optional<std::string> first, co_await stream.next());
  if (!first) co_return internal_error("gRPC: an answer without a message");
  RD_CO_TRY(std::optional<std::string> second, co_await stream.next());
  if (second) co_return internal_error("gRPC: more than one message");
  co_return std::move(*first);
}

}  // namespace redoubt::net
