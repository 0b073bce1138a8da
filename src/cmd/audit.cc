#include "cmd/audit.h"

#include "base/log.h"
#include "base/time.h"
#include "client/client.h"
#include "pki/certificate.h"

namespace redoubt::cmd {

namespace {

namespace audit = apiserver::audit;
using std::chrono::milliseconds;

Result<milliseconds> duration(std::string_view flag, const std::string& text) {
  auto parsed = parse_go_duration(text);
  if (!parsed || parsed->count() < 0)
    return bad_request(fmt::format("{} {}: not a duration such as 30s or 1m30s", flag, text));
  return std::chrono::duration_cast<milliseconds>(*parsed);
}

Result<void> positive(const std::string& flag, double value) {
  if (value > 0) return {};
  return bad_request(fmt::format("{} {}: must be a positive number", flag, value));
}

Result<audit::BatchOptions> batch_options(const std::string& name, const AuditBackendFlags& flags) {
  std::string prefix = "--audit-" + name;
  if (flags.version != "audit.k8s.io/v1")
    return bad_request(fmt::format("{}-version {}: the only version is audit.k8s.io/v1", prefix, flags.version));
  audit::BatchOptions out;
  if (flags.mode == "batch") {
    out.mode = audit::Mode::Batch;
  } else if (flags.mode == "blocking") {
    out.mode = audit::Mode::Blocking;
  } else if (flags.mode == "blocking-strict") {
    out.mode = audit::Mode::BlockingStrict;
  } else {
    return bad_request(fmt::format("invalid audit {} mode {}, allowed modes are \"batch,blocking,blocking-strict\"",
                                   name, flags.mode));
  }
  out.throttle = flags.throttle;
  if (out.mode != audit::Mode::Batch) return out;
  RD_TRYV(positive(prefix + "-batch-buffer-size", flags.buffer_size));
  RD_TRYV(positive(prefix + "-batch-max-size", flags.batch_max_size));
  if (flags.throttle) {
    RD_TRYV(positive(prefix + "-batch-throttle-qps", flags.throttle_qps));
    RD_TRYV(positive(prefix + "-batch-throttle-burst", flags.throttle_burst));
  }
  out.buffer_size = static_cast<size_t>(flags.buffer_size);
  out.max_size = static_cast<size_t>(flags.batch_max_size);
  RD_TRY(out.max_wait, duration(prefix + "-batch-max-wait", flags.batch_max_wait));
  out.throttle_qps = flags.throttle_qps;
  out.throttle_burst = flags.throttle_burst;
  return out;
}

Result<audit::TruncateOptions> truncate_options(const std::string& name, const AuditBackendFlags& flags) {
  RD_TRYV(positive("--audit-" + name + "-truncate-max-event-size", static_cast<double>(flags.truncate_max_event_size)));
  if (flags.truncate_max_batch_size < flags.truncate_max_event_size) {
    return bad_request(
        fmt::format("invalid audit truncate {} max batch size {}, must be greater than max event size ({})", name,
                    flags.truncate_max_batch_size, flags.truncate_max_event_size));
  }
  return audit::TruncateOptions{flags.truncate, static_cast<size_t>(flags.truncate_max_event_size),
                                static_cast<size_t>(flags.truncate_max_batch_size)};
}

Result<audit::LogOptions> log_options(const AuditFlags& flags) {
  audit::LogOptions out;
  for (auto [flag, value] :
       {std::pair{"--audit-log-maxage", flags.log_max_age}, std::pair{"--audit-log-maxbackup", flags.log_max_backup},
        std::pair{"--audit-log-maxsize", flags.log_max_size}}) {
    if (value < 0) return bad_request(fmt::format("{} {} can't be a negative number", flag, value));
  }
  out.file.path = flags.log_path;
  out.file.max_age_days = flags.log_max_age;
  out.file.max_backups = flags.log_max_backup;
  out.file.max_size_bytes = static_cast<size_t>(flags.log_max_size) * 1024 * 1024;
  out.file.compress = flags.log_compress;
  if (flags.log_format != "json" && flags.log_format != "legacy") {
    return bad_request(
        fmt::format("invalid audit log format {}, allowed formats are \"legacy,json\"", flags.log_format));
  }
  out.format = flags.log_format == "json" ? audit::Format::Json : audit::Format::Legacy;
  RD_TRY(out.batch, batch_options("log", flags.log));
  RD_TRY(out.truncate, truncate_options("log", flags.log));
  return out;
}

Result<audit::WebhookOptions> webhook_options(const AuditFlags& flags, egress::Dialer& dialer) {
  audit::WebhookOptions out;
  RD_TRY(client::Config config, client::load_kubeconfig(flags.webhook_config_file));
  out.target.server = config.server;
  out.target.ca_pem = config.ca_pem;
  out.target.certificate_pem = config.certificate_pem;
  out.target.private_key_pem = config.private_key_pem;
  out.target.bearer_token = config.bearer_token;
  out.target.tls_server_name = config.tls_server_name;
  if (out.target.bearer_token.empty() && !config.bearer_token_file.empty()) {
    RD_TRY(out.target.bearer_token, pki::read_file(config.bearer_token_file));
    while (!out.target.bearer_token.empty() && std::isspace(static_cast<unsigned char>(out.target.bearer_token.back())))
      out.target.bearer_token.pop_back();
  }
  RD_TRY(out.batch, batch_options("webhook", flags.webhook));
  RD_TRY(out.truncate, truncate_options("webhook", flags.webhook));
  RD_TRY(out.initial_backoff, duration("--audit-webhook-initial-backoff", flags.webhook_initial_backoff));
  out.dial = [&dialer](net::Address address) {
    return dialer.dial(egress::PathId::ApiserverWebhook, {"", std::move(address), egress::Network::ControlPlane});
  };
  return out;
}

}  // namespace

Result<std::unique_ptr<audit::Auditor>> make_auditor(const AuditFlags& flags, egress::Dialer& dialer) {
  audit::AuditOptions out;
  if (!flags.policy_file.empty()) {
    RD_TRY(std::string text, pki::read_file(flags.policy_file));
    auto policy = audit::parse_policy(text);
    if (!policy)
      return Error(policy.error().with_context(fmt::format("loading audit policy file: {}", flags.policy_file)));
    out.policy = std::move(*policy);
    if (flags.log_path.empty() && flags.webhook_config_file.empty())
      log_warning("--audit-policy-file without --audit-log-path or --audit-webhook-config-file: nothing is recorded");
  }
  if (!flags.log_path.empty()) {
    RD_TRY(out.log, log_options(flags));
  }
  if (!flags.webhook_config_file.empty()) {
    RD_TRY(out.webhook, webhook_options(flags, dialer));
  }
  return audit::Auditor::make(std::move(out));
}

}  // namespace redoubt::cmd
