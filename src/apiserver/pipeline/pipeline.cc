#include "apiserver/pipeline/pipeline.h"

#include "apiserver/pipeline/audit.h"
#include "base/metrics.h"

namespace redoubt::apiserver::pipeline {

namespace {

// In this order, always. The first error is the answer.
constexpr Verdict (*kSteps[])(Services&, Context&) = {
    parse,           //
    request_info,    //
    negotiate,       //
    authenticate,    //
    audit_received,  //
    impersonate,     //
    fairness,        //
    authorize,
};

void count_request(const Context& c, std::chrono::steady_clock::time_point began) {
  // One series a verb and resource; what is no resource counts together.
  static std::mutex mutex;
  static std::map<std::pair<std::string, std::string>, std::pair<Counter*, Histogram*>> known;
  std::pair<std::string, std::string> key{c.info.verb,
                                          c.resource != nullptr ? std::string(c.resource->name) : std::string()};
  std::pair<Counter*, Histogram*> metrics;
  {
    std::lock_guard lock(mutex);
    auto [it, added] = known.try_emplace(key);
    if (added) {
      MetricLabels labels{{"verb", key.first}, {"resource", key.second}};
      it->second = {
          &counter("apiserver_request_total", "Requests answered, by verb and resource.", labels),
          &histogram("apiserver_request_duration_seconds", "How long requests took, watches and connections left out.",
                     {0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 30}, labels)};
    }
    metrics = it->second;
  }
  metrics.first->add();
  if (!is_long_running(c.info))
    metrics.second->observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
}

}  // namespace

bool is_long_running(const RequestInfo& info) {
  return info.verb == "watch" || info.subresource == "log" || info.subresource == "exec" ||
         info.subresource == "attach" || info.subresource == "portforward" || info.subresource == "proxy" ||
         info.subresource == "tunnel";
}

Task<void> serve(Services& services, net::Request request, net::Responder& responder) {
  auto began = std::chrono::steady_clock::now();
  std::optional<AuditTrail> trail;
  if (services.options.auditor != nullptr) trail.emplace(*services.options.auditor, responder);
  Context c{request, trail ? *trail : responder};
  if (trail) trail->attach(c);
  std::exception_ptr thrown;
  try {
    bool refused = false;
    for (auto* step : kSteps) {
      Verdict verdict = step(services, c);
      if (!verdict.is_here()) verdict = Verdict(co_await verdict.task());
      refused = !verdict.value();
      if (!refused) continue;
      co_await send_status(c, verdict.value().error());
      break;
    }
    if (!refused && c.info.resource_request) co_await serve_resource(services, c);
    if (!refused && !c.info.resource_request) co_await serve_path(services, c);
    if (!refused) count_request(c, began);
  } catch (...) {
    if (!trail) throw;
    thrown = std::current_exception();
  }
  if (!trail) co_return;
  // The event is written even when the client has gone.
  co_await boost::asio::this_coro::throw_if_cancelled(false);
  co_await trail->finish(thrown);
  if (thrown) std::rethrow_exception(thrown);
}

}  // namespace redoubt::apiserver::pipeline
