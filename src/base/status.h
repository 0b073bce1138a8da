// One way to fail: Result<T>, an std::expected whose error is a Kubernetes Status.
//
// A Status carries what metav1.Status carries (code, reason, message, details), wherever the error may reach a user:
// https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/. Messages name the object, the field
// and the remedy. Values; safe to copy between threads.
#pragma once
#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace redoubt {

// One entry of details.causes. `reason` is a CauseType such as FieldValueRequired, FieldValueInvalid,
// FieldValueNotSupported, FieldValueDuplicate, FieldValueForbidden, FieldValueTooLong.
struct StatusCause {
  std::string reason;
  std::string message;
  std::string field;
};

struct StatusDetails {
  std::string name;
  std::string group;
  std::string kind;  // the resource (plural) for NotFound and its like, the kind for Invalid, as upstream does
  std::string uid;
  std::vector<StatusCause> causes;
  int retry_after_seconds = 0;
};

class Status {
 public:
  Status() = default;
  Status(int code, std::string reason, std::string message, StatusDetails details = {})
      : code_(code), reason_(std::move(reason)), message_(std::move(message)), details_(std::move(details)) {}

  // HTTP status code, e.g. 404.
  int code() const { return code_; }
  // StatusReason, e.g. "NotFound"; may be empty (Unknown).
  const std::string& reason() const { return reason_; }
  const std::string& message() const { return message_; }
  const StatusDetails& details() const { return details_; }
  StatusDetails& details() { return details_; }
  bool is(std::string_view reason) const { return reason_ == reason; }

  // The same status with `prefix: ` before its message, for adding context on the way up.
  Status with_context(std::string_view prefix) const;
  // The metav1.Status object as JSON, ready for a response body.
  std::string to_json() const;

 private:
  int code_ = 500;
  std::string reason_ = "InternalError";
  std::string message_;
  StatusDetails details_;
};

template <class T>
using Result = std::expected<T, Status>;
using Error = std::unexpected<Status>;

// A resource of the API, as error messages name it: "pods" or "deployments.apps".
struct GroupResource {
  std::string group;
  std::string resource;
  std::string to_string() const { return group.empty() ? resource : resource + "." + group; }
};

// The failures of the API, with upstream's codes, reasons and wording.
Error bad_request(std::string message);                                              // 400 BadRequest
Error unauthorized(std::string message = "Unauthorized");                            // 401 Unauthorized
Error forbidden(const GroupResource&, std::string_view name, std::string_view why);  // 403 Forbidden
Error not_found(const GroupResource&, std::string_view name);                        // 404 NotFound
Error page_not_found();                                                              // 404 for a path that is no API
Error method_not_allowed(const GroupResource&, std::string_view verb);               // 405 MethodNotAllowed
Error not_acceptable(std::string message);                                           // 406 NotAcceptable
Error timeout(std::string message, int retry_after_seconds = 0);                     // 504 Timeout
Error already_exists(const GroupResource&, std::string_view name);                   // 409 AlreadyExists
Error conflict(const GroupResource&, std::string_view name, std::string_view why);   // 409 Conflict
Error gone(std::string message);                                                     // 410 Expired
Error request_entity_too_large(std::string message);                                 // 413 RequestEntityTooLarge
Error unsupported_media_type(std::string message);                                   // 415 UnsupportedMediaType
// 422 Invalid: `Kind.group "name" is invalid: cause; cause`.
Error invalid(std::string_view group, std::string_view kind, std::string_view name, std::vector<StatusCause> causes);
Error too_many_requests(std::string message, int retry_after_seconds);  // 429 TooManyRequests
Error internal_error(std::string message);                              // 500 InternalError
Error service_unavailable(std::string message);                         // 503 ServiceUnavailable

}  // namespace redoubt

// RD_TRY(auto x, f()): x = value of f(), or return f()'s error. RD_TRYV(f()) for Result<void>.
// RD_CO_TRY / RD_CO_TRYV are the same inside a coroutine.
#define RD_CONCAT_(a, b) a##b
#define RD_CONCAT(a, b) RD_CONCAT_(a, b)
#define RD_TRY_IMPL_(tmp, decl, expr, ret)                \
  auto tmp = (expr);                                      \
  if (!tmp) ret ::redoubt::Error(std::move(tmp).error()); \
  decl = std::move(*tmp)
#define RD_TRYV_IMPL_(tmp, expr, ret) \
  if (auto tmp = (expr); !tmp) ret ::redoubt::Error(std::move(tmp).error())
#define RD_TRY(decl, expr) RD_TRY_IMPL_(RD_CONCAT(rd_result_, __LINE__), decl, expr, return)
#define RD_TRYV(expr) RD_TRYV_IMPL_(RD_CONCAT(rd_result_, __LINE__), expr, return)
#define RD_CO_TRY(decl, expr) RD_TRY_IMPL_(RD_CONCAT(rd_result_, __LINE__), decl, expr, co_return)
#define RD_CO_TRYV(expr) RD_TRYV_IMPL_(RD_CONCAT(rd_result_, __LINE__), expr, co_return)
