#include "apiserver/aggregation/availability.h"

#include <algorithm>
#include <boost/asio/this_coro.hpp>

#include "apiserver/own_request.h"
#include "apiserver/webhook/caller.h"
#include "base/deadline.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/time.h"
#include "schema/k8s/core_v1.h"
#include "schema/typed.h"

namespace redoubt::apiserver {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kLookInterval{1};
constexpr std::chrono::seconds kCheckInterval{30};
constexpr std::chrono::seconds kRetryInterval{2};
constexpr std::chrono::minutes kLocalInterval{10};       // nothing is asked: only the condition is put right again
constexpr std::chrono::milliseconds kAskTimeout{5'000};  // as upstream
// An APIResourceList of a group with hundreds of resources is below 100 KB.
constexpr size_t kMaxResourceListBytes = 2 << 20;

void count(const std::string& name, const Availability& now, bool was_available) {
  gauge("aggregator_unavailable_apiservice", "APIServices whose server is not available: 1, else 0.", {{"name", name}})
      .set(now.available ? 0 : 1);
  if (now.available || !was_available) return;
  counter("aggregator_unavailable_apiservice_total", "How often an APIService's server became unavailable, by reason.",
          {{"name", name}, {"reason", now.reason}})
      .add();
}

}  // namespace

SaidResources AvailabilityChecks::resources(const std::string& group_version) const {
  std::lock_guard lock(mutex_);
  auto it = resources_.find(group_version);
  return it == resources_.end() ? SaidResources{} : it->second;
}

void AvailabilityChecks::start(Executor executor) {
  scope_ = std::make_unique<Scope>(executor, "APIService availability");
  scope_->spawn(look_after());
}

Task<void> AvailabilityChecks::stop() {
  if (scope_) co_await scope_->join();
}

std::string AvailabilityChecks::endpoints_of(const ApiService& service) const {
  if (service.local) return {};
  auto ready = ready_endpoints(rest_.store(), service.service_namespace, service.service_name, service.port, 0);
  if (!ready) return ready.error().message();
  std::string out;
  for (const ServiceEndpoint& e : *ready) out += e.node + "/" + e.address.to_string() + " ";
  return out;
}

void AvailabilityChecks::forget(const std::string& name) {
  auto it = looks_.find(name);
  if (it == looks_.end()) return;
  if (!it->second.service.local) count(name, {true, "", ""}, true);
  std::lock_guard lock(mutex_);
  resources_.erase(it->second.service.group_version());
  looks_.erase(it);
}

Task<void> AvailabilityChecks::look_after() {
  while (true) {
    auto table = services_.current();
    std::vector<std::string> gone;
    for (const auto& [name, look] : looks_) {
      if (std::ranges::find(table->all(), name, &ApiService::name) == table->all().end()) gone.push_back(name);
    }
    for (const std::string& name : gone) forget(name);
    for (const ApiService& service : table->all()) {
      std::string endpoints = endpoints_of(service);
      auto [it, added] = looks_.try_emplace(service.name);
      Look& look = it->second;
      if (look.under_way) continue;
      bool same = !added && look.service == service && look.endpoints == endpoints;
      if (same && Clock::now() < look.due) continue;
      look.service = service;
      look.endpoints = std::move(endpoints);
      look.under_way = true;
      scope_->spawn(judge(service.name, service));
    }
    co_await sleep_for(kLookInterval);
  }
}

Task<void> AvailabilityChecks::judge(std::string name, ApiService service) {
  Availability now = co_await check(service);
  auto it = looks_.find(name);
  if (it == looks_.end()) co_return;  // deleted meanwhile
  if (!service.local) {
    count(name, now, it->second.available);
    if (now.available != it->second.available)
      log_info("extension API server", {{"path", path_name(egress::PathId::ApiserverWebhook)},
                                        {"apiservice", name},
                                        {"available", now.available},
                                        {"reason", now.reason},
                                        {"message", now.message}});
    std::lock_guard lock(mutex_);
    auto known = resources_.find(service.group_version());
    if (!now.available && known != resources_.end()) known->second.current = false;
  }
  bool available = now.available;
  co_await write(name, std::move(now));
  it = looks_.find(name);
  if (it == looks_.end()) co_return;
  it->second.available = available;
  it->second.under_way = false;
  it->second.due = Clock::now() + (service.local ? Clock::duration(kLocalInterval)
                                   : available   ? Clock::duration(kCheckInterval)
                                                 : Clock::duration(kRetryInterval));
}

Task<Availability> AvailabilityChecks::check(ApiService service) {
  if (service.local) co_return Availability{true, "Local", "Local APIServices are always available"};
  auto executor = co_await boost::asio::this_coro::executor;
  if (!service.objection.empty()) co_return Availability{false, service.objection_reason, service.objection};
  std::string what = fmt::format("service/{} in \"{}\"", service.service_name, service.service_namespace);
  auto stored =
      rest_.store()
          .snapshot("services/specs")
          ->find(fmt::format("/registry/services/specs/{}/{}", service.service_namespace, service.service_name));
  if (!stored) co_return Availability{false, "ServiceNotFound", what + " is not present"};
  auto object = schema::from_json<k8s::core::v1::Service>(stored->json);
  bool listens =
      object && std::ranges::any_of(object->spec.ports, [&](const auto& p) { return p.port == service.port; });
  if (!listens)
    co_return Availability{false, "ServicePortError",
                           fmt::format("{} is not listening on port {}", what, service.port)};
  auto clients = servers_.clients(executor, service);
  if (!clients) co_return Availability{false, "MissingEndpoints", clients.error().message()};
  std::string why;
  for (auto& client : *clients) {
    auto said = std::make_shared<Result<std::string>>(timeout("context deadline exceeded"));
    (void)co_await finish_within(kAskTimeout,
                                 [](AvailabilityChecks& self, std::shared_ptr<net::HttpClient> to, ApiService of,
                                    std::shared_ptr<Result<std::string>> out) -> Task<void> {
                                   *out = co_await self.ask(std::move(to), std::move(of));
                                 }(*this, client, service, said));
    if (!*said) {
      why = said->error().message();
      continue;
    }
    auto entries = discovered_resources(service.group, service.version, **said);
    std::lock_guard lock(mutex_);
    resources_[service.group_version()] = {entries.value_or(""), entries.has_value()};
    co_return Availability{true, "Passed", "all checks passed"};
  }
  co_return Availability{false, "FailedDiscoveryCheck",
                         fmt::format("failing or missing response from https://{}:{}/apis/{}: {}", service.host(),
                                     service.port, service.group_version(), why)};
}

Task<Result<std::string>> AvailabilityChecks::ask(std::shared_ptr<net::HttpClient> client, ApiService service) {
  net::ClientRequest request;
  request.target = "/apis/" + service.group_version();
  request.authority = service.host();
  request.headers = {{"accept", "application/json"},
                     {"user-agent", "redoubt/kube-aggregator"},
                     {"x-remote-user", "system:kube-aggregator"},
                     {"x-remote-group", "system:masters"}};
  request.header_timeout = kAskTimeout;
  RD_CO_TRY(auto answer, co_await client->send(std::move(request)));
  if (answer.status / 100 != 2) co_return service_unavailable(fmt::format("bad status: {}", answer.status));
  co_return co_await net::read_body(*answer.body, kMaxResourceListBytes);
}

Task<void> AvailabilityChecks::write(std::string name, Availability now) {
  OwnRequest own("update", "apiregistration.k8s.io", "apiservices", "", name);
  Context& c = own.context;
  c.info.subresource = "status";
  auto written = co_await rest_.modify(
      c,
      [&](Value& object, const Value& old) -> Result<void> {
        std::string_view status = now.available ? "True" : "False";
        std::string since = format_rfc3339(redoubt::now());
        Value fresh = Value::object(c.arena), list = Value::array(c.arena);
        for (const Value& one : schema::items(old.get({"status", "conditions"}))) {
          if (one.get({"type"}).as_string() != "Available") {
            list.push_back(c.arena, one);
          } else if (one.get({"status"}).as_string() == status) {
            since = one.get({"lastTransitionTime"}).as_string();
          }
        }
        fresh.set(c.arena, "type", Value::string("Available"));
        fresh.set(c.arena, "status", Value::string(status));
        fresh.set(c.arena, "lastTransitionTime", Value::string(c.arena.copy(since)));
        fresh.set(c.arena, "reason", Value::string(c.arena.copy(now.reason)));
        fresh.set(c.arena, "message", Value::string(c.arena.copy(now.message)));
        list.push_back(c.arena, fresh);
        object.object_at(c.arena, "status").set(c.arena, "conditions", list);
        return {};
      },
      true);
  if (!written && written.error().code() != 404)
    log_warning("an APIService's condition can't be written",
                {{"apiservice", name}, {"error", written.error().message()}});
}

}  // namespace redoubt::apiserver
