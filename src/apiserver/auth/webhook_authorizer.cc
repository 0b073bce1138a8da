#include "apiserver/auth/webhook_authorizer.h"

#include <boost/asio/post.hpp>
#include <cstdlib>

#include "apiserver/auth/limits.h"
#include "apiserver/auth/webhook_client.h"
#include "base/json_text.h"
#include "base/log.h"
#include "base/metrics.h"
#include "pki/certificate.h"
#include "schema/codec.h"

namespace redoubt::apiserver {

namespace {

constexpr const char* kAccountFolder = "/var/run/secrets/kubernetes.io/serviceaccount";

void append_member(std::string& out, std::string_view name, std::string_view text) {
  if (text.empty()) return;
  if (out.back() != '{') out += ',';
  append_json_string(out, name);
  out += ':';
  append_json_string(out, text);
}
void append_list(std::string& out, std::string_view name, const std::vector<std::string>& texts) {
  if (texts.empty()) return;
  if (out.back() != '{') out += ',';
  append_json_string(out, name);
  out += ":[";
  for (const std::string& text : texts) {
    if (out.back() != '[') out += ',';
    append_json_string(out, text);
  }
  out += ']';
}
void append_selector(std::string& out, std::string_view name, const std::vector<SelectorRequirement>& requirements) {
  if (requirements.empty()) return;
  if (out.back() != '{') out += ',';
  out += fmt::format("\"{}\":{{\"requirements\":[", name);
  for (const SelectorRequirement& r : requirements) {
    if (out.back() != '[') out += ',';
    out += '{';
    append_member(out, "key", r.key);
    append_member(out, "operator", r.op);
    append_list(out, "values", r.values);
    out += '}';
  }
  out += "]}";
}

// A pod's own way to its API server.
Result<HttpsCaller::Options> in_cluster() {
  const char *host = std::getenv("KUBERNETES_SERVICE_HOST"), *port = std::getenv("KUBERNETES_SERVICE_PORT");
  if (host == nullptr || port == nullptr)
    return bad_request("InClusterConfig: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set");
  HttpsCaller::Options out;
  std::string_view name = host;
  out.url = name.find(':') == std::string_view::npos ? fmt::format("https://{}:{}", name, port)
                                                     : fmt::format("https://[{}]:{}", name, port);
  RD_TRY(out.ca_pem, pki::read_file(fmt::format("{}/ca.crt", kAccountFolder)));
  out.bearer_token_file = fmt::format("{}/token", kAccountFolder);
  return out;
}

}  // namespace

std::string access_review_spec(const UserInfo& user, const Attributes& a, std::string_view version) {
  std::string out = "{";
  if (a.resource_request) {
    out += "\"resourceAttributes\":{";
    append_member(out, "namespace", a.namespace_);
    append_member(out, "verb", a.verb);
    append_member(out, "group", a.api_group);
    append_member(out, "version", a.api_version);
    append_member(out, "resource", a.resource);
    append_member(out, "subresource", a.subresource);
    append_member(out, "name", a.name);
    append_selector(out, "fieldSelector", a.field_requirements);
    append_selector(out, "labelSelector", a.label_requirements);
  } else {
    out += "\"nonResourceAttributes\":{";
    append_member(out, "path", a.path);
    append_member(out, "verb", a.verb);
  }
  out += '}';
  append_member(out, "user", user.name);
  append_list(out, version == "v1" ? "groups" : "group", user.groups);
  if (!user.extra.empty()) {
    out += ",\"extra\":{";
    for (const auto& [key, values] : user.extra) append_list(out, key, values);
    out += '}';
  }
  append_member(out, "uid", user.uid);
  return out + '}';
}

Result<std::shared_ptr<WebhookAuthorizer>> WebhookAuthorizer::make(Executor loop, std::string name,
                                                                   const WebhookAuthorizerConfig& config, Dial dial) {
  RD_TRY(HttpsCaller::Options options,
         config.kubeconfig.empty() ? in_cluster() : https_options_of_kubeconfig(config.kubeconfig));
  options.timeout = config.timeout;
  options.dial = std::move(dial);
  auto caller = HttpsCaller::make(loop, std::move(options));
  if (!caller) return Error(caller.error().with_context(config.kubeconfig));
  return std::shared_ptr<WebhookAuthorizer>(new WebhookAuthorizer(loop, std::move(name), config, std::move(*caller)));
}

WebhookAuthorizer::WebhookAuthorizer(Executor loop, std::string name, const WebhookAuthorizerConfig& config,
                                     std::unique_ptr<HttpsCaller> caller)
    : loop_(loop),
      name_(std::move(name)),
      config_(config),
      caller_(std::move(caller)),
      lookups_(loop, [config](const Decision& d) {
        if (d.allowed && !d.denied)
          return config.cache_authorized ? config.authorized_ttl : std::chrono::milliseconds(0);
        return config.cache_unauthorized ? config.unauthorized_ttl : std::chrono::milliseconds(0);
      }) {}

WebhookAuthorizer::~WebhookAuthorizer() {
  if (caller_) boost::asio::post(loop_, [caller = std::shared_ptr<HttpsCaller>(std::move(caller_))] {});
}

Task<Result<Decision>> WebhookAuthorizer::ask(std::string spec) {
  std::string review = fmt::format(
      R"({{"kind":"SubjectAccessReview","apiVersion":"authorization.k8s.io/{}","metadata":{{"creationTimestamp":null}},"spec":{},"status":{{"allowed":false}}}})",
      config_.version, spec);
  auto body = co_await ask_webhook(*caller_, std::move(review), config_.timeout);
  if (!body) co_return Error(body.error());
  schema::Arena arena;
  auto parsed = schema::parse_json(*body, arena);
  if (!parsed || parsed->get({"kind"}).as_string() != "SubjectAccessReview")
    co_return service_unavailable("the webhook's answer is no SubjectAccessReview");
  schema::Value status = parsed->get({"status"});
  Decision out;
  out.allowed = status.get({"allowed"}).as_bool();
  out.denied = status.get({"denied"}).as_bool();
  out.reason = status.get({"reason"}).as_string();
  out.error = status.get({"evaluationError"}).as_string();
  if (out.allowed && out.denied) {
    out.allowed = false;
    out.error = "webhook subject access review returned both allow and deny response";
  }
  co_return out;
}

Task<Decision> WebhookAuthorizer::wait(std::string spec) {
  auto answer = co_await lookups_.look_up(spec, [this, spec] { return ask(spec); });
  if (answer) co_return std::move(*answer);
  log_warning("an authorization webhook could not be asked",
              {{"webhook", name_},
               {"error", answer.error().message()},
               {"decision", config_.fail_closed ? "denied" : "no opinion"}});
  counter("apiserver_authorization_webhook_evaluations_fail_open_total",
          "Requests that an authorization webhook had no opinion on because it could not be asked.", {{"name", name_}})
      .add(config_.fail_closed ? 0 : 1);
  Decision out;
  out.denied = config_.fail_closed;
  out.error = answer.error().message();
  co_return out;
}

Pending<Decision> WebhookAuthorizer::authorize(const UserInfo& user, const Attributes& attributes) {
  std::string spec = access_review_spec(user, attributes, config_.version);
  if (auto known = lookups_.remembered(spec)) return std::move(*known);
  return wait(std::move(spec));
}

Task<void> WebhookAuthorizer::stop() {
  co_await lookups_.stop();
  caller_.reset();
}

}  // namespace redoubt::apiserver
