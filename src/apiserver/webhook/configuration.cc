#include "apiserver/webhook/configuration.h"

#include "apiserver/resources/hooks.h"
#include "base/encoding.h"
#include "base/log.h"
#include "schema/codec.h"

namespace redoubt::apiserver {

using schema::Value;

namespace {

bool one_of(const Value& list, std::string_view wanted) {
  for (const Value& item : schema::items(list)) {
    if (item.as_string() == "*" || item.as_string() == wanted) return true;
  }
  return false;
}

// "pods", "pods/status", "*", "pods/*", "*/status", "*/*".
bool resource_matches(const Value& list, std::string_view resource, std::string_view subresource) {
  for (const Value& item : schema::items(list)) {
    std::string_view text = item.as_string();
    size_t slash = text.find('/');
    std::string_view first = text.substr(0, slash);
    std::string_view second = slash == std::string_view::npos ? std::string_view() : text.substr(slash + 1);
    if ((first == "*" || first == resource) && (second == subresource || second == "*")) return true;
  }
  return false;
}

bool rule_matches(const Value& rule, const AdmissionAttempt& attempt, const schema::Resource& as) {
  std::string_view scope = rule.get({"scope"}).as_string("*");
  // A Namespace itself belongs to no namespace, whatever its name on the path says.
  bool namespaced = as.namespaced;
  if ((scope == "Namespaced" && !namespaced) || (scope == "Cluster" && namespaced)) return false;
  return one_of(rule.get({"operations"}), attempt.operation) && one_of(rule.get({"apiGroups"}), as.group) &&
         one_of(rule.get({"apiVersions"}), as.version) &&
         resource_matches(rule.get({"resources"}), as.name, attempt.subresource);
}

bool any_rule_matches(const Webhook& webhook, const AdmissionAttempt& attempt, const schema::Resource& as) {
  for (const Value& rule : schema::items(webhook.rules)) {
    if (rule_matches(rule, attempt, as)) return true;
  }
  return false;
}

}  // namespace

std::shared_ptr<const WebhookSet> WebhookSet::read(const store::Snapshot& configurations, bool mutating) {
  auto out = std::make_shared<WebhookSet>();
  configurations.visit("/registry/", {}, [&](const store::ObjectPtr& object) {
    auto parsed = schema::parse_json(out->arena_.copy(object->json.view()), out->arena_, {.max_bytes = SIZE_MAX});
    if (!parsed) return true;
    for (const Value& hook : schema::items(parsed->get({"webhooks"}))) {
      Webhook w;
      w.mutating = mutating;
      w.configuration = object->name;
      w.name = hook.get({"name"}).as_string();
      Value client = hook.get({"clientConfig"});
      w.url = client.get({"url"}).as_string();
      w.service_namespace = client.get({"service", "namespace"}).as_string();
      w.service_name = client.get({"service", "name"}).as_string();
      w.path = client.get({"service", "path"}).as_string();
      w.port = static_cast<uint16_t>(client.get({"service", "port"}).as_int(443));
      w.ca_pem = base64_decode(client.get({"caBundle"}).as_string()).value_or("");
      w.fail_open = hook.get({"failurePolicy"}).as_string() == "Ignore";
      w.exact = hook.get({"matchPolicy"}).as_string() == "Exact";
      w.reinvoke = hook.get({"reinvocationPolicy"}).as_string() == "IfNeeded";
      std::string_view effects = hook.get({"sideEffects"}).as_string();
      w.dry_run = effects == "None" || effects == "NoneOnDryRun";
      w.timeout = std::chrono::seconds(hook.get({"timeoutSeconds"}).as_int(10));
      w.rules = hook.get({"rules"});
      w.namespace_selector = hook.get({"namespaceSelector"});
      w.object_selector = hook.get({"objectSelector"});
      out->webhooks_.push_back(std::move(w));
    }
    return true;
  });
  return out;
}

std::shared_ptr<const WebhookSet> WebhookSource::current() {
  auto snapshot = store_.snapshot(mutating_ ? "mutatingwebhookconfigurations" : "validatingwebhookconfigurations");
  std::lock_guard lock(mutex_);
  if (!set_ || !seen_ || seen_->identity() != snapshot->identity()) {
    set_ = WebhookSet::read(*snapshot, mutating_);
    seen_ = std::move(snapshot);
  }
  return set_;
}

const schema::Resource* matched_as(const Webhook& webhook, const AdmissionAttempt& attempt, const Value& object,
                                   const Value& old, const Value& namespace_labels) {
  const schema::Resource* as = nullptr;
  if (any_rule_matches(webhook, attempt, *attempt.resource)) {
    as = attempt.resource;
  } else if (!webhook.exact && !attempt.resource->storage_prefix.empty()) {
    for (const schema::Resource& other : schema::builtin_resources()) {
      if (&other != attempt.resource && other.storage_prefix == attempt.resource->storage_prefix &&
          any_rule_matches(webhook, attempt, other)) {
        as = &other;
        break;
      }
    }
  }
  if (as == nullptr) return nullptr;
  auto selects = [](const Value& selector, const Value& labels) {
    return selector.size() == 0 || selector_matches(selector, labels);
  };
  bool is_namespace = attempt.resource->name == "namespaces" && attempt.resource->group.empty();
  if (is_namespace) {
    const Value& itself = object.is_object() ? object : old;
    if (!selects(webhook.namespace_selector, itself.get({"metadata", "labels"}))) return nullptr;
  } else if (attempt.resource->namespaced && !selects(webhook.namespace_selector, namespace_labels)) {
    return nullptr;
  }
  if (webhook.object_selector.size() == 0) return as;
  bool now = object.is_object() && selects(webhook.object_selector, object.get({"metadata", "labels"}));
  bool before = old.is_object() && selects(webhook.object_selector, old.get({"metadata", "labels"}));
  return now || before ? as : nullptr;
}

}  // namespace redoubt::apiserver
