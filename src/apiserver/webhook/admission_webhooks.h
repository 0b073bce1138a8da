// Admission by webhooks, after the built-in one: mutating webhooks one after the other, each seeing what the ones
// before made of the object; validating ones side by side, on what will be stored.
// https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
//
// Configurations themselves are never sent to a webhook (nobody could remove a broken one), nor are the writes that the
// API server does for itself when it starts. Any loop; a request without a matching webhook costs two look-ups.
#pragma once
#include <functional>

#include "apiserver/context.h"
#include "apiserver/webhook/caller.h"
#include "apiserver/webhook/configuration.h"

namespace redoubt::apiserver {

class AdmissionWebhooks {
 public:
  AdmissionWebhooks(egress::Dialer& dialer, const store::Store& store)
      : store_(store), mutating_(store, true), validating_(store, false), caller_(dialer, store) {}

  // What is done: `object` is null for a DELETE, `old` for a CREATE and a CONNECT. Both are of the request's version.
  struct Change {
    std::string_view operation;
    schema::Value old{};
    bool dry_run = false;
  };
  // The built-in mutating admission, for objects that a webhook has changed; may be empty.
  using Builtin = std::function<Result<void>(schema::Value& object)>;
  // Changes `object` as the webhooks say. An error is the denial, or the failure of a webhook that must not fail.
  Task<Result<void>> mutate(Context& context, Change change, schema::Value& object, Builtin again = {});
  Task<Result<void>> validate(Context& context, Change change, schema::Value object);
  // Whether there is a mutating webhook at all: then objects get their defaults before it sees them.
  bool mutates(const Context& context) { return applies(context) && !mutating_.current()->all().empty(); }
  void clear() { caller_.clear(); }

 private:
  struct Call;
  // Which call of the request this is, for audit annotations: the round and the webhook's place in its set.
  struct Slot {
    int round = 0;
    size_t index = 0;
  };
  Task<Result<void>> call(Context& context, const Webhook& webhook, Slot slot, Change change,
                          const schema::Resource& as, schema::Value object, schema::Value* patched);
  Result<std::string> review(Context& context, const Change& change, const schema::Resource& as, schema::Value object,
                             const std::string& uid);
  schema::Value namespace_labels(Context& context) const;
  bool applies(const Context& context) const;

  const store::Store& store_;
  WebhookSource mutating_, validating_;
  WebhookCaller caller_;
};

}  // namespace redoubt::apiserver
