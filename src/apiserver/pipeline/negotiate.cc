#include "apiserver/aggregation/aggregator.h"
#include "apiserver/pipeline/pipeline.h"

namespace redoubt::apiserver {

namespace {

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

}  // namespace

Result<void> negotiate(Context& context) {
  auto accept = context.request.headers.get("accept");
  if (!accept || accept->empty()) return {};
  std::string_view rest = *accept;
  while (!rest.empty()) {
    size_t comma = rest.find(',');
    std::string_view item = trim(rest.substr(0, comma));
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    std::string_view type = trim(item.substr(0, item.find(';')));
    std::string_view as, version, group;
    for (size_t semi = item.find(';'); semi != std::string_view::npos;) {
      size_t next = item.find(';', semi + 1);
      std::string_view parameter = trim(item.substr(semi + 1, next == std::string_view::npos ? next : next - semi - 1));
      if (parameter.starts_with("as=")) as = parameter.substr(3);
      if (parameter.starts_with("v=")) version = parameter.substr(2);
      if (parameter.starts_with("g=")) group = parameter.substr(2);
      semi = next;
    }
    if (type == "application/json" || type == "*/*" || type == "application/*") {
      context.form = Form::Json;
    } else if (type == "application/yaml") {
      context.form = Form::Yaml;
    } else if (type == "application/vnd.kubernetes.protobuf") {
      context.form = Form::Protobuf;
    } else {
      continue;
    }
    if (as.empty()) {
      context.view = View::Object;
      return {};
    }
    if (group != "meta.k8s.io" || version != "v1" || context.form == Form::Protobuf) continue;
    if (as == "Table") {
      context.view = View::Table;
      return {};
    }
    if (as == "PartialObjectMetadata" || as == "PartialObjectMetadataList") {
      context.view = View::PartialMetadata;
      return {};
    }
  }
  return not_acceptable(
      "only the following media types are accepted: application/json, application/yaml, "
      "application/vnd.kubernetes.protobuf");
}

namespace pipeline {

// A path that is no resource answers in whatever form it has; so do a log, a connection, a proxied backend and an
// extension API server.
Verdict negotiate(Services& s, Context& c) {
  auto ok = apiserver::negotiate(c);
  const std::string& sub = c.info.subresource;
  bool other = sub == "proxy" || sub == "log" || sub == "exec" || sub == "attach" || sub == "portforward";
  if (ok || other || !c.info.resource_request) return {};
  if (s.aggregator && s.aggregator->server_of(c.request.path)) return {};
  return Error(ok.error());
}

}  // namespace pipeline

}  // namespace redoubt::apiserver
