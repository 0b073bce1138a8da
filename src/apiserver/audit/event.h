// One audit event (audit.k8s.io/v1 Event) and its two written forms.
//
// An Event looks into the request it describes: it is good as long as that is, copies nothing, and is written out at
// once. Never in it: an Authorization header, a cookie, a token in the query of the URI.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apiserver/audit/policy.h"
#include "base/status.h"
#include "base/time.h"
#include "net/http.h"

namespace redoubt::apiserver::audit {

using Annotations = std::vector<std::pair<std::string, std::string>>;

struct Event {
  Level level = Level::Metadata;
  Stage stage = Stage::RequestReceived;
  std::string_view audit_id;
  const net::Request* request = nullptr;  // URI, User-Agent, source addresses
  Subject subject;                        // user is who really asked
  const UserInfo* impersonated = nullptr;
  std::string_view api_version;
  std::string_view object_uid, object_resource_version;  // as the request's body gives them
  int code = 0;                                          // 0: no response yet
  const Status* failure = nullptr;                       // of a response that is a Status
  std::string_view closed_early;                         // message of a response that never came
  std::string_view request_object, response_object;      // JSON
  Timestamp received, at;
  const Annotations* annotations = nullptr;
  bool truncated = false;
};

// A line of JSON, newline included, in upstream's order of fields.
void append_json(std::string& out, const Event& event);
// The one-line text of --audit-log-format=legacy, newline included.
void append_legacy(std::string& out, const Event& event);

// X-Forwarded-For, X-Real-Ip, and the connection's own address unless it is the last of those already; all but the last
// are what the client says. Canonical addresses; what is none is left out.
std::vector<std::string> source_ips(const net::Request& request);
// The target with the values of query parameters that carry credentials (access_token, token, ...) replaced.
void append_redacted_uri(std::string& out, std::string_view target);

}  // namespace redoubt::apiserver::audit
