#include <strings.h>

#include <algorithm>

#include "apiserver/pipeline/pipeline.h"
#include "apiserver/selectors.h"

namespace redoubt::apiserver {

namespace {

std::string verb_of(const std::string& method) {
  if (method == "POST") return "create";
  if (method == "GET" || method == "HEAD") return "get";
  if (method == "PUT") return "update";
  if (method == "PATCH") return "patch";
  if (method == "DELETE") return "delete";
  std::string lower = method;
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

std::string_view find(const std::vector<std::pair<std::string, std::string>>& query, std::string_view name) {
  for (const auto& [key, value] : query) {
    if (key == name) return value;
  }
  return {};
}

}  // namespace

Result<RequestInfo> parse_request_info(const net::Request& request,
                                       const std::vector<std::pair<std::string, std::string>>& query) {
  RequestInfo info;
  info.verb = verb_of(request.method);
  std::vector<std::string> parts;
  std::string_view path = request.path;
  while (!path.empty()) {
    path.remove_prefix(1);
    size_t slash = path.find('/');
    auto segment = net::percent_decode(path.substr(0, slash));
    if (!segment) return bad_request("the path holds a malformed percent escape");
    if (!segment->empty() || slash != std::string_view::npos) parts.push_back(std::move(*segment));
    path = slash == std::string_view::npos ? std::string_view() : path.substr(slash);
  }
  if (parts.size() < 3 || (parts[0] != "api" && parts[0] != "apis")) return info;
  size_t at = 1;
  if (parts[0] == "apis") {
    if (parts.size() < 4) return info;
    info.group = parts[at++];
  }
  info.version = parts[at++];
  info.resource_request = true;
  // The old form of a watch: /api/v1/watch/...
  if (parts[at] == "watch" && parts.size() > at + 1) {
    info.verb = "watch";
    ++at;
  }
  if (parts[at] == "namespaces" && parts.size() > at + 1) {
    info.namespace_ = parts[at + 1];
    bool is_namespace_itself = parts.size() == at + 2 ||
                               (parts.size() == at + 3 && (parts[at + 2] == "status" || parts[at + 2] == "finalize"));
    if (!is_namespace_itself) at += 2;
  }
  std::vector<std::string> rest(parts.begin() + static_cast<ptrdiff_t>(at), parts.end());
  if (!rest.empty()) info.resource = rest[0];
  if (rest.size() > 1) info.name = rest[1];
  if (rest.size() > 2) info.subresource = rest[2];
  if (rest.size() > 3) info.rest.assign(rest.begin() + 3, rest.end());
  if (!info.rest.empty() && info.subresource != "proxy" &&
      std::ranges::any_of(schema::builtin_resources(), [&](const auto& r) { return r.group == info.group; })) {
    // Nothing but a proxy goes deeper here: no such path. What extension API servers serve may.
    info.resource.clear();
  }
  if (info.name.empty() && info.verb == "get") {
    std::string_view watch = find(query, "watch");
    // Anything but "0" and "false", in whichever case, means yes, as upstream reads it: clients write "true", "1" and
    // "True".
    bool no = watch.empty() || watch == "0" || (watch.size() == 5 && strncasecmp(watch.data(), "false", 5) == 0);
    info.verb = no ? "list" : "watch";
  } else if (info.name.empty() && info.verb == "delete") {
    info.verb = "deletecollection";
  }
  // A list or watch of one name, by field selector, is authorized for that name.
  if (info.name.empty() && (info.verb == "list" || info.verb == "watch" || info.verb == "deletecollection")) {
    std::string_view selector = find(query, "fieldSelector");
    constexpr std::string_view kName = "metadata.name=";
    if (selector.starts_with(kName) && selector.find(',') == std::string_view::npos) {
      std::string_view name = selector.substr(kName.size());
      if (name.starts_with('=')) name.remove_prefix(1);
      info.name = name;
    }
  }
  return info;
}

Attributes attributes_of(const RequestInfo& info, const net::Request& request,
                         const std::vector<std::pair<std::string, std::string>>& query) {
  Attributes a;
  a.verb = info.verb;
  a.resource_request = info.resource_request;
  if (!info.resource_request) {
    a.verb = request.method;
    for (char& c : a.verb) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (a.verb == "head") a.verb = "get";
    a.path = request.path;
    return a;
  }
  a.api_group = info.group;
  a.api_version = info.version;
  a.resource = info.resource;
  a.subresource = info.subresource;
  a.namespace_ = info.namespace_;
  a.name = info.name;
  if (auto selector = find(query, "fieldSelector"); !selector.empty()) {
    a.field_equals = parse_field_equals(selector);
    if (auto parsed = FieldSelector::parse(selector)) a.field_requirements = parsed->requirements();
  }
  if (auto selector = find(query, "labelSelector"); !selector.empty()) {
    if (auto parsed = LabelSelector::parse(selector)) a.label_requirements = parsed->requirements();
  }
  // Running a command or reaching into a pod is authorized as what it is, not as the GET that a WebSocket happens to
  // be.
  if (info.resource == "pods" && info.group.empty() &&
      (info.subresource == "exec" || info.subresource == "attach" || info.subresource == "portforward"))
    a.verb = "create";
  // A proxy with an upgrade opens a channel in both directions: on a node that is a shell (`nodes/proxy` of its
  // kubelet's exec). Who may only read through a proxy gets none.
  if ((info.resource == "nodes" || info.resource == "pods" || info.resource == "services") && info.group.empty() &&
      info.subresource == "proxy" && request.wants_upgrade())
    a.verb = "create";
  return a;
}

namespace pipeline {

Verdict request_info(Services&, Context& c) {
  auto info = parse_request_info(c.request, c.query);
  if (!info) return Error(info.error());
  c.info = std::move(*info);
  return {};
}

}  // namespace pipeline

}  // namespace redoubt::apiserver
