#include "apiserver/webhook/caller.h"

#include <openssl/evp.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/this_coro.hpp>
#include <charconv>

#include "apiserver/proxy/limits.h"
#include "base/deadline.h"
#include "base/encoding.h"
#include "base/log.h"
#include "net/tls.h"
#include "schema/k8s/core_v1.h"
#include "schema/k8s/discovery_v1.h"
#include "schema/typed.h"

namespace redoubt::apiserver {

namespace {

// What a webhook may answer: a patch of the largest object that the API takes, in base64, and room to say why.
constexpr size_t kMaxAnswerBytes = 8 << 20;
constexpr size_t kMaxErrorBytes = 1024;
constexpr std::string_view kDialFailed = "DialFailed";

std::string digest(const WebhookTarget& t) {
  std::string all = fmt::format("{}:{}{}:{}{}:{}", t.ca_pem.size(), t.ca_pem, t.certificate_pem.size(),
                                t.certificate_pem, t.private_key_pem.size(), t.private_key_pem);
  unsigned char out[32];
  EVP_Digest(all.data(), all.size(), out, nullptr, EVP_sha256(), nullptr);
  return hex_encode({reinterpret_cast<char*>(out), sizeof out});
}

Task<Result<net::StreamPtr>> dial(egress::Dialer* dialer, egress::Target target) {
  std::string node = target.node, address = target.address.to_string();
  auto stream = co_await dialer->dial(egress::PathId::ApiserverWebhook, std::move(target));
  if (stream)
    log_info("connection opened",
             {{"path", path_name(egress::PathId::ApiserverWebhook)}, {"node", node}, {"address", address}});
  if (!stream) co_return Error(Status(stream.error().code(), std::string(kDialFailed), stream.error().message()));
  co_return stream;
}

}  // namespace

Result<std::vector<ServiceEndpoint>> ready_endpoints(const store::Store& store, std::string_view ns,
                                                     std::string_view name, uint16_t port, size_t seed) {
  auto stored = store.snapshot("services/specs")->find(fmt::format("/registry/services/specs/{}/{}", ns, name));
  if (!stored) return not_found({"", "services"}, name);
  RD_TRY(auto service, schema::from_json<k8s::core::v1::Service>(stored->json));
  auto wanted = std::ranges::find_if(service.spec.ports, [&](const auto& p) { return p.port == port; });
  if (wanted == service.spec.ports.end())
    return service_unavailable(fmt::format("no service port {} found for service \"{}\"", port, name));
  std::vector<ServiceEndpoint> out;
  store.snapshot("endpointslices")
      ->visit(fmt::format("/registry/endpointslices/{}/", ns), {}, [&](const store::ObjectPtr& object) {
        bool of_service = std::ranges::any_of(object->labels, [&](const auto& label) {
          return label.first == "kubernetes.io/service-name" && label.second == name;
        });
        if (!of_service) return true;
        auto slice = schema::from_json<k8s::discovery::v1::EndpointSlice>(object->json);
        if (!slice || slice->addressType == "FQDN") return true;
        for (const auto& p : slice->ports) {
          if (p.name.value_or("") != wanted->name || !p.port || *p.port < 1 || *p.port > 65535) continue;
          for (const auto& endpoint : slice->endpoints) {
            if (!endpoint.conditions.ready.value_or(true) || endpoint.addresses.empty()) continue;
            out.push_back({endpoint.nodeName.value_or(""), {endpoint.addresses[0], static_cast<uint16_t>(*p.port)}});
          }
          break;
        }
        return true;
      });
  if (out.empty()) return service_unavailable(fmt::format("no endpoints available for service \"{}\"", name));
  std::ranges::rotate(out, out.begin() + static_cast<ptrdiff_t>(seed % out.size()));
  if (out.size() > kMaxEndpointTries) out.resize(kMaxEndpointTries);
  return out;
}

Result<std::vector<WebhookCaller::Place>> WebhookCaller::places(const WebhookTarget& target) {
  std::vector<Place> out;
  if (!target.url.empty()) {
    std::string_view rest = target.url;
    if (!rest.starts_with("https://")) return bad_request("the webhook's URL is no https URL");
    rest.remove_prefix(8);
    size_t slash = rest.find('/');
    std::string host(rest.substr(0, slash));
    Place place;
    place.path = slash == std::string_view::npos ? "/" : std::string(rest.substr(slash));
    auto address = net::parse_address(host);
    if (!address) address = net::parse_address(host + ":443");
    if (!address) return bad_request("the webhook's URL names no host");
    place.address = *address;
    place.host = host;
    out.push_back(std::move(place));
    return out;
  }
  static std::atomic<size_t> turn{0};
  RD_TRY(auto endpoints,
         ready_endpoints(store_, target.service_namespace, target.service_name, target.port, turn.fetch_add(1)));
  for (ServiceEndpoint& endpoint : endpoints) {
    Place place;
    place.host = fmt::format("{}.{}.svc:{}", target.service_name, target.service_namespace, target.port);
    place.path = target.path.empty() ? "/" : target.path;
    place.node = std::move(endpoint.node);
    place.address = std::move(endpoint.address);
    place.in_cluster = true;
    out.push_back(std::move(place));
  }
  return out;
}

Task<Result<std::string>> WebhookCaller::post_to(Place place, WebhookTarget target, std::string body,
                                                 std::chrono::milliseconds timeout) {
  auto executor = co_await boost::asio::this_coro::executor;
  std::string key = fmt::format("{} {} {} {}", place.host, place.node, place.address.to_string(), digest(target));
  auto client = pool_.get(executor, key, [&]() -> Result<net::HttpClient::Options> {
    net::TlsClientContext::Options tls;
    tls.ca_pem = target.ca_pem;
    tls.certificate_pem = target.certificate_pem;
    tls.private_key_pem = target.private_key_pem;
    net::HttpClient::Options options;
    RD_TRY(options.tls, net::TlsClientContext::make(std::move(tls)));
    options.host = place.host;
    egress::Target to;
    to.node = place.node;
    to.address = place.address;
    // A webhook that is named by URL is in the control plane's network.
    if (!place.in_cluster) to.network = egress::Network::ControlPlane;
    options.dial = [dialer = &dialer_, to]() -> Task<Result<net::StreamPtr>> { return dial(dialer, to); };
    return options;
  });
  if (!client) co_return Error(client.error());
  net::ClientRequest request;
  request.method = "POST";
  request.target =
      fmt::format("{}?timeout={}s", place.path, std::chrono::duration_cast<std::chrono::seconds>(timeout).count());
  request.headers = {{"content-type", "application/json"},
                     {"accept", "application/json, */*"},
                     {"user-agent", "redoubt/kube-apiserver-admission"}};
  request.body.push_back(Bytes::take(std::move(body)));
  request.header_timeout = timeout;
  std::string shown = fmt::format("Post \"https://{}{}\": ", place.host, request.target);
  auto answer = co_await (*client)->send(std::move(request));
  if (!answer)
    co_return Error(Status(answer.error().code(), answer.error().reason(), shown + answer.error().message()));
  if (answer->status != 200) {
    auto text = co_await net::read_body(*answer->body, kMaxErrorBytes);
    co_return Error(Status(500, "",
                           fmt::format("{}the server answered {}{}{}", shown, answer->status,
                                       text && !text->empty() ? ": " : "", text.value_or(""))));
  }
  auto text = co_await net::read_body(*answer->body, kMaxAnswerBytes);
  if (!text) co_return Error(Status(500, "", shown + text.error().message()));
  co_return std::move(*text);
}

Task<Result<std::string>> WebhookCaller::post(WebhookTarget target, std::string body,
                                              std::chrono::milliseconds timeout) {
  RD_CO_TRY(auto all, places(target));
  auto outcome = std::make_shared<std::optional<Result<std::string>>>();
  (void)co_await finish_within(
      timeout,
      [](WebhookCaller& self, std::vector<Place> candidates, WebhookTarget to, std::string text,
         std::chrono::milliseconds limit, std::shared_ptr<std::optional<Result<std::string>>> out) -> Task<void> {
        for (size_t i = 0; i < candidates.size(); ++i) {
          auto answer = co_await self.post_to(candidates[i], to, text, limit);
          bool next = !answer && answer.error().is(kDialFailed) && i + 1 < candidates.size();
          if (next) continue;
          out->emplace(std::move(answer));
          co_return;
        }
      }(*this, std::move(all), std::move(target), std::move(body), timeout, outcome));
  if (!*outcome) co_return redoubt::timeout("context deadline exceeded");
  co_return std::move(**outcome);
}

}  // namespace redoubt::apiserver
