// Flags of auditing; all of them kube-apiserver's.
#include <CLI/CLI.hpp>

#include "cmd/flags/flags.h"

namespace redoubt::cmd {

namespace {

void add_backend(CLI::App& command, const std::string& name, AuditBackendFlags& flags) {
  std::string prefix = "--audit-" + name;
  command
      .add_option(prefix + "-mode", flags.mode,
                  "batch queues events and drops them when the queue is full; blocking makes requests wait for them; "
                  "blocking-strict also fails a request whose first event is lost")
      ->capture_default_str();
  command.add_option(prefix + "-batch-buffer-size", flags.buffer_size, "events queued in batch mode")
      ->capture_default_str();
  command.add_option(prefix + "-batch-max-size", flags.batch_max_size, "events in one batch")->capture_default_str();
  command.add_option(prefix + "-batch-max-wait", flags.batch_max_wait, "how long a batch may fill")
      ->capture_default_str();
  command.add_flag(prefix + "-batch-throttle-enable,!--no-audit-" + name + "-batch-throttle-enable", flags.throttle,
                   "limit batches a second");
  command.add_option(prefix + "-batch-throttle-qps", flags.throttle_qps, "batches a second")->capture_default_str();
  command.add_option(prefix + "-batch-throttle-burst", flags.throttle_burst, "batches at once after a pause")
      ->capture_default_str();
  command.add_flag(prefix + "-truncate-enabled", flags.truncate, "cut events that are too large");
  command
      .add_option(prefix + "-truncate-max-event-size", flags.truncate_max_event_size,
                  "bytes beyond which an event loses its bodies")
      ->capture_default_str();
  command.add_option(prefix + "-truncate-max-batch-size", flags.truncate_max_batch_size, "bytes in one batch")
      ->capture_default_str();
  command.add_option(prefix + "-version", flags.version, "audit.k8s.io/v1")->capture_default_str();
}

}  // namespace

void add_audit_flags(CLI::App& command, AuditFlags& flags) {
  command.add_option("--audit-policy-file", flags.policy_file,
                     "what is recorded (default: all writes, reads of Secrets, and ways into pods and nodes)");
  command.add_option("--audit-log-path", flags.log_path, "file that audit events are written to; - is standard output");
  command.add_option("--audit-log-format", flags.log_format, "json or legacy")->capture_default_str();
  command.add_option("--audit-log-maxage", flags.log_max_age, "days that rotated audit logs are kept; 0: for ever")
      ->capture_default_str();
  command.add_option("--audit-log-maxbackup", flags.log_max_backup, "rotated audit logs that are kept; 0: all")
      ->capture_default_str();
  command
      .add_option("--audit-log-maxsize", flags.log_max_size,
                  "megabytes after which the audit log is rotated; 0: 100, as upstream")
      ->capture_default_str();
  command.add_flag("--audit-log-compress", flags.log_compress, "compress rotated audit logs");
  add_backend(command, "log", flags.log);
  command.add_option("--audit-webhook-config-file", flags.webhook_config_file,
                     "kubeconfig of the receiver of audit events");
  command
      .add_option("--audit-webhook-initial-backoff,--audit-webhook-batch-initial-backoff",
                  flags.webhook_initial_backoff, "pause after a first failed try")
      ->capture_default_str();
  add_backend(command, "webhook", flags.webhook);
}

}  // namespace redoubt::cmd
