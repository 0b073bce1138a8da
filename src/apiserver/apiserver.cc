#include "apiserver/apiserver.h"

#include "apiserver/aggregation/aggregator.h"
#include "apiserver/apiserver_state.h"

namespace redoubt::apiserver {

ApiServer::ApiServer(ApiServerOptions options) : state_(std::make_unique<State>(std::move(options))) {}
ApiServer::~ApiServer() = default;

Result<std::unique_ptr<ApiServer>> ApiServer::make(ApiServerOptions options) {
  std::unique_ptr<ApiServer> out(new ApiServer(std::move(options)));
  State& s = *out->state_;
  RD_TRY(s.authenticator, Authenticator::make(s.options.authentication, s.options.loop));
  RD_TRY(s.authorizer, Authorizer::make(*s.options.store, s.options.authorization, s.options.loop));
  s.admission = std::make_unique<Admission>(*s.options.store, *s.authorizer);
  RD_TRY(auto networks, parse_service_networks(s.options.service_cluster_ip_range));
  RD_TRY(PortRange node_ports, PortRange::parse(s.options.service_node_port_range));
  s.service_ips = std::make_unique<ServiceIps>(*s.options.store, std::move(networks), node_ports);
  s.rest = std::make_unique<Rest>(*s.options.store, *s.authorizer, *s.admission, *s.service_ips);
  if (s.options.dialer != nullptr) {
    s.webhooks = std::make_unique<AdmissionWebhooks>(*s.options.dialer, *s.options.store);
    s.rest->use(s.webhooks.get());
    if (s.options.front_proxy_client)
      s.aggregator = std::make_shared<Aggregator>(*s.options.dialer, *s.rest, s.options.front_proxy_client);
  }
  s.reviews = std::make_unique<Reviews>(*s.rest, *s.authenticator, *s.authorizer);
  s.subresources = std::make_unique<Subresources>(*s.rest, s.options.connect);
  return out;
}

net::Starter ApiServer::starter() {
  return [state = state_.get()](net::Request request, net::Responder& responder, net::ImmediateResponder* now) {
    return pipeline::start(*state, std::move(request), responder, now);
  };
}

void ApiServer::clear() {
  if (state_->webhooks) state_->webhooks->clear();
  if (state_->aggregator) state_->aggregator->clear();
}

std::string ApiServer::service_ip() const {
  return state_->service_ips->first();
}
const Authenticator& ApiServer::authenticator() const {
  return *state_->authenticator;
}
Task<void> ApiServer::stop() {
  if (state_->aggregator) co_await state_->aggregator->stop();
  co_await state_->authenticator->stop();
  co_await state_->authorizer->stop();
}

}  // namespace redoubt::apiserver
