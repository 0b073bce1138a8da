// Calls to the container runtime (CRI v1) over its unix socket. Belongs to one loop.
#pragma once
#include <memory>
#include <string>

#include "base/status.h"
#include "base/task.h"
#include "cri/cri.pb.h"
#include "net/grpc_client.h"

namespace redoubt::kubelet {

namespace cri = ::runtime::v1;

class Runtime {
 public:
  Runtime(Executor executor, std::string socket_path);

  // One method a call: Runtime.call<cri::StatusResponse>("RuntimeService/Status", request). Errors carry the runtime's
  // message.
  template <class Response, class Request>
  Task<Result<Response>> call(const char* method, Request request,
                              std::chrono::milliseconds timeout = std::chrono::seconds(30)) {
    RD_CO_TRY(std::string bytes, co_await unary(method, request.SerializeAsString(), timeout));
    Response response;
    if (!response.ParseFromString(bytes))
      co_return internal_error(std::string("the runtime's answer can't be read: ") + method);
    co_return response;
  }

 private:
  Task<Result<std::string>> unary(std::string method, std::string request, std::chrono::milliseconds timeout);
  net::GrpcClient grpc_;
};

}  // namespace redoubt::kubelet
