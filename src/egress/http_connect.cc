#include "egress/http_connect.h"

#include "dial/http_connect.h"
#include "net/tcp.h"

namespace redoubt::egress {

namespace {

class HttpConnectDialer : public Dialer {
 public:
  explicit HttpConnectDialer(HttpConnectOptions options) : options_(std::move(options)) {}

  Task<Result<net::StreamPtr>> dial(PathId path, Target target, DialOptions options) override {
    if (options.require_confidential) {
      Way w = way(path, target);
      if (!w.confidential) co_return not_confidential(path, target, w);
    }
    Result<net::StreamPtr> stream = service_unavailable("");
    if (options_.unix_path.empty()) {
      stream = co_await net::tcp_connect(options_.address, options.timeout);
    } else {
      stream = co_await net::unix_connect(options_.unix_path, options.timeout);
    }
    if (!stream) co_return Error(stream.error().with_context("proxy"));
    if (options_.tls) {
      auto tls = co_await net::tls_connect(std::move(*stream), options_.tls, options_.address.host, true);
      if (!tls) co_return Error(tls.error().with_context("proxy"));
      stream = std::move(tls->stream);
    }
    co_return co_await net::http_connect(std::move(*stream), target.address.to_string(), "", options.timeout);
  }

  // The proxy's agents connect to it by TLS; the hop to the proxy is what may be plain.
  Way way(PathId, const Target&) const override {
    Way out;
    out.kind = "httpconnect";
    out.confidential = options_.tls != nullptr || !options_.unix_path.empty();
    if (!out.confidential)
      out.why_not = "the way to the proxy is plain http; configure its https:// URL with a tlsConfig";
    return out;
  }

 private:
  HttpConnectOptions options_;
};

}  // namespace

std::unique_ptr<Dialer> make_http_connect_dialer(HttpConnectOptions options) {
  return std::make_unique<HttpConnectDialer>(std::move(options));
}

}  // namespace redoubt::egress
