// A request's way through the API server: one step a file, each a plain function over the request's Context, in the
// order of the table in pipeline.cc.
#pragma once
#include <atomic>
#include <memory>
#include <string>

#include "apiserver/admission.h"
#include "apiserver/allocation/service_ips.h"
#include "apiserver/apiserver.h"
#include "apiserver/auth/authenticator.h"
#include "apiserver/auth/authorizer.h"
#include "apiserver/auth/seen_addresses.h"
#include "apiserver/context.h"
#include "apiserver/discovery/openapi_documents.h"
#include "apiserver/encode.h"
#include "apiserver/pipeline/verdict.h"
#include "apiserver/rest.h"
#include "apiserver/reviews.h"
#include "apiserver/subresources.h"
#include "apiserver/webhook/admission_webhooks.h"
#include "base/log_allowance.h"

namespace redoubt::apiserver {
class Aggregator;
}

namespace redoubt::apiserver::pipeline {

// What the steps work with: made once, shared by all requests on all loops.
struct Services {
  explicit Services(ApiServerOptions o) : options(std::move(o)) {}
  const ApiServerOptions options;
  std::unique_ptr<Authenticator> authenticator;
  std::unique_ptr<Authorizer> authorizer;
  std::unique_ptr<Admission> admission;
  SeenAddresses seen_addresses;                // of nodes
  LogAllowance failed_authentications{20, 1};  // lines about them: twenty at once, then one a second
  std::unique_ptr<ServiceIps> service_ips;
  std::unique_ptr<AdmissionWebhooks> webhooks;
  std::unique_ptr<Rest> rest;
  std::unique_ptr<Reviews> reviews;
  std::unique_ptr<Subresources> subresources;
  std::shared_ptr<Aggregator> aggregator;  // null: no other servers' groups are passed on
  std::atomic<bool> bootstrapped{false};
  std::atomic<size_t> reading{0}, writing{0};  // requests under way
  OpenApiDocuments openapi;
};

// The whole way; what a net::Starter calls. As far as nothing has to be waited for it is gone at once, and the read of
// an object that is in memory is answered before this returns.
std::optional<Task<void>> start(Services& services, net::Request request, net::Responder& responder,
                                net::ImmediateResponder* now);

// ---- the steps before the handlers ----
Verdict parse(Services& services, Context& context);           // the query
Verdict request_info(Services& services, Context& context);    // verb, group, resource, name, ...
Verdict negotiate(Services& services, Context& context);       // the answer's form
Verdict authenticate(Services& services, Context& context);    // 401; takes the credentials off the request
Verdict audit_received(Services& services, Context& context);  // what is to be recorded of this
Verdict impersonate(Services& services, Context& context);     // as whom; takes the headers off the request
Verdict fairness(Services& services, Context& context);        // 429 when too much is under way
Verdict authorize(Services& services, Context& context);       // 403

// ---- the handlers ----
Task<void> serve_resource(Services& services, Context& context);
// The answer to a get of a stored object, where that is all there is to it; nothing: serve_resource answers.
std::optional<WholeAnswer> read_now(Services& services, Context& context);
Task<void> serve_path(Services& services, Context& context);
Task<void> serve_health(Services& services, Context& context);  // /livez, /readyz, /healthz

// True for what may go on for ever: watches, logs, connections.
bool is_long_running(const RequestInfo& info);

}  // namespace redoubt::apiserver::pipeline
