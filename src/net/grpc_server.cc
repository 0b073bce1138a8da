#include "net/grpc_server.h"

#include "base/deadline.h"
#include "base/log.h"
#include "net/http2.h"

namespace redoubt::net {

namespace {

class Call : public GrpcCall {
 public:
  Call(Request request, Responder& responder, size_t max_message_bytes)
      : request_(std::move(request)), responder_(responder), reader_(max_message_bytes) {}

  const Headers& metadata() const override { return request_.headers; }
  const ConnectionInfo& connection() const override { return *request_.connection; }

  Task<Result<std::optional<Bytes>>> next() override { return reader_.next(*request_.body); }

  Task<Result<void>> send_headers(Headers metadata) override {
    if (responder_.started()) co_return internal_error("gRPC headers were sent twice");
    metadata.add("content-type", "application/grpc");
    RD_CO_TRY(writer_, co_await responder_.start(200, std::move(metadata)));
    co_return Result<void>{};
  }

  void widen_window(int32_t bytes) override { widen_http2_window(*request_.body, bytes); }
  std::shared_ptr<const std::atomic<int64_t>> round_trip_us() const override {
    return http2_round_trip_us(*request_.body);
  }

  Task<Result<void>> write(BytesList message) override {
    if (!responder_.started()) RD_CO_TRYV(co_await send_headers({}));
    if (!writer_) co_return service_unavailable("the gRPC call could not be answered");
    co_return co_await writer_->write(grpc_frame(std::move(message)));
  }

  // Ends the call with a status: in trailers, or alone when nothing was sent before.
  Task<void> end(Result<void> outcome) {
    Headers trailers = grpc_trailers(outcome);
    if (writer_) {
      (void)co_await writer_->finish(std::move(trailers));
    } else if (!responder_.started()) {
      trailers.add("content-type", "application/grpc");
      (void)co_await responder_.send(200, std::move(trailers), {});
    }
  }

 private:
  Request request_;
  Responder& responder_;
  GrpcMessageReader reader_;
  std::unique_ptr<BodyWriter> writer_;
};

Task<void> run_method(GrpcMethod method, Call& call, std::optional<Result<void>>& outcome) {
  outcome = co_await method(call);
}

// The method within the deadline that the client gave.
Task<Result<void>> run_until(std::chrono::nanoseconds limit, GrpcMethod method, Call& call) {
  std::optional<Result<void>> outcome;
  co_await finish_within(limit, run_method(std::move(method), call, outcome));
  if (!outcome) co_return grpc_error(GrpcCode::DeadlineExceeded, "context deadline exceeded");
  co_return std::move(*outcome);
}

Task<void> handle(std::shared_ptr<const GrpcServerOptions> options, Handler other, Request request,
                  Responder& responder) {
  auto type = request.headers.get("content-type");
  bool is_grpc =
      request.method == "POST" && type &&
      (*type == "application/grpc" || type->starts_with("application/grpc+") || type->starts_with("application/grpc;"));
  if (!is_grpc) {
    if (other) {
      co_await other(std::move(request), responder);
    } else {
      (void)co_await responder.send(415, {}, {});
    }
    co_return;
  }
  auto found = options->methods.find(request.path);
  std::optional<std::chrono::nanoseconds> limit;
  bool bad_limit = false;
  if (auto text = request.headers.get("grpc-timeout")) {
    limit = parse_grpc_timeout(*text);
    bad_limit = !limit;
  }
  std::string path = request.path;
  Call call(std::move(request), responder, options->max_message_bytes);
  Result<void> outcome;
  if (found == options->methods.end()) {
    outcome = grpc_error(GrpcCode::Unimplemented, fmt::format("unknown method {}", path));
  } else if (bad_limit) {
    outcome = grpc_error(GrpcCode::Internal, "malformed grpc-timeout");
  } else if (limit) {
    outcome = co_await run_until(*limit, found->second, call);
  } else {
    outcome = co_await found->second(call);
  }
  co_await call.end(std::move(outcome));
}

}  // namespace

Handler make_grpc_handler(GrpcServerOptions options, Handler other) {
  auto shared = std::make_shared<const GrpcServerOptions>(std::move(options));
  return [shared, other = std::move(other)](Request request, Responder& responder) {
    return handle(shared, other, std::move(request), responder);
  };
}

}  // namespace redoubt::net
