// Webhooks as MutatingWebhookConfigurations and ValidatingWebhookConfigurations say them, and which of them a request
// has to pass.
#pragma once
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "apiserver/context.h"
#include "schema/resource.h"
#include "schema/value.h"
#include "store/store.h"

namespace redoubt::apiserver {

struct Webhook {
  bool mutating = false;
  std::string configuration;  // the object's name
  std::string name;           // "policy.example.com"
  // clientConfig: a URL, or a Service.
  std::string url;
  std::string service_namespace, service_name, path;
  uint16_t port = 443;
  std::string ca_pem;      // empty: the system's roots
  bool fail_open = false;  // failurePolicy: Ignore
  bool exact = false;      // matchPolicy: Exact
  bool reinvoke = false;   // reinvocationPolicy: IfNeeded
  bool dry_run = false;    // sideEffects allow a dry run
  std::chrono::seconds timeout{10};
  schema::Value rules, namespace_selector, object_selector;  // in the set's arena
};

// What a webhook is asked about.
struct AdmissionAttempt {
  std::string_view operation;  // "CREATE", "UPDATE", "DELETE", "CONNECT"
  const schema::Resource* resource = nullptr;
  std::string_view subresource;
  std::string_view ns, name;
};

// All webhooks of one kind, in the order in which they are called: by configuration's name, then as written. Immutable.
class WebhookSet {
 public:
  static std::shared_ptr<const WebhookSet> read(const store::Snapshot& configurations, bool mutating);
  const std::vector<Webhook>& all() const { return webhooks_; }

 private:
  schema::Arena arena_;
  std::vector<Webhook> webhooks_;
};

// The newest set; read anew only when a configuration changed. Any thread.
class WebhookSource {
 public:
  WebhookSource(const store::Store& store, bool mutating) : store_(store), mutating_(mutating) {}
  std::shared_ptr<const WebhookSet> current();

 private:
  const store::Store& store_;
  bool mutating_;
  std::mutex mutex_;
  store::SnapshotPtr seen_;
  std::shared_ptr<const WebhookSet> set_;
};

// The row of the resource table as which the webhook wants to see the request: the request's own, or, with matchPolicy
// Equivalent, another version of the same objects that a rule names. Null: it is not asked. `object` and `old` may be
// null; `namespace_labels` are those of the object's namespace.
const schema::Resource* matched_as(const Webhook& webhook, const AdmissionAttempt& attempt, const schema::Value& object,
                                   const schema::Value& old, const schema::Value& namespace_labels);

}  // namespace redoubt::apiserver
