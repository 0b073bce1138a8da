#include <fmt/format.h>

#include "base/json_text.h"
#include "paths/report.h"
#include "schema/codec.h"

namespace redoubt::paths {

namespace {

// Writes an object's members with their commas; empty texts and absent numbers are left out.
class Object {
 public:
  explicit Object(std::string& out) : out_(out) { out_ += '{'; }
  ~Object() { out_ += '}'; }
  Object(const Object&) = delete;
  void text(std::string_view key, std::string_view value) {
    if (value.empty()) return;
    name(key);
    append_json_string(out_, value);
  }
  void number(std::string_view key, std::optional<int64_t> value) {
    if (!value) return;
    name(key);
    out_ += std::to_string(*value);
  }
  void boolean(std::string_view key, bool value) {
    name(key);
    out_ += value ? "true" : "false";
  }
  std::string& name(std::string_view key) {
    if (!first_) out_ += ',';
    first_ = false;
    append_json_string(out_, key);
    out_ += ':';
    return out_;
  }

 private:
  std::string& out_;
  bool first_ = true;
};

template <class List, class Each>
void append_list(Object& object, std::string_view key, const List& list, Each each) {
  std::string& out = object.name(key);
  out += '[';
  bool first = true;
  for (const auto& item : list) {
    if (!first) out += ',';
    first = false;
    each(item);
  }
  out += ']';
}

void append_tunnel(std::string& out, const TunnelSeen& t) {
  Object tunnel(out);
  tunnel.text("kind", t.kind);
  tunnel.text("node", t.node);
  tunnel.text("peer", t.peer);
  tunnel.text("identity", t.identity);
  tunnel.boolean("up", t.up);
  if (t.since) tunnel.text("since", format_rfc3339(*t.since));
  tunnel.number("streams", t.streams);
  tunnel.number("bytesToNode", t.bytes_to_node);
  tunnel.number("bytesFromNode", t.bytes_from_node);
  if (t.round_trip) tunnel.number("roundTripMicroseconds", t.round_trip->count());
  tunnel.text("lastError", t.last_error);
}

}  // namespace

std::string report_json(const Report& report) {
  std::string out;
  {
    Object top(out);
    top.text("apiVersion", "redoubt.io/v1alpha1");
    top.text("kind", "PathReport");
    top.text("cluster", report.cluster);
    top.text("serverVersion", report.server_version);
    top.text("time", format_rfc3339(report.at));
    top.text("verdict", verdict_name(report.worst()));
    top.boolean("probed", report.probed);
    append_list(top, "paths", report.observations, [&](const Observation& o) {
      Object row(out);
      row.text("path", o.path);
      row.text("from", o.from);
      row.text("to", o.to);
      row.text("node", o.node);
      row.number("live", o.live);
      row.text("tlsVersion", o.tls_version);
      row.text("cipher", o.cipher);
      row.text("tunnel", o.tunnel);
      row.text("clientIdentity", o.client_identity);
      row.text("serverIdentity", o.server_identity);
      row.text("authorization", o.authorization);
      row.text("verifiedBy", o.verified_by);
      row.number("daysLeft", o.days_left);
      if (!o.tunnels.empty())
        append_list(row, "tunnels", o.tunnels, [&](const TunnelSeen& t) { append_tunnel(out, t); });
      row.text("verdict", verdict_name(o.verdict()));
      append_list(row, "findings", o.findings, [&](const Finding& f) {
        Object finding(out);
        finding.text("id", f.id);
        finding.text("verdict", verdict_name(f.verdict));
        finding.text("saw", f.saw);
        finding.text("advice", f.advice);
      });
    });
    append_list(top, "probes", report.probes, [&](const ProbeResult& p) {
      Object row(out);
      row.text("id", p.id);
      row.text("path", p.path);
      row.text("node", p.node);
      row.text("did", p.did);
      row.text("saw", p.saw);
      row.text("verdict", verdict_name(p.verdict));
      row.text("advice", p.advice);
    });
  }
  return out;
}

std::string report_yaml(const Report& report) {
  schema::Arena arena;
  std::string json = report_json(report);
  auto value = schema::parse_json(json, arena, {.max_bytes = SIZE_MAX});
  return value ? schema::to_yaml(*value) : std::string();
}

}  // namespace redoubt::paths
