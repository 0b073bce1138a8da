// What auditing keeps of one request, from its arrival to its last byte.
//
// A trail stands between the request and its responder, so that whatever answers, by whatever way, is seen. It exists
// only while something is to be audited at all; handlers reach it through Context::audit and add what they know by
// Context::annotate(). In the blocking modes an answer leaves only after its event was written: who has an answer finds
// it in the log. Belongs to the request's loop.
#pragma once
#include <exception>
#include <string>

#include "apiserver/audit/auditor.h"
#include "apiserver/context.h"
#include "apiserver/pipeline/verdict.h"
#include "net/http.h"

namespace redoubt::apiserver::pipeline {

class AuditTrail final : public net::Responder {
 public:
  AuditTrail(audit::Auditor& auditor, net::Responder& to) : auditor_(auditor), to_(to) {}
  // The request's context, which outlives every later call but the destructor.
  void attach(Context& context);

  // The request is authenticated: asks the policy, and records RequestReceived. Internal error when the event is lost
  // and the sink is strict.
  Verdict received();
  // Records ResponseComplete or Panic, unless that was done.
  Task<void> finish(std::exception_ptr thrown);

  // ---- what handlers tell ----
  void failed(const Status& status) { failure_ = status; }
  // An answer's body, before it is compressed. Kept only when the policy wants it.
  void answered(const std::string& content_type, const BytesList& body);

  Task<Result<void>> send(int status, net::Headers headers, BytesList body) override;
  Task<Result<std::unique_ptr<net::BodyWriter>>> start(int status, net::Headers headers) override;
  Task<Result<net::StreamPtr>> upgrade(net::Headers headers) override;
  bool started() const override { return to_.started(); }

 private:
  class Tee;
  audit::Subject subject() const;
  void refused_at_the_door();
  Task<bool> record(audit::Stage stage);
  std::string_view audit_id() const;

  audit::Auditor& auditor_;
  net::Responder& to_;
  Context* c_ = nullptr;
  audit::Verdict verdict_;  // the policy's
  std::string verb_;
  std::string made_id_;
  Timestamp received_{};
  bool authenticated_ = false;
  bool long_running_ = false;
  bool complete_ = false;
  int code_ = 0;
  std::optional<Status> failure_;
  std::string_view closed_early_;
  std::string request_body_, request_type_;
  BytesList response_body_;
  std::string response_type_;
};

}  // namespace redoubt::apiserver::pipeline
