#include "net/grpc_client.h"

#include "net/http2.h"

namespace redoubt::net {

namespace {

// The CRI's own limit (containerd's and the kubelet's).
constexpr size_t kMaxUnaryMessageBytes = 16 * 1024 * 1024;

BytesList one(std::string message) {
  BytesList out;
  out.push_back(Bytes::take(std::move(message)));
  return out;
}

Headers call_headers(Headers metadata) {
  Headers out{{"content-type", "application/grpc"}, {"te", "trailers"}};
  if (!metadata.has("user-agent")) out.add("user-agent", "redoubt");
  for (const auto& [name, value] : metadata) out.add(name, value);
  return out;
}

Result<void> end_of(const ClientResponse& response) {
  Headers trailers = response.trailers();
  return grpc_status_from(trailers.has("grpc-status") ? trailers : response.headers);
}

// A proxy in between, or a server that speaks no gRPC.
Result<void> check_response(const ClientResponse& response) {
  if (response.status != 200) return service_unavailable(fmt::format("gRPC: HTTP status {}", response.status));
  return {};
}

class MessageStream : public GrpcClient::ServerStream {
 public:
  explicit MessageStream(ClientResponse response) : response_(std::move(response)), reader_(kMaxUnaryMessageBytes) {}

  Task<Result<std::optional<std::string>>> next() override {
    RD_CO_TRY(std::optional<Bytes> message, co_await reader_.next(*response_.body));
    if (message) co_return std::optional<std::string>(message->str());
    RD_CO_TRYV(end_of(response_));
    co_return std::optional<std::string>();
  }

 private:
  ClientResponse response_;
  GrpcMessageReader reader_;
};

class Duplex : public GrpcClientStream {
 public:
  Duplex(std::unique_ptr<DuplexCall> call, size_t max_message_bytes)
      : call_(std::move(call)), reader_(max_message_bytes) {}

  Task<Result<Headers>> headers(std::chrono::milliseconds timeout) override {
    RD_CO_TRYV(co_await respond(timeout));
    // Headers that end the call say why.
    if (response_->headers.has("grpc-status")) RD_CO_TRYV(grpc_status_from(response_->headers));
    co_return response_->headers;
  }

  Task<Result<std::optional<Bytes>>> next() override {
    RD_CO_TRYV(co_await respond(std::chrono::milliseconds(0)));
    RD_CO_TRY(std::optional<Bytes> message, co_await reader_.next(*response_->body));
    if (!message) RD_CO_TRYV(end_of(*response_));
    co_return message;
  }

  Task<Result<void>> write(BytesList message) override { return call_->write(grpc_frame(std::move(message))); }
  void ping_every(std::chrono::milliseconds interval) override {
    if (response_) ping_http2_every(*response_->body, interval);
  }
  void finish_writing() override { call_->finish(); }
  void cancel() noexcept override { call_->cancel(); }

 private:
  Task<Result<void>> respond(std::chrono::milliseconds timeout) {
    if (response_) co_return Result<void>{};
    RD_CO_TRY(response_, co_await call_->response(timeout));
    co_return check_response(*response_);
  }

  std::unique_ptr<DuplexCall> call_;
  std::optional<ClientResponse> response_;
  GrpcMessageReader reader_;
};

}  // namespace

Task<Result<std::unique_ptr<GrpcClient::ServerStream>>> GrpcClient::server_stream(std::string method,
                                                                                  std::string request) {
  ClientRequest call;
  call.method = "POST";
  call.target = std::move(method);
  call.headers = call_headers({});
  call.body = grpc_frame(one(std::move(request)));
  call.header_timeout = std::chrono::milliseconds(0);
  RD_CO_TRY(ClientResponse response, co_await http_->send(std::move(call)));
  RD_CO_TRYV(check_response(response));
  std::unique_ptr<ServerStream> out = std::make_unique<MessageStream>(std::move(response));
  co_return out;
}

Task<Result<std::string>> GrpcClient::unary(std::string method, std::string request, std::chrono::milliseconds limit) {
  // The deadline goes along; the server ends the call, and so do we.
  ClientRequest call;
  call.method = "POST";
  call.target = method;
  call.headers = call_headers({{"grpc-timeout", fmt::format("{}m", limit.count())}});
  call.body = grpc_frame(one(std::move(request)));
  call.header_timeout = limit + std::chrono::milliseconds(500);
  RD_CO_TRY(ClientResponse response, co_await http_->send(std::move(call)));
  RD_CO_TRYV(check_response(response));
  MessageStream stream(std::move(response));
  RD_CO_TRY(std::optional<std::string> first, co_await stream.next());
  if (!first) co_return internal_error("gRPC: an answer without a message");
  RD_CO_TRY(std::optional<std::string> second, co_await stream.next());
  if (second) co_return internal_error("gRPC: more than one message");
  co_return std::move(*first);
}

Task<Result<std::unique_ptr<GrpcClientStream>>> GrpcClient::open(std::string method, Headers metadata,
                                                                 size_t max_message_bytes) {
  ClientRequest call;
  call.method = "POST";
  call.target = std::move(method);
  call.headers = call_headers(std::move(metadata));
  RD_CO_TRY(auto duplex, co_await http_->open(std::move(call)));
  std::unique_ptr<GrpcClientStream> out = std::make_unique<Duplex>(std::move(duplex), max_message_bytes);
  co_return out;
}

}  // namespace redoubt::net
