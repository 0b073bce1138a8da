#include "paths/asker.h"

#include "paths/limits.h"
#include "pki/certificate.h"

namespace redoubt::paths {

Result<std::unique_ptr<Asker>> Asker::make(Executor executor, client::Config config) {
  std::string_view rest = std::string_view(config.server).substr(8);
  rest = rest.substr(0, rest.find('/'));
  bool has_port = rest.find(':') != std::string_view::npos && !rest.ends_with(']');
  RD_TRY(net::Address address, net::parse_address(has_port ? std::string(rest) : std::string(rest) + ":443"));
  net::TlsClientContext::Options tls;
  tls.ca_pem = config.ca_pem;
  tls.certificate_pem = config.certificate_pem;
  tls.private_key_pem = config.private_key_pem;
  tls.server_name = config.tls_server_name;
  net::HttpClient::Options options;
  RD_TRY(options.tls, net::TlsClientContext::make(std::move(tls)));
  options.host = address.to_string();
  options.dial = [address] { return net::tcp_connect(address, kDialTimeout); };
  return std::unique_ptr<Asker>(
      new Asker(std::move(config), net::HttpClient::make(std::move(executor), std::move(options))));
}

Task<Reply> Asker::ask(std::string method, std::string target, net::Headers headers, std::string body) {
  std::string token = config_.bearer_token;
  if (token.empty() && !config_.bearer_token_file.empty()) {
    if (auto file = pki::read_file(config_.bearer_token_file)) token = *file;
    while (!token.empty() && (token.back() == '\n' || token.back() == ' ')) token.pop_back();
  }
  if (!token.empty()) headers.set("authorization", "Bearer " + token);
  headers.set("accept", "application/json");
  net::ClientRequest request;
  request.method = std::move(method);
  request.target = std::move(target);
  request.headers = std::move(headers);
  if (!body.empty()) request.body.push_back(Bytes::take(std::move(body)));
  auto response = co_await http_->send(std::move(request));
  if (!response) co_return Reply{0, "", response.error().message()};
  Reply out;
  out.status = response->status;
  out.verification = response->headers.get("redoubt-proxy-verification").value_or("");
  while (out.body.size() < kAnswerBytes) {
    auto piece = co_await response->body->read_some();
    if (!piece || piece->empty()) break;
    out.body += piece->view();
  }
  co_return out;
}

}  // namespace redoubt::paths
