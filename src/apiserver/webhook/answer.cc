#include "apiserver/webhook/answer.h"

#include <fmt/format.h>

#include "base/encoding.h"
#include "schema/codec.h"
#include "schema/patch.h"

namespace redoubt::apiserver {

using schema::Value;

Result<Value> read_answer(std::string_view text, std::string_view uid, bool mutating, schema::Arena& arena) {
  auto parsed = schema::parse_json(arena.copy(text), arena, {.max_bytes = SIZE_MAX});
  if (!parsed) return Error(parsed.error().with_context("can't be read"));
  if (!parsed->is_object()) return bad_request("is no object");
  std::string_view version = parsed->get({"apiVersion"}).as_string(), kind = parsed->get({"kind"}).as_string();
  if (version != "admission.k8s.io/v1" || kind != "AdmissionReview")
    return bad_request(
        fmt::format("expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got {}, Kind={}",
                    version.empty() ? "/" : version, kind));
  Value response = parsed->get({"response"});
  if (!response.is_object()) return bad_request("webhook response was absent");
  if (response.get({"uid"}).as_string() != uid)
    return bad_request(fmt::format("expected response.uid=\"{}\", got \"{}\"", uid, response.get({"uid"}).as_string()));
  bool patch = !response.get({"patch"}).as_string().empty(), type = response.get({"patchType"}).is_string();
  if (!mutating && patch) return bad_request("validating webhook may not return response.patch");
  if (!mutating && type) return bad_request("validating webhook may not return response.patchType");
  if (patch && !type) return bad_request("webhook returned response.patch but not response.patchType");
  if (type && !patch) return bad_request("webhook returned response.patchType but not response.patch");
  if (type && response.get({"patchType"}).as_string() != "JSONPatch")
    return bad_request(
        fmt::format("webhook returned invalid response.patchType of \"{}\"", response.get({"patchType"}).as_string()));
  return response;
}

Status denial(std::string_view webhook, const Value& status) {
  std::string message = fmt::format("admission webhook \"{}\" denied the request", webhook);
  std::string_view said = status.get({"message"}).as_string(), reason = status.get({"reason"}).as_string();
  if (!said.empty()) {
    message += ": " + std::string(said);
  } else if (!reason.empty()) {
    message += ": " + std::string(reason);
  } else {
    message += " without explanation";
  }
  int64_t code = status.get({"code"}).as_int();
  if (code < 400 || code > 599) code = 400;
  return Status(static_cast<int>(code), std::string(reason), message);
}

Result<Value> patched_by(const Value& response, const Value& object, schema::Arena& arena) {
  std::string_view packed = response.get({"patch"}).as_string();
  if (packed.empty() || !object.is_object()) return object;
  auto failed = [](std::string_view why) { return internal_error(fmt::format("Internal error occurred: {}", why)); };
  auto patch = base64_decode(packed);
  if (!patch) return failed("the webhook's patch is no base64");
  auto operations = schema::parse_json(arena.copy(*patch), arena, {.max_bytes = SIZE_MAX});
  if (!operations) return failed("the webhook's patch can't be read: " + operations.error().message());
  auto changed = schema::json_patch(object, *operations, arena);
  if (!changed) return failed(changed.error().message());
  return changed;
}

}  // namespace redoubt::apiserver
