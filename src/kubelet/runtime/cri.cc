#include "kubelet/runtime/cri.h"

namespace redoubt::kubelet {

namespace {

std::unique_ptr<net::HttpClient> dial(Executor executor, const std::string& path) {
  net::HttpClient::Options options;
  options.dial = [path] { return net::unix_connect(path, std::chrono::seconds(5)); };
  options.host = "localhost";
  options.http2_prior_knowledge = true;
  return net::HttpClient::make(executor, std::move(options));
}

}  // namespace

Runtime::Runtime(Executor executor, std::string socket_path) : grpc_(dial(executor, socket_path)) {}

Task<Result<std::string>> Runtime::unary(std::string method, std::string request, std::chrono::milliseconds timeout) {
  co_return co_await grpc_.unary("/runtime.v1." + method, std::move(request), timeout);
}

}  // namespace redoubt::kubelet
