#include "kubelet/server/access.h"

#include "schema/k8s/authentication_v1.h"
#include "schema/k8s/authorization_v1.h"

namespace redoubt::kubelet {

namespace {

using std::chrono::steady_clock;

constexpr std::chrono::seconds kTokenGood{120}, kTokenBad{10}, kAllowed{300}, kDenied{30};
constexpr size_t kMaxKnown = 1000;

template <class Map>
void bound(Map& map) {
  if (map.size() >= kMaxKnown) map.clear();
}

}  // namespace

Guard guarded_by(std::string_view method, std::string_view what) {
  Guard out;
  out.verb = method == "POST"     ? "create"
             : method == "PUT"    ? "update"
             : method == "PATCH"  ? "patch"
             : method == "DELETE" ? "delete"
                                  : "get";
  if (what == "exec" || what == "attach" || what == "portForward" || what == "run") {
    out.verb = "create";
    out.subresources = {"proxy"};
  } else if (what == "pods" || what == "runningpods") {
    out.subresources = {"pods", "proxy"};
  } else if (what == "healthz" || what == "configz") {
    out.subresources = {std::string(what), "proxy"};
  } else if (what == "stats" || what == "metrics" || what == "checkpoint" || what == "statusz" || what == "flagz") {
    out.subresources = {std::string(what)};
  } else if (what == "logs") {
    out.subresources = {"log"};
  } else {
    out.subresources = {"proxy"};
  }
  return out;
}

Task<Result<Caller>> Access::authenticate(const net::Request& request) {
  auto header = request.headers.get("authorization");
  if (header && header->starts_with("Bearer ") && header->size() > 7) {
    std::string token(header->substr(7));
    auto it = tokens_.find(token);
    if (it != tokens_.end() && steady_clock::now() < it->second.until) co_return it->second.caller;
    k8s::authentication::v1::TokenReview review;
    review.spec.token = token;
    auto answer = co_await api_.create(std::move(review));
    if (!answer) co_return service_unavailable("the API server could not be asked about the token");
    Result<Caller> caller = unauthorized();
    if (answer->status.authenticated)
      caller = Caller{answer->status.user.username, answer->status.user.uid, answer->status.user.groups};
    bound(tokens_);
    tokens_.insert_or_assign(token, Known{caller, steady_clock::now() + (caller ? kTokenGood : kTokenBad)});
    co_return caller;
  }
  if (header || !request.connection || request.connection->peer_certificates.empty()) co_return unauthorized();
  auto certificate = ca_->verify(request.connection->peer_certificates, pki::Usage::ClientAuth);
  if (!certificate || certificate->subject.common_name.empty()) co_return unauthorized();
  Caller caller{certificate->subject.common_name, "", certificate->subject.organizations};
  caller.groups.emplace_back("system:authenticated");
  co_return caller;
}

Task<Result<bool>> Access::allowed(const Caller& caller, std::string verb, std::string subresource) {
  std::string key =
      caller.name + "\n" + fmt::format("{}", fmt::join(caller.groups, ",")) + "\n" + verb + "\n" + subresource;
  auto it = decided_.find(key);
  if (it != decided_.end() && steady_clock::now() < it->second.until) co_return it->second.allowed;
  k8s::authorization::v1::SubjectAccessReview review;
  review.spec.user = caller.name;
  review.spec.uid = caller.uid;
  review.spec.groups = caller.groups;
  auto& attributes = review.spec.resourceAttributes.emplace();
  attributes.verb = verb;
  attributes.version = "v1";
  attributes.resource = "nodes";
  attributes.subresource = subresource;
  attributes.name = node_;
  auto answer = co_await api_.create(std::move(review));
  if (!answer) co_return service_unavailable("the API server could not be asked whether this is allowed");
  bool yes = answer->status.allowed;
  bound(decided_);
  decided_[key] = {yes, steady_clock::now() + (yes ? kAllowed : kDenied)};
  co_return yes;
}

Task<Result<void>> Access::authorize(Caller caller, Guard guard) {
  for (const std::string& subresource : guard.subresources) {
    RD_CO_TRY(bool yes, co_await allowed(caller, guard.verb, subresource));
    if (yes) co_return Result<void>{};
  }
  co_return Error(Status(403, "Forbidden",
                         fmt::format("Forbidden (user={}, verb={}, resource=nodes, subresource(s)=[{}])", caller.name,
                                     guard.verb, fmt::join(guard.subresources, " "))));
}

}  // namespace redoubt::kubelet
