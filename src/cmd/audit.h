// Auditing as the flags say it, and what it becomes.
#pragma once
#include <string>

#include "apiserver/audit/auditor.h"
#include "base/status.h"
#include "egress/dialer.h"

namespace redoubt::cmd {

// --audit-log-* and --audit-webhook-* that both backends have. Durations are Go's ("30s").
struct AuditBackendFlags {
  std::string mode;
  int buffer_size = 10'000;
  int batch_max_size = 1;
  std::string batch_max_wait = "0s";
  bool throttle = false;
  double throttle_qps = 0;
  int throttle_burst = 0;
  bool truncate = false;
  int64_t truncate_max_batch_size = 10 * 1024 * 1024;
  int64_t truncate_max_event_size = 100 * 1024;
  std::string version = "audit.k8s.io/v1";
};

struct AuditFlags {
  std::string policy_file;
  std::string log_path;
  std::string log_format = "json";
  // Upstream keeps everything for ever by default; these are the CIS benchmark's values.
  int log_max_age = 30, log_max_backup = 10, log_max_size = 100;
  bool log_compress = false;
  AuditBackendFlags log{.mode = "blocking"};
  std::string webhook_config_file;
  std::string webhook_initial_backoff = "10s";
  AuditBackendFlags webhook{.mode = "batch",
                            .batch_max_size = 400,
                            .batch_max_wait = "30s",
                            .throttle = true,
                            .throttle_qps = 10,
                            .throttle_burst = 15};
};

// Null when no backend is asked for. The webhook is dialled through `dialer`, which outlives the result. BadRequest
// names the flag or the file.
Result<std::unique_ptr<apiserver::audit::Auditor>> make_auditor(const AuditFlags& flags, egress::Dialer& dialer);

}  // namespace redoubt::cmd
