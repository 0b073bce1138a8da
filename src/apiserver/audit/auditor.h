// Auditing as the pipeline sees it: which events of a request are wanted, and where they go.
//
// Made once at start from the flags; null when nothing is to be audited, which is the only check an unaudited server
// makes. Any loop.
#pragma once
#include <memory>
#include <optional>
#include <vector>

#include "apiserver/audit/policy.h"
#include "apiserver/audit/sink.h"

namespace redoubt::apiserver::audit {

struct AuditOptions {
  std::optional<Policy> policy;  // none: default_policy()
  std::optional<LogOptions> log;
  std::optional<WebhookOptions> webhook;
};

class Auditor {
 public:
  // Null when `options` name no sink. Errors name the flag's file and what is wrong with it.
  static Result<std::unique_ptr<Auditor>> make(AuditOptions options);
  Auditor(Policy policy, std::vector<std::unique_ptr<Sink>> sinks);

  // Counts apiserver_audit_level_total.
  Verdict evaluate(const Subject& subject) const;
  // False when a blocking-strict sink lost the event.
  Task<bool> write(const Event& event);
  // True when some sink makes requests wait for their events.
  bool blocks() const { return blocks_; }

 private:
  Policy policy_;
  std::vector<std::unique_ptr<Sink>> sinks_;
  bool blocks_ = false;
};

}  // namespace redoubt::apiserver::audit
