#include "apiserver/pipeline/pipeline.h"

namespace redoubt::apiserver::pipeline {

namespace {

Result<void> verdict_of(Context& c, const Attributes& a, const Decision& decision) {
  if (c.audit != nullptr) {
    c.annotate("authorization.k8s.io/decision", decision.allowed ? "allow" : "forbid");
    c.annotate("authorization.k8s.io/reason", decision.reason);
  }
  if (decision.allowed) return {};
  GroupResource resource;
  if (a.resource_request) resource = {a.api_group, a.resource};
  return forbidden(resource, a.name, denial(c.user, a, decision.reason));
}

Task<Result<void>> wait(Context& c, Attributes a, Task<Decision> decision) {
  co_return verdict_of(c, a, co_await std::move(decision));
}

}  // namespace

Verdict authorize(Services& s, Context& c) {
  Attributes a = attributes_of(c.info, c.request, c.query);
  auto decision = s.authorizer->authorize(c.user, a);
  if (decision.is_here()) return verdict_of(c, a, decision.value());
  return wait(c, std::move(a), decision.task());
}

}  // namespace redoubt::apiserver::pipeline
