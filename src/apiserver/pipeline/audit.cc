#include "apiserver/pipeline/audit.h"

#include <boost/system/system_error.hpp>

#include "apiserver/audit/bodies.h"
#include "apiserver/audit/limits.h"
#include "apiserver/pipeline/pipeline.h"
#include "base/metrics.h"
#include "base/random.h"
#include "base/time.h"

namespace redoubt::apiserver::pipeline {

using audit::Level;
using audit::Stage;

namespace {

// The path towards the cluster that a request opens; empty for none.
std::string_view path_of(const RequestInfo& info) {
  if (!info.resource_request || !info.group.empty()) return {};
  if (info.resource == "nodes" && info.subresource == "proxy") return "apiserver-node";
  if (info.resource == "nodes" && info.subresource == "tunnel") return "tunnel-reverse";
  if (info.resource == "services" && info.subresource == "proxy") return "apiserver-service";
  if (info.resource != "pods") return {};
  if (info.subresource == "proxy") return "apiserver-pod";
  for (std::string_view kubelet : {"exec", "attach", "portforward", "log"}) {
    if (info.subresource == kubelet) return "apiserver-kubelet";
  }
  return {};
}

// What was tried, never what it was.
std::string attempted(const net::Request& request) {
  std::string tried;
  auto add = [&](std::string_view method) {
    if (!tried.empty()) tried += ", ";
    tried += method;
  };
  std::string scheme(request.headers.get("authorization").value_or("").substr(0, 7));
  for (char& c : scheme) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (scheme.starts_with("basic ")) add("basic");
  if (scheme == "bearer ") add("bearer");
  if (request.connection && !request.connection->peer_certificates.empty()) add("x509");
  return tried.empty() ? "Authentication failed, no credentials provided"
                       : "Authentication failed, attempted: " + tried;
}

std::string joined(const BytesList& pieces) {
  std::string out;
  out.reserve(total_size(pieces));
  for (const Bytes& piece : pieces) out += piece.view();
  return out;
}

}  // namespace

// Passes a request's body on and keeps what went by.
class AuditTrail::Tee : public net::BodyReader {
 public:
  Tee(std::unique_ptr<net::BodyReader> from, std::string& into) : from_(std::move(from)), into_(into) {}
  Task<Result<Bytes>> read_some() override {
    auto piece = co_await from_->read_some();
    if (piece && into_.size() + piece->size() <= audit::kMaxBodyBytes) into_ += piece->view();
    co_return piece;
  }

 private:
  std::unique_ptr<net::BodyReader> from_;
  std::string& into_;
};

void AuditTrail::attach(Context& context) {
  c_ = &context;
  c_->audit = this;
  received_ = now();
  auto given = c_->request.headers.get("audit-id");
  if (!given || given->empty()) made_id_ = random_uuid();
}

std::string_view AuditTrail::audit_id() const {
  if (!made_id_.empty()) return made_id_;
  return c_->request.headers.get("audit-id").value_or("").substr(0, audit::kMaxAuditIdBytes);
}

audit::Subject AuditTrail::subject() const {
  const RequestInfo& info = c_->info;
  const UserInfo* user = !authenticated_ ? nullptr : c_->impersonator ? &*c_->impersonator : &c_->user;
  return {user,
          verb_,
          info.resource_request,
          info.group,
          info.resource,
          info.subresource,
          info.namespace_,
          info.name.empty() ? c_->sent_name : std::string_view(info.name),
          c_->request.path};
}

Verdict AuditTrail::received() {
  authenticated_ = true;
  // As authorization sees it: what is done, not the method it is done by.
  verb_ = attributes_of(c_->info, c_->request, c_->query).verb;
  long_running_ = is_long_running(c_->info);
  verdict_ = auditor_.evaluate(subject());
  if (verdict_.level == Level::None) return {};
  if (std::string_view path = path_of(c_->info); !path.empty()) c_->annotate("redoubt.io/path", path);
  if (verdict_.bodies_withheld) {
    verdict_.level = Level::Metadata;
    c_->annotate("redoubt.io/bodies-withheld", "the policy's rule does not name " + c_->info.resource);
  }
  if (verdict_.level >= Level::Request && c_->info.resource_request && !long_running_ && c_->request.body) {
    request_type_ = c_->request.headers.get("content-type").value_or("application/json");
    c_->request.body = std::make_unique<Tee>(std::move(c_->request.body), request_body_);
  }
  if (verdict_.omit_stages.has(Stage::RequestReceived)) return {};
  return [](AuditTrail* self) -> Task<Result<void>> {
    if (co_await self->record(Stage::RequestReceived)) co_return Result<void>{};
    static Counter& rejected = counter("apiserver_audit_requests_rejected_total",
                                       "Requests rejected due to an error in audit logging backend.");
    rejected.add();
    co_return internal_error("failed to store audit event");
  }(this);
}

// Nobody was authenticated: one event, as upstream's, for a policy that has no user to look at.
void AuditTrail::refused_at_the_door() {
  verb_ = attributes_of(c_->info, c_->request, c_->query).verb;
  verdict_ = auditor_.evaluate(subject());
  failure_ = Status(401, "Unauthorized", attempted(c_->request));
}

Task<bool> AuditTrail::record(Stage stage) {
  if (verdict_.level == Level::None || verdict_.omit_stages.has(stage)) co_return true;
  audit::Event event;
  event.level = verdict_.level;
  event.stage = stage;
  event.audit_id = audit_id();
  event.request = &c_->request;
  event.subject = subject();
  event.impersonated = c_->impersonator ? &c_->user : nullptr;
  event.api_version = c_->info.version;
  event.object_uid = c_->sent_uid;
  event.object_resource_version = c_->sent_resource_version;
  event.code = code_;
  event.failure = failure_ ? &*failure_ : nullptr;
  event.closed_early = closed_early_;
  event.received = received_;
  event.at = stage == Stage::RequestReceived ? received_ : now();
  event.annotations = &c_->annotations;
  audit::BodyFacts request, response;
  if (!request_body_.empty()) {
    request = audit::read_body_facts(request_type_, request_body_, verdict_.omit_managed_fields, true);
    event.request_object = request.json;
  }
  if (verdict_.level == Level::RequestResponse && c_->info.resource_request) {
    if (failure_) {
      response.json = failure_->to_json();
      while (!response.json.empty() && response.json.back() == '\n') response.json.pop_back();
    } else if (!response_body_.empty()) {
      response = audit::read_body_facts(response_type_, joined(response_body_), verdict_.omit_managed_fields, true);
    }
    event.response_object = response.json;
  }
  co_return co_await auditor_.write(event);
}

void AuditTrail::answered(const std::string& content_type, const BytesList& body) {
  if (verdict_.level != Level::RequestResponse || total_size(body) > audit::kMaxBodyBytes) return;
  response_type_ = content_type;
  response_body_ = body;
}

Task<void> AuditTrail::finish(std::exception_ptr thrown) {
  if (complete_) co_return;
  complete_ = true;
  if (thrown) {
    try {
      std::rethrow_exception(thrown);
    } catch (const boost::system::system_error&) {
      // The client went away, or the server stops.
    } catch (const std::exception& e) {
      code_ = 500;
      failure_ = Status(500, "InternalError", fmt::format("APIServer panic'd: {}", e.what()));
    }
    if (failure_ && code_ == 500 && failure_->message().starts_with("APIServer panic'd")) {
      co_await record(Stage::Panic);
      co_return;
    }
  }
  if (code_ == 0) {
    closed_early_ = "Connection closed early";
    if (long_running_) co_await record(Stage::ResponseStarted);
  }
  co_await record(Stage::ResponseComplete);
}

Task<Result<void>> AuditTrail::send(int status, net::Headers headers, BytesList body) {
  code_ = status;
  if (status == 403 && verdict_.when_refused) verdict_.level = Level::Metadata;
  headers.add("audit-id", std::string(audit_id()));
  if (!authenticated_ && status == 401) {
    refused_at_the_door();
    co_await record(Stage::ResponseStarted);
    complete_ = true;
  } else {
    if (long_running_) co_await record(Stage::ResponseStarted);
    if (auditor_.blocks()) {
      complete_ = true;
      co_await record(Stage::ResponseComplete);
    }
  }
  co_return co_await to_.send(status, std::move(headers), std::move(body));
}

Task<Result<std::unique_ptr<net::BodyWriter>>> AuditTrail::start(int status, net::Headers headers) {
  code_ = status;
  headers.add("audit-id", std::string(audit_id()));
  if (long_running_) co_await record(Stage::ResponseStarted);
  co_return co_await to_.start(status, std::move(headers));
}

Task<Result<net::StreamPtr>> AuditTrail::upgrade(net::Headers headers) {
  code_ = 101;
  if (long_running_) co_await record(Stage::ResponseStarted);
  co_return co_await to_.upgrade(std::move(headers));
}

Verdict audit_received(Services&, Context& c) {
  if (c.audit == nullptr) return {};
  return c.audit->received();
}

}  // namespace redoubt::apiserver::pipeline
