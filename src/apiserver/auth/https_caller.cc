#include "apiserver/auth/https_caller.h"

#include <boost/asio/experimental/awaitable_operators.hpp>

#include "apiserver/auth/limits.h"
#include "base/blocking.h"
#include "client/client.h"
#include "net/http_client.h"
#include "pki/certificate.h"

namespace redoubt::apiserver {

namespace {

// A dial alone; the call's own deadline is usually shorter.
constexpr std::chrono::seconds kDialTimeout{10};
constexpr std::chrono::minutes kTokenFileAge{1};

class Caller : public HttpsCaller {
 public:
  Caller(Executor loop, Options options, HttpsUrl url, std::shared_ptr<net::TlsClientContext> tls)
      : options_(std::move(options)), target_(url.path.empty() ? "/" : url.path) {
    net::HttpClient::Options http;
    http.dial = [dial = options_.dial ? options_.dial : direct_dial(), to = url.address] { return dial(to); };
    http.host = url.address.to_string();
    http.tls = std::move(tls);
    client_ = net::HttpClient::make(loop, std::move(http));
  }

  Task<Result<HttpsAnswer>> call(std::string method, std::string body) override {
    using namespace boost::asio::experimental::awaitable_operators;
    auto first = co_await (exchange(std::move(method), std::move(body)) || sleep_for(options_.timeout));
    if (auto* answer = std::get_if<0>(&first)) co_return std::move(*answer);
    co_return service_unavailable(
        fmt::format("no answer from {} within {} ms", options_.url, options_.timeout.count()));
  }

 private:
  Task<Result<HttpsAnswer>> exchange(std::string method, std::string body) {
    net::ClientRequest request;
    request.method = std::move(method);
    request.target = target_;
    request.header_timeout = options_.timeout;
    request.headers = {{"accept", "application/json"}, {"user-agent", "redoubt"}};
    if (!body.empty()) {
      request.headers.add("content-type", "application/json");
      request.body.push_back(Bytes::take(std::move(body)));
    }
    if (!options_.bearer_token_file.empty()) {
      auto present = std::chrono::steady_clock::now();
      if (options_.bearer_token.empty() || present - token_read_ > kTokenFileAge) {
        auto text = co_await run_blocking([path = options_.bearer_token_file] { return pki::read_file(path); });
        if (text) options_.bearer_token = *text;
        while (!options_.bearer_token.empty() &&
               (options_.bearer_token.back() == '\n' || options_.bearer_token.back() == ' '))
          options_.bearer_token.pop_back();
        token_read_ = present;
      }
    }
    if (!options_.bearer_token.empty()) request.headers.add("authorization", "Bearer " + options_.bearer_token);
    auto response = co_await client_->send(std::move(request));
    if (!response) co_return Error(response.error().with_context(options_.url));
    HttpsAnswer out;
    out.status = response->status;
    out.headers = std::move(response->headers);
    auto text = co_await net::read_body(*response->body, kMaxAnswerBytes);
    if (!text) co_return Error(text.error().with_context(options_.url));
    out.body = std::move(*text);
    co_return out;
  }

  Options options_;
  std::string target_;
  std::chrono::steady_clock::time_point token_read_{};
  std::unique_ptr<net::HttpClient> client_;
};

}  // namespace

Dial direct_dial() {
  return [](net::Address to) { return net::tcp_connect(std::move(to), kDialTimeout); };
}

Result<HttpsUrl> parse_https_url(std::string_view url) {
  constexpr std::string_view kScheme = "https://";
  if (!url.starts_with(kScheme)) return bad_request("URL scheme must be https");
  std::string_view rest = url.substr(kScheme.size());
  if (rest.find('#') != std::string_view::npos) return bad_request("URL must not contain a fragment");
  if (rest.find('?') != std::string_view::npos) return bad_request("URL must not contain a query");
  for (char c : rest) {
    if (static_cast<unsigned char>(c) <= ' ' || c == '\x7f')
      return bad_request("URL must not contain blanks or control characters");
  }
  size_t slash = rest.find('/');
  std::string_view authority = rest.substr(0, slash);
  if (authority.find('@') != std::string_view::npos) return bad_request("URL must not contain a username or password");
  HttpsUrl out;
  out.authority = authority;
  out.path = slash == std::string_view::npos ? "" : rest.substr(slash);
  bool has_port = authority.find(':') != std::string_view::npos && !authority.ends_with(']');
  auto address = net::parse_address(has_port ? std::string(authority) : std::string(authority) + ":443");
  if (!address || address->host.empty()) return bad_request("URL must name a host");
  out.address = std::move(*address);
  return out;
}

Result<std::unique_ptr<HttpsCaller>> HttpsCaller::make(Executor loop, Options options) {
  RD_TRY(HttpsUrl url, parse_https_url(options.url));
  net::TlsClientContext::Options tls;
  tls.ca_pem = options.ca_pem;
  tls.certificate_pem = options.certificate_pem;
  tls.private_key_pem = options.private_key_pem;
  tls.server_name = options.server_name.empty() ? url.address.host : options.server_name;
  RD_TRY(auto context, net::TlsClientContext::make(std::move(tls)));
  return std::make_unique<Caller>(loop, std::move(options), std::move(url), std::move(context));
}

Result<HttpsCaller::Options> https_options_of_kubeconfig(const std::string& path) {
  RD_TRY(client::Config config, client::load_kubeconfig(path));
  HttpsCaller::Options out;
  out.url = std::move(config.server);
  if (auto url = parse_https_url(out.url); !url)
    return Error(url.error().with_context(fmt::format("{}: server \"{}\"", path, out.url)));
  out.ca_pem = std::move(config.ca_pem);
  out.certificate_pem = std::move(config.certificate_pem);
  out.private_key_pem = std::move(config.private_key_pem);
  out.bearer_token = std::move(config.bearer_token);
  out.bearer_token_file = std::move(config.bearer_token_file);
  out.server_name = std::move(config.tls_server_name);
  return out;
}

}  // namespace redoubt::apiserver
