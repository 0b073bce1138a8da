#include "apiserver/webhook/admission_webhooks.h"

#include <algorithm>
#include <boost/asio/this_coro.hpp>

#include "apiserver/conversion.h"
#include "apiserver/webhook/answer.h"
#include "base/json_text.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/random.h"
#include "schema/codec.h"

namespace redoubt::apiserver {

using schema::Value;

namespace {

std::string quoted(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

std::string resource_json(const schema::Resource& r) {
  return fmt::format(R"({{"group":{},"version":{},"resource":{}}})", quoted(r.group), quoted(r.version),
                     quoted(r.name));
}

std::string kind_json(const schema::Resource& r, const schema::Subresource* sub) {
  std::string_view group = r.group, version = r.version, kind = r.kind;
  if (sub != nullptr && !sub->kind.empty()) {
    kind = sub->kind;
    if (!sub->group.empty()) group = sub->group;
    if (!sub->version.empty()) version = sub->version;
  }
  return fmt::format(R"({{"group":{},"version":{},"kind":{}}})", quoted(group), quoted(version), quoted(kind));
}

std::string user_json(const UserInfo& user) {
  std::string out = "{\"username\":" + quoted(user.name);
  if (!user.uid.empty()) out += ",\"uid\":" + quoted(user.uid);
  if (!user.groups.empty()) {
    out += ",\"groups\":[";
    for (size_t i = 0; i < user.groups.size(); ++i) out += (i > 0 ? "," : "") + quoted(user.groups[i]);
    out += "]";
  }
  if (!user.extra.empty()) {
    out += ",\"extra\":{";
    bool first = true;
    for (const auto& [key, values] : user.extra) {
      out += (first ? "" : ",") + quoted(key) + ":[";
      for (size_t i = 0; i < values.size(); ++i) out += (i > 0 ? "," : "") + quoted(values[i]);
      out += "]";
      first = false;
    }
    out += "}";
  }
  return out + "}";
}

// The request's options as their kind: CreateOptions and its like.
std::string options_json(const Context& c, std::string_view operation) {
  std::string_view kind = operation == "CREATE"   ? "CreateOptions"
                          : operation == "UPDATE" ? (c.request.method == "PATCH" ? "PatchOptions" : "UpdateOptions")
                          : operation == "DELETE" ? "DeleteOptions"
                                                  : "";
  if (kind.empty()) return "null";
  std::string out = fmt::format(R"({{"kind":"{}","apiVersion":"meta.k8s.io/v1")", kind);
  if (!c.param("dryRun").empty()) out += R"(,"dryRun":["All"])";
  for (const char* name : {"fieldManager", "fieldValidation"}) {
    if (operation != "DELETE" && !c.param(name).empty()) out += fmt::format(",\"{}\":{}", name, quoted(c.param(name)));
  }
  return out + "}";
}

// The tree in another version of the same objects. Null stays null.
Result<Value> as_version(Value object, const schema::Resource& from, const schema::Resource& to, schema::Arena& arena) {
  if (!object.is_object() || &from == &to) return object;
  Value out = object.clone(arena);
  RD_TRYV(convert_to_stored(out, from, arena));
  RD_TRYV(convert_from_stored(out, to, arena));
  return out;
}

// As upstream counts calls: by the refusal's code, 200 for a request that goes on.
struct Outcome {
  int code = 200;
  bool rejected = false;
  std::string_view error_type{};  // of a rejection: what or who refused
};

void count(const Webhook& webhook, std::string_view operation, Outcome how,
           std::chrono::steady_clock::time_point began) {
  std::string type = webhook.mutating ? "mutating" : "validating";
  counter("apiserver_admission_webhook_request_total", "Calls of admission webhooks, by what came of them.",
          {{"name", webhook.name},
           {"type", type},
           {"operation", std::string(operation)},
           {"code", std::to_string(how.code)},
           {"rejected", how.rejected ? "true" : "false"}})
      .add();
  if (how.rejected)
    counter("apiserver_admission_webhook_rejection_count", "Requests that admission webhooks stopped, and why.",
            {{"name", webhook.name},
             {"type", type},
             {"operation", std::string(operation)},
             {"error_type", std::string(how.error_type)},
             {"rejection_code", std::to_string(how.code)}})
        .add();
  histogram("apiserver_admission_webhook_admission_duration_seconds", "How long admission webhooks took.",
            {0.005, 0.025, 0.1, 0.5, 1, 2.5, 10, 25},
            {{"name", webhook.name},
             {"type", type},
             {"operation", std::string(operation)},
             {"rejected", how.rejected ? "true" : "false"}})
      .observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
}

// A webhook's own words in the audit event: short ones, and not many.
constexpr size_t kMaxAuditAnnotations = 32;
constexpr size_t kMaxAuditValueBytes = 4096;

void annotate(Context& c, const Webhook& webhook, const Value& annotations) {
  size_t taken = 0;
  for (const schema::Member& one : schema::members(annotations)) {
    if (++taken > kMaxAuditAnnotations) return;
    c.annotate(fmt::format("{}/{}", webhook.name, one.key), one.value.as_string().substr(0, kMaxAuditValueBytes));
  }
}

}  // namespace

bool AdmissionWebhooks::applies(const Context& c) const {
  // What the API server writes for itself comes by no connection.
  if (!c.request.connection || c.resource == nullptr) return false;
  static constexpr std::string_view kNever[] = {"mutatingwebhookconfigurations", "validatingwebhookconfigurations",
                                                "validatingadmissionpolicies",   "validatingadmissionpolicybindings",
                                                "mutatingadmissionpolicies",     "mutatingadmissionpolicybindings"};
  return c.resource->group != "admissionregistration.k8s.io" ||
         std::ranges::find(kNever, c.resource->name) == std::end(kNever);
}

Value AdmissionWebhooks::namespace_labels(Context& c) const {
  if (c.info.namespace_.empty()) return {};
  auto object = store_.snapshot("namespaces")->find("/registry/namespaces/" + c.info.namespace_);
  if (!object) return {};
  Value out = Value::object(c.arena);
  for (const auto& [key, value] : object->labels)
    out.set(c.arena, c.arena.copy(key), Value::string(c.arena.copy(value)));
  return out;
}

Result<std::string> AdmissionWebhooks::review(Context& c, const Change& change, const schema::Resource& as,
                                              Value object, const std::string& uid) {
  RD_TRY(Value now, as_version(object, *c.resource, as, c.arena));
  RD_TRY(Value before, as_version(change.old, *c.resource, as, c.arena));
  std::string out = fmt::format(
      R"({{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1","request":{{"uid":{},"kind":{},"resource":{})",
      quoted(uid), kind_json(as, c.subresource), resource_json(as));
  if (!c.info.subresource.empty())
    out += fmt::format(",\"subResource\":{},\"requestSubResource\":{}", quoted(c.info.subresource),
                       quoted(c.info.subresource));
  out += fmt::format(",\"requestKind\":{},\"requestResource\":{}", kind_json(*c.resource, c.subresource),
                     resource_json(*c.resource));
  std::string_view name = c.info.name.empty() ? before.get({"metadata", "name"}).as_string() : c.info.name;
  if (!name.empty()) out += ",\"name\":" + quoted(name);
  if (!c.info.namespace_.empty()) out += ",\"namespace\":" + quoted(c.info.namespace_);
  out += fmt::format(",\"operation\":\"{}\",\"userInfo\":{},\"object\":", change.operation, user_json(c.user));
  const schema::Type* type = c.subresource == nullptr || c.info.subresource == "status" ? as.type : nullptr;
  out += now.is_object() ? schema::to_json(now, type) : "null";
  out += ",\"oldObject\":";
  out += before.is_object() ? schema::to_json(before, type) : "null";
  out += fmt::format(",\"dryRun\":{},\"options\":{}}}}}", change.dry_run, options_json(c, change.operation));
  return out;
}

Task<Result<void>> AdmissionWebhooks::call(Context& c, const Webhook& webhook, Slot slot, Change change,
                                           const schema::Resource& as, Value object, Value* patched) {
  auto began = std::chrono::steady_clock::now();
  if (change.dry_run && !webhook.dry_run) {
    count(webhook, change.operation, {400, true, "calling_webhook_error"}, began);
    co_return bad_request(fmt::format("admission webhook \"{}\" does not support dry run", webhook.name));
  }
  std::string uid = random_uuid();
  RD_CO_TRY(std::string body, review(c, change, as, object, uid));
  WebhookTarget target;
  target.url = webhook.url;
  target.service_namespace = webhook.service_namespace;
  target.service_name = webhook.service_name;
  target.path = webhook.path;
  target.port = webhook.port;
  target.ca_pem = webhook.ca_pem;
  auto text = co_await caller_.post(std::move(target), std::move(body), webhook.timeout);
  std::string wrong;
  Result<Value> answer = Value();
  if (!text) {
    wrong = "failed to call webhook: " + text.error().message();
  } else if (answer = read_answer(*text, uid, webhook.mutating, c.arena); !answer) {
    wrong = "received invalid webhook response: " + answer.error().message();
  }
  const char* type = webhook.mutating ? "mutating" : "validating";
  if (!wrong.empty()) {
    log_warning("admission webhook failed", {{"path", "apiserver-webhook"},
                                             {"webhook", webhook.name},
                                             {"configuration", webhook.configuration},
                                             {"failurePolicy", webhook.fail_open ? "Ignore" : "Fail"},
                                             {"error", wrong}});
    if (!webhook.fail_open) {
      count(webhook, change.operation, {500, true, "calling_webhook_error"}, began);
      co_return internal_error(
          fmt::format("Internal error occurred: failed calling webhook \"{}\": {}", webhook.name, wrong));
    }
    count(webhook, change.operation, {}, began);
    counter("apiserver_admission_webhook_fail_open_count", "Calls that failed and were let pass by failurePolicy.",
            {{"name", webhook.name}, {"type", type}})
        .add();
    c.annotate(fmt::format("failed-open.{}.webhook.admission.k8s.io/round_{}_index_{}", type, slot.round, slot.index),
               webhook.name);
    co_return Result<void>{};
  }
  annotate(c, webhook, answer->get({"auditAnnotations"}));
  for (const Value& warning : schema::items(answer->get({"warnings"}))) c.warnings.emplace_back(warning.as_string());
  if (!answer->get({"allowed"}).as_bool()) {
    Status status = denial(webhook.name, answer->get({"status"}));
    count(webhook, change.operation, {status.code(), true, "no_error"}, began);
    co_return Error(std::move(status));
  }
  if (patched != nullptr) {
    Result<Value> changed = as_version(object, *c.resource, as, c.arena);
    if (changed) changed = patched_by(*answer, *changed, c.arena);
    if (changed && changed->is_object() && (c.subresource == nullptr || c.subresource->kind == c.resource->kind)) {
      if (auto fits = schema::conform(*changed, *as.type, c.arena); !fits) changed = Error(fits.error());
    }
    if (changed) changed = as_version(*changed, as, *c.resource, c.arena);
    if (!changed) {
      count(webhook, change.operation, {500, true, "apiserver_internal_error"}, began);
      co_return Error(std::move(changed).error());
    }
    if (c.audit != nullptr)
      c.annotate(fmt::format("mutation.webhook.admission.k8s.io/round_{}_index_{}", slot.round, slot.index),
                 fmt::format(R"({{"configuration":{},"webhook":{},"mutated":{}}})", quoted(webhook.configuration),
                             quoted(webhook.name), object.is_object() && !changed->equals(object)));
    *patched = *changed;
  }
  count(webhook, change.operation, {}, began);
  co_return Result<void>{};
}

Task<Result<void>> AdmissionWebhooks::mutate(Context& c, Change change, Value& object, Builtin again) {
  if (!applies(c)) co_return Result<void>{};
  auto set = mutating_.current();
  if (set->all().empty()) co_return Result<void>{};
  AdmissionAttempt attempt{change.operation, c.resource, c.info.subresource, c.info.namespace_, c.info.name};
  Value labels = namespace_labels(c);
  // When, counted in changes of the object, each webhook saw it last.
  std::vector<std::optional<size_t>> seen(set->all().size());
  size_t changes = 0;
  for (int round = 0; round < 2; ++round) {
    if (round == 1 && changes == 0) break;
    // What a webhook added (a sidecar, a priority class) is completed as if the client had sent it.
    if (round == 1 && again && object.is_object()) {
      Value before = object.clone(c.arena);
      RD_CO_TRYV(again(object));
      if (!object.equals(before)) ++changes;
    }
    for (size_t i = 0; i < set->all().size(); ++i) {
      const Webhook& webhook = set->all()[i];
      // The second round is for those who asked to see what came after them.
      if (round == 1 && (!webhook.reinvoke || !seen[i] || *seen[i] == changes)) continue;
      const schema::Resource* as = matched_as(webhook, attempt, object, change.old, labels);
      if (as == nullptr) continue;
      Value patched = object;
      RD_CO_TRYV(co_await call(c, webhook, {round, i}, change, *as, object, &patched));
      if (object.is_object() && !patched.equals(object)) {
        object = patched;
        ++changes;
      }
      seen[i] = changes;
    }
  }
  co_return Result<void>{};
}

struct AdmissionWebhooks::Call {
  const Webhook* webhook;
  const schema::Resource* as;
  size_t index;
  Result<void> outcome;
};

Task<Result<void>> AdmissionWebhooks::validate(Context& c, Change change, Value object) {
  if (!applies(c)) co_return Result<void>{};
  auto set = validating_.current();
  if (set->all().empty()) co_return Result<void>{};
  AdmissionAttempt attempt{change.operation, c.resource, c.info.subresource, c.info.namespace_, c.info.name};
  Value labels = namespace_labels(c);
  auto calls = std::make_shared<std::vector<Call>>();
  for (const Webhook& webhook : set->all()) {
    if (const schema::Resource* as = matched_as(webhook, attempt, object, change.old, labels))
      calls->push_back({&webhook, as, calls->size(), {}});
  }
  if (calls->empty()) co_return Result<void>{};
  auto executor = co_await boost::asio::this_coro::executor;
  Scope all(executor, "validating webhooks");
  for (Call& one : *calls) {
    all.spawn([](AdmissionWebhooks& self, Context& context, Change what, Value tree, Call& into) -> Task<void> {
      into.outcome = co_await self.call(context, *into.webhook, {0, into.index}, what, *into.as, tree, nullptr);
    }(*this, c, change, object, one));
  }
  std::exception_ptr cancelled;
  try {
    co_await all.wait_idle();
  } catch (...) {
    cancelled = std::current_exception();
  }
  if (cancelled) co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
  co_await all.join();
  if (cancelled) std::rethrow_exception(cancelled);
  for (Call& one : *calls) RD_CO_TRYV(std::move(one.outcome));
  co_return Result<void>{};
}

}  // namespace redoubt::apiserver
