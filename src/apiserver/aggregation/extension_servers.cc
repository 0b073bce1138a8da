#include "apiserver/aggregation/extension_servers.h"

#include <openssl/evp.h>

#include <atomic>

#include "apiserver/webhook/caller.h"
#include "base/encoding.h"
#include "base/log.h"
#include "net/tls.h"

namespace redoubt::apiserver {

namespace {

constexpr std::string_view kDialFailed = "DialFailed";

// Clients are kept by what they trust and what they show.
std::string digest(const std::string& ca, const std::string& certificate) {
  std::string all = fmt::format("{}:{}{}", ca.size(), ca, certificate);
  unsigned char out[32];
  EVP_Digest(all.data(), all.size(), out, nullptr, EVP_sha256(), nullptr);
  return hex_encode({reinterpret_cast<char*>(out), sizeof out});
}

Task<Result<net::StreamPtr>> dial(egress::Dialer* dialer, egress::Target target, std::string service) {
  std::string node = target.node, address = target.address.to_string();
  auto stream = co_await dialer->dial(egress::PathId::ApiserverWebhook, std::move(target));
  if (!stream) co_return Error(Status(stream.error().code(), std::string(kDialFailed), stream.error().message()));
  log_info("connection opened", {{"path", path_name(egress::PathId::ApiserverWebhook)},
                                 {"apiservice", service},
                                 {"node", node},
                                 {"address", address}});
  co_return stream;
}

}  // namespace

bool ExtensionServers::was_not_reached(const Status& status) {
  return status.is(kDialFailed);
}

Result<std::vector<std::shared_ptr<net::HttpClient>>> ExtensionServers::clients(Executor executor,
                                                                                const ApiService& service) {
  if (!service.objection.empty()) return service_unavailable(service.objection);
  static std::atomic<size_t> turn{0};
  RD_TRY(auto endpoints,
         ready_endpoints(store_, service.service_namespace, service.service_name, service.port, turn.fetch_add(1)));
  auto [certificate, key] = identity_();
  std::string host = service.host(), trust = digest(service.ca_pem, certificate);
  std::vector<std::shared_ptr<net::HttpClient>> out;
  for (const ServiceEndpoint& endpoint : endpoints) {
    std::string id = fmt::format("{} {} {} {}", host, endpoint.node, endpoint.address.to_string(), trust);
    RD_TRY(auto client, pool_.get(executor, id, [&]() -> Result<net::HttpClient::Options> {
      net::TlsClientContext::Options tls;
      tls.ca_pem = service.ca_pem;
      tls.certificate_pem = certificate;
      tls.private_key_pem = key;
      net::HttpClient::Options options;
      RD_TRY(options.tls, net::TlsClientContext::make(std::move(tls)));
      options.host = host;
      egress::Target to;
      to.node = endpoint.node;
      to.address = endpoint.address;
      options.dial = [dialer = &dialer_, to, name = service.name]() -> Task<Result<net::StreamPtr>> {
        return dial(dialer, to, name);
      };
      return options;
    }));
    out.push_back(std::move(client));
  }
  return out;
}

}  // namespace redoubt::apiserver
