// Requests with headers of one's own (impersonation, dry runs), by verified TLS and with the client's own credential;
// every answer is an answer, whatever its status. Belongs to one loop.
#pragma once
#include <memory>
#include <string>

#include "client/client.h"
#include "net/http_client.h"

namespace redoubt::paths {

struct Reply {
  int status = 0;            // 0: none came
  std::string verification;  // of a proxied answer: Redoubt-Proxy-Verification
  std::string body;          // its beginning, or why there is none
};

class Asker {
 public:
  // BadRequest when the configuration makes no TLS context.
  static Result<std::unique_ptr<Asker>> make(Executor executor, client::Config config);
  Task<Reply> ask(std::string method, std::string target, net::Headers headers = {}, std::string body = {});

 private:
  Asker(client::Config config, std::unique_ptr<net::HttpClient> http)
      : config_(std::move(config)), http_(std::move(http)) {}
  client::Config config_;
  std::unique_ptr<net::HttpClient> http_;
};

}  // namespace redoubt::paths
