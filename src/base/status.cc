#include "base/status.h"

#include <fmt/format.h>

#include "base/json_text.h"

namespace redoubt {

Status Status::with_context(std::string_view prefix) const {
  Status copy = *this;
  copy.message_ = fmt::format("{}: {}", prefix, message_);
  return copy;
}

std::string Status::to_json() const {
  std::string out = R"({"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":)";
  append_json_string(out, message_);
  if (!reason_.empty()) {
    out += ",\"reason\":";
    append_json_string(out, reason_);
  }
  std::string details;
  auto add = [&details](std::string_view key, std::string_view value) {
    if (value.empty()) return;
    if (!details.empty()) details += ',';
    details += fmt::format("\"{}\":", key);
    append_json_string(details, value);
  };
  add("name", details_.name);
  add("group", details_.group);
  add("kind", details_.kind);
  add("uid", details_.uid);
  if (!details_.causes.empty()) {
    if (!details.empty()) details += ',';
    details += "\"causes\":[";
    for (size_t i = 0; i < details_.causes.size(); ++i) {
      const StatusCause& cause = details_.causes[i];
      if (i > 0) details += ',';
      details += "{\"reason\":";
      append_json_string(details, cause.reason);
      details += ",\"message\":";
      append_json_string(details, cause.message);
      if (!cause.field.empty()) {
        details += ",\"field\":";
        append_json_string(details, cause.field);
      }
      details += '}';
    }
    details += ']';
  }
  if (details_.retry_after_seconds > 0) {
    if (!details.empty()) details += ',';
    details += fmt::format("\"retryAfterSeconds\":{}", details_.retry_after_seconds);
  }
  if (!details.empty()) out += ",\"details\":{" + details + "}";
  out += fmt::format(",\"code\":{}}}\n", code_);
  return out;
}

namespace {
StatusDetails resource_details(const GroupResource& resource, std::string_view name) {
  StatusDetails details;
  details.group = resource.group;
  details.kind = resource.resource;
  details.name = std::string(name);
  return details;
}
}  // namespace

Error bad_request(std::string message) {
  return Error(Status(400, "BadRequest", std::move(message)));
}
Error unauthorized(std::string message) {
  return Error(Status(401, "Unauthorized", std::move(message)));
}

Error forbidden(const GroupResource& resource, std::string_view name, std::string_view why) {
  std::string message;
  if (resource.resource.empty()) {
    message = fmt::format("forbidden: {}", why);
  } else if (name.empty()) {
    message = fmt::format("{} is forbidden: {}", resource.to_string(), why);
  } else {
    message = fmt::format("{} \"{}\" is forbidden: {}", resource.to_string(), name, why);
  }
  return Error(Status(403, "Forbidden", std::move(message), resource_details(resource, name)));
}

Error not_found(const GroupResource& resource, std::string_view name) {
  return Error(Status(404, "NotFound", fmt::format("{} \"{}\" not found", resource.to_string(), name),
                      resource_details(resource, name)));
}

Error page_not_found() {
  return Error(Status(404, "NotFound", "the server could not find the requested resource"));
}

Error method_not_allowed(const GroupResource& resource, std::string_view verb) {
  return Error(Status(405, "MethodNotAllowed",
                      fmt::format("{} is not supported on resources of kind \"{}\"", verb, resource.to_string()),
                      resource_details(resource, "")));
}

Error not_acceptable(std::string message) {
  return Error(Status(406, "NotAcceptable", std::move(message)));
}

Error timeout(std::string message, int retry_after_seconds) {
  StatusDetails details;
  details.retry_after_seconds = retry_after_seconds;
  return Error(Status(504, "Timeout", std::move(message), std::move(details)));
}

Error already_exists(const GroupResource& resource, std::string_view name) {
  return Error(Status(409, "AlreadyExists", fmt::format("{} \"{}\" already exists", resource.to_string(), name),
                      resource_details(resource, name)));
}

Error conflict(const GroupResource& resource, std::string_view name, std::string_view why) {
  return Error(Status(409, "Conflict",
                      fmt::format("Operation cannot be fulfilled on {} \"{}\": {}", resource.to_string(), name, why),
                      resource_details(resource, name)));
}

Error gone(std::string message) {
  return Error(Status(410, "Expired", std::move(message)));
}

Error request_entity_too_large(std::string message) {
  return Error(Status(413, "RequestEntityTooLarge", std::move(message)));
}

Error unsupported_media_type(std::string message) {
  return Error(Status(415, "UnsupportedMediaType", std::move(message)));
}

Error invalid(std::string_view group, std::string_view kind, std::string_view name, std::vector<StatusCause> causes) {
  std::string what;
  for (const StatusCause& cause : causes) {
    if (!what.empty()) what += ", ";
    what += cause.field.empty() ? cause.message : cause.field + ": " + cause.message;
  }
  if (causes.size() > 1) what = "[" + what + "]";
  StatusDetails details;
  details.group = std::string(group);
  details.kind = std::string(kind);
  details.name = std::string(name);
  details.causes = std::move(causes);
  std::string qualified = group.empty() ? std::string(kind) : fmt::format("{}.{}", kind, group);
  return Error(
      Status(422, "Invalid", fmt::format("{} \"{}\" is invalid: {}", qualified, name, what), std::move(details)));
}

Error too_many_requests(std::string message, int retry_after_seconds) {
  StatusDetails details;
  details.retry_after_seconds = retry_after_seconds;
  return Error(Status(429, "TooManyRequests", std::move(message), std::move(details)));
}

Error internal_error(std::string message) {
  return Error(Status(500, "InternalError", std::move(message)));
}
Error service_unavailable(std::string message) {
  return Error(Status(503, "ServiceUnavailable", std::move(message)));
}

}  // namespace redoubt
