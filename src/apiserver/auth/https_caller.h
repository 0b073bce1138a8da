// Calls that the API server makes to others over HTTPS: webhooks and issuers of tokens. The other end is always
// verified, by the authorities given or the system's; the whole call has a deadline, the answer a bound.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/status.h"
#include "base/task.h"
#include "net/http.h"
#include "net/stream.h"
#include "net/tcp.h"

namespace redoubt::apiserver {

// Opens a transport: the path apiserver-webhook's dialer, or straight (see direct_dial).
using Dial = std::function<Task<Result<net::StreamPtr>>(net::Address)>;
Dial direct_dial();

// "https://host[:port]/path": BadRequest for anything else (user names, queries and fragments too).
struct HttpsUrl {
  net::Address address;
  std::string authority;  // host[:port] as written
  std::string path;       // begins with '/', or empty
};
Result<HttpsUrl> parse_https_url(std::string_view url);

struct HttpsAnswer {
  int status = 0;
  net::Headers headers;
  std::string body;
};

class HttpsCaller {
 public:
  struct Options {
    std::string url;                               // of the other end; calls go to it
    std::string ca_pem;                            // empty: the system's authorities
    std::string certificate_pem, private_key_pem;  // the client's own, may be empty
    std::string bearer_token, bearer_token_file;   // the file is read anew each minute
    std::string server_name;                       // when it differs from the URL's host
    std::chrono::milliseconds timeout{10'000};     // a whole call
    Dial dial;
  };
  // `loop`: where calls are made and connections kept. BadRequest says what is wrong with the options.
  static Result<std::unique_ptr<HttpsCaller>> make(Executor loop, Options options);
  virtual ~HttpsCaller() = default;
  // On the loop. ServiceUnavailable when there was no answer (message says why), also after the deadline.
  virtual Task<Result<HttpsAnswer>> call(std::string method, std::string body) = 0;
};

// The options of a kubeconfig's current context.
Result<HttpsCaller::Options> https_options_of_kubeconfig(const std::string& path);

}  // namespace redoubt::apiserver
