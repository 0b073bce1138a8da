// Built-in admission: what upstream's default plug-ins do to objects before they are stored.
//
// NamespaceLifecycle, ServiceAccount, DefaultTolerationSeconds, Priority, NodeRestriction, RBAC escalation.
#pragma once
#include "apiserver/auth/certificate_restriction.h"
#include "apiserver/context.h"
#include "apiserver/resources/hooks.h"
#include "base/pending.h"
#include "store/store.h"

namespace redoubt::apiserver {

class Admission {
 public:
  Admission(const store::Store& store, const Authorizer& authorizer) : store_(store), authorizer_(authorizer) {}
  // Completes an object that is about to be created; Forbidden or NotFound when it may not be.
  Result<void> mutate_create(Context& context, Value& object) const;
  // `old` is null for a create. Waits only when a webhook has to say whether the user has a right that this write
  // takes.
  Pending<Result<void>> validate(Context& context, const Value& object, const Value& old) const;
  Result<void> validate_delete(Context& context, const Value& old) const;

 private:
  Result<void> service_account(Context& context, Value& pod) const;
  Result<void> priority(Context& context, Value& pod) const;
  Result<void> node_restriction(Context& context, const Value& object, const Value& old) const;
  // The right to grant what a role or binding grants; nothing when no such right is needed.
  std::optional<NeededRight> rbac_escalation(Context& context, const Value& object, const Value& old) const;
  const store::Store& store_;
  const Authorizer& authorizer_;
};

}  // namespace redoubt::apiserver
