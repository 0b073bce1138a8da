// One request on its way through the pipeline: what each step works out for the next.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/auth/authorizer.h"
#include "apiserver/auth/user.h"
#include "apiserver/seat.h"
#include "base/status.h"
#include "net/http.h"
#include "schema/codec.h"
#include "schema/resource.h"
#include "schema/value.h"

namespace redoubt::apiserver {

// What a path means (upstream's RequestInfo).
struct RequestInfo {
  bool resource_request = false;
  std::string verb;
  std::string group, version, resource, subresource, namespace_, name;
  std::vector<std::string> rest;  // path segments after a proxy subresource
};

namespace pipeline {
class AuditTrail;
}

enum class Form { Json, Yaml, Protobuf };
enum class View { Object, Table, PartialMetadata };

class SeenAddresses;

struct Context {
  net::Request& request;
  net::Responder& responder;
  RequestInfo info;
  UserInfo user;                         // whose rights count
  std::optional<UserInfo> impersonator;  // who really asks, when that is somebody else
  std::vector<std::pair<std::string, std::string>> query;
  const schema::Resource* resource = nullptr;
  const schema::Subresource* subresource = nullptr;
  Form form = Form::Json;
  View view = View::Object;
  schema::Arena arena;
  std::vector<std::string> warnings;
  const SeenAddresses* seen_addresses = nullptr;  // of nodes; set by the step that authenticates
  Seat seat;
  pipeline::AuditTrail* audit = nullptr;  // null: nothing is audited
  // What the audit event says beside the request itself; add by annotate().
  std::vector<std::pair<std::string, std::string>> annotations;
  // Of the object that a request brought, for the audit event; views into the arena.
  std::string_view sent_name, sent_uid, sent_resource_version;

  // Any step or handler may add to the audit event: keys as upstream's or "redoubt.io/...", values short, nothing
  // secret. The first value of a key stays. Costs nothing when nothing is audited.
  void annotate(std::string_view key, std::string_view value) {
    if (audit == nullptr) return;
    for (const auto& [known, there] : annotations) {
      if (known == key) return;
    }
    annotations.emplace_back(key, value);
  }
  std::string_view param(std::string_view name) const {
    for (const auto& [key, value] : query) {
      if (key == name) return value;
    }
    return {};
  }
  bool flag(std::string_view name) const {
    std::string_view v = param(name);
    return v == "1" || v == "true" || v == "True" || v == "t" || v == "T";
  }
  GroupResource group_resource() const { return {std::string(info.group), std::string(info.resource)}; }
};

// From method, path and query. BadRequest for escapes that do not decode.
Result<RequestInfo> parse_request_info(const net::Request& request,
                                       const std::vector<std::pair<std::string, std::string>>& query);
// What the authorizers are asked. `query` decoded.
Attributes attributes_of(const RequestInfo& info, const net::Request& request,
                         const std::vector<std::pair<std::string, std::string>>& query);
// Picks the answer's form and view from Accept; NotAcceptable (406) when nothing offered fits.
Result<void> negotiate(Context& context);

}  // namespace redoubt::apiserver
