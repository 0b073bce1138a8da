#include "apiserver/audit/auditor.h"

#include "base/metrics.h"

namespace redoubt::apiserver::audit {

namespace {

Counter& events_total() {
  static Counter& events =
      counter("apiserver_audit_event_total", "Audit events generated and sent to the audit backend.");
  return events;
}

Counter& level_total(Level level) {
  static Counter* levels[] = {
      &counter("apiserver_audit_level_total", "Policy levels of requests.", {{"level", "None"}}),
      &counter("apiserver_audit_level_total", "Policy levels of requests.", {{"level", "Metadata"}}),
      &counter("apiserver_audit_level_total", "Policy levels of requests.", {{"level", "Request"}}),
      &counter("apiserver_audit_level_total", "Policy levels of requests.", {{"level", "RequestResponse"}})};
  return *levels[static_cast<size_t>(level)];
}

}  // namespace

Result<std::unique_ptr<Auditor>> Auditor::make(AuditOptions options) {
  std::vector<std::unique_ptr<Sink>> sinks;
  if (options.log) {
    RD_TRY(auto sink, make_log_sink(std::move(*options.log)));
    sinks.push_back(std::move(sink));
  }
  if (options.webhook) {
    RD_TRY(auto sink, make_webhook_sink(std::move(*options.webhook)));
    sinks.push_back(std::move(sink));
  }
  if (sinks.empty()) return std::unique_ptr<Auditor>();
  return std::make_unique<Auditor>(options.policy ? std::move(*options.policy) : default_policy(), std::move(sinks));
}

Auditor::Auditor(Policy policy, std::vector<std::unique_ptr<Sink>> sinks)
    : policy_(std::move(policy)), sinks_(std::move(sinks)) {
  for (const auto& sink : sinks_) blocks_ = blocks_ || sink->mode() != Mode::Batch;
}

Verdict Auditor::evaluate(const Subject& subject) const {
  Verdict verdict = audit::evaluate(policy_, subject);
  level_total(verdict.level).add();
  return verdict;
}

Task<bool> Auditor::write(const Event& event) {
  events_total().add();
  bool kept = true;
  for (const auto& sink : sinks_) {
    bool written = co_await sink->write(event);
    if (!written && sink->mode() == Mode::BlockingStrict) kept = false;
  }
  co_return kept;
}

}  // namespace redoubt::apiserver::audit
