// The API server's side of a proxy server elsewhere: ProxyService by gRPC, one stream a connection, over one HTTP/2
// connection a loop. Works with upstream's proxy server and ours.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "net/grpc_client.h"
#include "net/tcp.h"
#include "net/tls.h"

namespace redoubt::konnectivity {

// Any loop: a stream belongs to the loop that dialled. Must outlive its dials, not its streams; destroyed after the
// loops that used it have stopped, or on the one that did.
class ProxyClient {
 public:
  struct Options {
    std::string uds_name;                        // a unix socket; or
    net::Address server;                         // TCP, with
    std::shared_ptr<net::TlsClientContext> tls;  // none: plain text, for unix sockets and tests only
    std::string user_agent = "redoubt";
  };
  explicit ProxyClient(Options options);
  ~ProxyClient();

  // Asks for a connection to "host:port". Errors: the server's or the agent's own words, as ServiceUnavailable;
  // Timeout. A direction ends alone only where the server knows how; else shutdown_write() says nothing and both end
  // together.
  Task<Result<net::StreamPtr>> dial(std::string address, std::chrono::milliseconds timeout);

 private:
  std::shared_ptr<net::GrpcClient> client_of(Executor executor);

  Options options_;
  std::mutex mutex_;
  std::map<const void*, std::shared_ptr<net::GrpcClient>> clients_;  // by loop
};

}  // namespace redoubt::konnectivity
