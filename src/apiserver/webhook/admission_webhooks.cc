#include "apiserver/webhook/admission_webhooks.h"

#include <boost/asio/this_coro.hpp>

#include "apiserver/conversion.h"
#include "base/encoding.h"
#include "base/json_text.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/random.h"
#include "schema/codec.h"
#include "schema/patch.h"

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

// What a webhook's refusal becomes for the client.
Status denial(const Webhook& webhook, const Value& status) {
  std::string message = fmt::format("admission webhook \"{}\" denied the request", webhook.name);
  std::string_view said = status.get({"message"}).as_string(), reason = status.get({"reason"}).as_string();
  if (!said.empty()) {
    message += ": " + std::string(said);
  } else if (!reason.empty()) {
    message += ": " + std::string(reason);
  } else {
    message += " without explanation";
  }
  int64_t code = status.get({"code"}).as_int();
  // A refusal that says it is a success would be taken for one.
  if (code < 400 || code > 599) code = 400;
  return Status(static_cast<int>(code), std::string(reason), message);
}

void count(const Webhook& webhook, std::string_view operation, std::string_view outcome) {
  counter("apiserver_admission_webhook_request_total", "Calls of admission webhooks, by what came of them.",
          {{"name", webhook.name},
           {"type", webhook.mutating ? "mutating" : "validating"},
           {"operation", std::string(operation)},
           {"result", std::string(outcome)}})
      .add();
}

}  // namespace

bool AdmissionWebhooks::applies(const Context& c) const {
  // What the API server writes for itself comes by no connection.
  if (!c.request.connection || c.resource == nullptr) return false;
  return c.resource->group != "admissionregistration.k8s.io" ||
         (c.resource->name != "mutatingwebhookconfigurations" && c.resource->name != "validatingwebhookconfigurations");
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

Task<Result<void>> AdmissionWebhooks::call(Context& c, const Webhook& webhook, Change change,
                                           const schema::Resource& as, Value object, Value* patched) {
  if (change.dry_run && !webhook.dry_run)
    co_return bad_request(fmt::format("admission webhook \"{}\" does not support dry run", webhook.name));
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
  Result<Value> answer = Value();
  std::string wrong;
  if (!text) {
    wrong = text.error().message();
  } else {
    auto parsed = schema::parse_json(c.arena.copy(*text), c.arena, {.max_bytes = SIZE_MAX});
    if (!parsed) {
      wrong = "the answer can't be read: " + parsed.error().message();
    } else if (parsed->get({"apiVersion"}).as_string() != "admission.k8s.io/v1" ||
               parsed->get({"kind"}).as_string() != "AdmissionReview") {
      wrong = fmt::format("expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got {}, Kind={}",
                          parsed->get({"apiVersion"}).as_string(), parsed->get({"kind"}).as_string());
    } else if (!parsed->get({"response"}).is_object()) {
      wrong = "the webhook response was absent";
    } else if (parsed->get({"response", "uid"}).as_string() != uid) {
      wrong =
          fmt::format("expected response.uid=\"{}\", got \"{}\"", uid, parsed->get({"response", "uid"}).as_string());
    } else {
      answer = parsed->get({"response"});
    }
  }
  if (wrong.empty()) {
    for (const Value& warning : schema::items(answer->get({"warnings"}))) c.warnings.emplace_back(warning.as_string());
    if (!answer->get({"allowed"}).as_bool()) {
      count(webhook, change.operation, "denied");
      co_return Error(denial(webhook, answer->get({"status"})));
    }
    std::string_view packed = answer->get({"patch"}).as_string();
    if (!packed.empty() && patched == nullptr) {
      wrong = "a validating webhook may not send a patch";
    } else if (!packed.empty() && answer->get({"patchType"}).as_string() != "JSONPatch") {
      wrong = fmt::format("unsupported patch type \"{}\"", answer->get({"patchType"}).as_string());
    } else if (!packed.empty() && object.is_object()) {
      auto patch = base64_decode(packed);
      auto operations = patch ? schema::parse_json(c.arena.copy(*patch), c.arena, {.max_bytes = SIZE_MAX})
                              : Result<Value>(bad_request("the patch is no base64"));
      auto base = as_version(object, *c.resource, as, c.arena);
      Result<Value> changed = operations && base ? schema::json_patch(*base, *operations, c.arena)
                                                 : Error(operations ? base.error() : operations.error());
      if (changed && c.subresource == nullptr) {
        auto fits = schema::conform(*changed, *as.type, c.arena);
        if (!fits) changed = Error(fits.error());
      }
      if (changed) changed = as_version(*changed, as, *c.resource, c.arena);
      if (changed) {
        *patched = *changed;
      } else {
        wrong = changed.error().message();
      }
    }
  }
  if (wrong.empty()) {
    count(webhook, change.operation, "allowed");
    co_return Result<void>{};
  }
  log_warning("admission webhook failed", {{"path", "apiserver-webhook"},
                                           {"webhook", webhook.name},
                                           {"configuration", webhook.configuration},
                                           {"failurePolicy", webhook.fail_open ? "Ignore" : "Fail"},
                                           {"error", wrong}});
  count(webhook, change.operation, webhook.fail_open ? "ignored" : "failed");
  if (webhook.fail_open) co_return Result<void>{};
  co_return internal_error(fmt::format(
      "Internal error occurred: failed calling webhook \"{}\": failed to call webhook: {}", webhook.name, wrong));
}

Task<Result<void>> AdmissionWebhooks::mutate(Context& c, Change change, Value& object) {
  if (!applies(c)) co_return Result<void>{};
  auto set = mutating_.current();
  if (set->all().empty()) co_return Result<void>{};
  AdmissionAttempt attempt{change.operation, c.resource, c.info.subresource, c.info.namespace_, c.info.name};
  Value labels = namespace_labels(c);
  // When, counted in changes of the object, each webhook saw it last.
  std::vector<std::optional<size_t>> seen(set->all().size());
  size_t changes = 0;
  for (int round = 0; round < 2; ++round) {
    for (size_t i = 0; i < set->all().size(); ++i) {
      const Webhook& webhook = set->all()[i];
      // The second round is for those who asked to see what came after them.
      if (round == 1 && (!webhook.reinvoke || !seen[i] || *seen[i] == changes)) continue;
      const schema::Resource* as = matched_as(webhook, attempt, object, change.old, labels);
      if (as == nullptr) continue;
      Value patched = object;
      RD_CO_TRYV(co_await call(c, webhook, change, *as, object, &patched));
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
      calls->push_back({&webhook, as, {}});
  }
  if (calls->empty()) co_return Result<void>{};
  auto executor = co_await boost::asio::this_coro::executor;
  Scope all(executor, "validating webhooks");
  for (Call& one : *calls) {
    all.spawn([](AdmissionWebhooks& self, Context& context, Change what, Value tree, Call& into) -> Task<void> {
      into.outcome = co_await self.call(context, *into.webhook, what, *into.as, tree, nullptr);
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
