#include "apiserver/audit/event.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>

#include "apiserver/audit/limits.h"
#include "base/json_text.h"

namespace redoubt::apiserver::audit {

namespace {

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// The address as it is usually written; IPv4 inside IPv6 as IPv4; empty when it is none.
std::string canonical_ip(std::string_view text) {
  char buffer[INET6_ADDRSTRLEN];
  if (text.empty() || text.size() >= sizeof buffer) return {};
  std::string zero_ended(text);
  in_addr v4{};
  if (inet_pton(AF_INET, zero_ended.c_str(), &v4) == 1) return inet_ntop(AF_INET, &v4, buffer, sizeof buffer);
  in6_addr v6{};
  if (inet_pton(AF_INET6, zero_ended.c_str(), &v6) != 1) return {};
  if (IN6_IS_ADDR_V4MAPPED(&v6)) return inet_ntop(AF_INET, &v6.s6_addr[12], buffer, sizeof buffer);
  return inet_ntop(AF_INET6, &v6, buffer, sizeof buffer);
}

bool names_credential(std::string_view key) {
  constexpr std::string_view kNames[] = {"access_token",  "token",    "id_token", "refresh_token",
                                         "client_secret", "password", "api_key",  "apikey"};
  std::string lower(key);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return std::find(std::begin(kNames), std::end(kNames), lower) != std::end(kNames);
}

void append_string(std::string& out, std::string_view name, std::string_view value) {
  out += ",\"";
  out += name;
  out += "\":";
  append_json_string(out, value);
}

void append_member(std::string& out, std::string_view name, std::string_view value) {
  if (value.empty()) return;
  if (out.back() != '{') out += ',';
  out += '"';
  out += name;
  out += "\":";
  append_json_string(out, value);
}

void append_list(std::string& out, const std::vector<std::string>& list) {
  out += '[';
  for (size_t i = 0; i < list.size(); ++i) {
    if (i > 0) out += ',';
    append_json_string(out, list[i]);
  }
  out += ']';
}

void append_user(std::string& out, const UserInfo* user) {
  out += '{';
  if (user != nullptr) {
    append_member(out, "username", user->name);
    append_member(out, "uid", user->uid);
    if (!user->groups.empty()) {
      out += out.back() == '{' ? "\"groups\":" : ",\"groups\":";
      append_list(out, user->groups);
    }
    if (!user->extra.empty()) {
      out += out.back() == '{' ? "\"extra\":{" : ",\"extra\":{";
      for (const auto& [key, values] : user->extra) {
        if (out.back() != '{') out += ',';
        append_json_string(out, key);
        out += ':';
        append_list(out, values);
      }
      out += '}';
    }
  }
  out += '}';
}

void append_user_agent(std::string& out, const net::Request& request) {
  std::string_view agent = request.headers.get("user-agent").value_or("");
  if (agent.empty()) return;
  if (agent.size() <= kMaxUserAgentBytes) return append_string(out, "userAgent", agent);
  append_string(out, "userAgent", std::string(agent.substr(0, kMaxUserAgentBytes)) + "...TRUNCATED");
}

void append_object_ref(std::string& out, const Event& event) {
  const Subject& s = event.subject;
  if (!s.resource_request) return;
  out += ",\"objectRef\":{";
  append_member(out, "resource", s.resource);
  append_member(out, "namespace", s.namespace_);
  append_member(out, "name", s.name);
  append_member(out, "uid", event.object_uid);
  append_member(out, "apiGroup", s.group);
  append_member(out, "apiVersion", event.api_version);
  append_member(out, "resourceVersion", event.object_resource_version);
  append_member(out, "subresource", s.subresource);
  out += '}';
}

void append_response_status(std::string& out, const Event& event) {
  if (event.code == 0 && event.closed_early.empty()) return;
  out += ",\"responseStatus\":";
  if (event.failure != nullptr) {
    // A Status without what makes it an object of its own.
    std::string status = event.failure->to_json();
    constexpr std::string_view kHead = R"({"kind":"Status","apiVersion":"v1",)";
    while (!status.empty() && status.back() == '\n') status.pop_back();
    out += '{';
    out += std::string_view(status).substr(kHead.size());
    return;
  }
  out += "{\"metadata\":{}";
  if (!event.closed_early.empty()) {
    append_string(out, "status", "Success");
    append_string(out, "message", event.closed_early);
  }
  fmt::format_to(std::back_inserter(out), ",\"code\":{}}}", event.code == 0 ? 200 : event.code);
}

std::string quoted_list(const std::vector<std::string>& list) {
  std::string out;
  for (const std::string& item : list) {
    if (!out.empty()) out += ',';
    append_json_string(out, item);
  }
  return out;
}

}  // namespace

std::vector<std::string> source_ips(const net::Request& request) {
  std::vector<std::string> out;
  std::string_view rest = request.headers.get("x-forwarded-for").value_or("");
  while (!rest.empty() && out.size() < kMaxForwardedAddresses) {
    size_t comma = rest.find(',');
    std::string ip = canonical_ip(trim(rest.substr(0, comma)));
    rest = comma == std::string_view::npos ? std::string_view() : rest.substr(comma + 1);
    if (!ip.empty()) out.push_back(std::move(ip));
  }
  if (std::string real = canonical_ip(trim(request.headers.get("x-real-ip").value_or("")));
      !real.empty() && std::find(out.begin(), out.end(), real) == out.end())
    out.push_back(std::move(real));
  if (request.connection) {
    std::string remote = canonical_ip(request.connection->remote_address);
    if (!remote.empty() && (out.empty() || out.back() != remote)) out.push_back(std::move(remote));
  }
  return out;
}

void append_redacted_uri(std::string& out, std::string_view target) {
  size_t mark = target.find('?');
  out += target.substr(0, mark);
  if (mark == std::string_view::npos) return;
  std::string_view rest = target.substr(mark + 1);
  char separator = '?';
  while (true) {
    size_t end = rest.find('&');
    std::string_view pair = rest.substr(0, end);
    size_t equals = pair.find('=');
    out += separator;
    auto key = net::percent_decode(pair.substr(0, equals), true);
    if (equals != std::string_view::npos && key && names_credential(*key)) {
      out += pair.substr(0, equals + 1);
      out += "REDACTED";
    } else {
      out += pair;
    }
    if (end == std::string_view::npos) return;
    rest.remove_prefix(end + 1);
    separator = '&';
  }
}

void append_json(std::string& out, const Event& event) {
  out += R"({"kind":"Event","apiVersion":"audit.k8s.io/v1","level":")";
  out += level_name(event.level);
  out += '"';
  append_string(out, "auditID", event.audit_id);
  append_string(out, "stage", stage_name(event.stage));
  std::string uri;
  append_redacted_uri(uri, event.request->target);
  append_string(out, "requestURI", uri);
  append_string(out, "verb", event.subject.verb);
  out += ",\"user\":";
  append_user(out, event.subject.user);
  if (event.impersonated != nullptr) {
    out += ",\"impersonatedUser\":";
    append_user(out, event.impersonated);
  }
  if (auto ips = source_ips(*event.request); !ips.empty()) {
    out += ",\"sourceIPs\":";
    append_list(out, ips);
  }
  append_user_agent(out, *event.request);
  append_object_ref(out, event);
  append_response_status(out, event);
  if (!event.request_object.empty() && !event.truncated) {
    out += ",\"requestObject\":";
    out += event.request_object;
  }
  if (!event.response_object.empty() && !event.truncated) {
    out += ",\"responseObject\":";
    out += event.response_object;
  }
  append_string(out, "requestReceivedTimestamp", format_rfc3339_micro(event.received));
  append_string(out, "stageTimestamp", format_rfc3339_micro(event.at));
  if ((event.annotations != nullptr && !event.annotations->empty()) || event.truncated) {
    out += ",\"annotations\":{";
    if (event.truncated) out += R"("audit.k8s.io/truncated":"true")";
    if (event.annotations != nullptr) {
      for (const auto& [key, value] : *event.annotations) {
        if (out.back() != '{') out += ',';
        append_json_string(out, key);
        out += ':';
        append_json_string(out, value);
      }
    }
    out += '}';
  }
  out += "}\n";
}

void append_legacy(std::string& out, const Event& event) {
  auto quoted = [](std::string_view text) {
    std::string q;
    append_json_string(q, text);
    return q;
  };
  const UserInfo* user = event.subject.user;
  const UserInfo* as = event.impersonated;
  bool named = user != nullptr && !user->name.empty();
  auto ips = source_ips(*event.request);
  std::string uri;
  append_redacted_uri(uri, event.request->target);
  std::string_view agent = event.request->headers.get("user-agent").value_or("");
  fmt::format_to(std::back_inserter(out),
                 "{} AUDIT: id={} stage={} ip={} method={} user={} groups={} as={} asgroups={} user-agent={} "
                 "namespace={} uri={} response=\"{}\"\n",
                 format_rfc3339_micro(event.received), quoted(event.audit_id), quoted(stage_name(event.stage)),
                 quoted(ips.empty() ? "<unknown>" : ips.front()), quoted(event.subject.verb),
                 quoted(named ? user->name : "<none>"),
                 quoted(named && !user->groups.empty() ? quoted_list(user->groups) : "<none>"),
                 quoted(as != nullptr ? as->name : "<self>"),
                 quoted(as != nullptr && !as->groups.empty() ? quoted_list(as->groups) : "<lookup>"),
                 quoted(agent.substr(0, kMaxUserAgentBytes)),
                 quoted(event.subject.namespace_.empty() ? "<none>" : event.subject.namespace_), quoted(uri),
                 event.code == 0 && event.closed_early.empty() ? "<deferred>" : std::to_string(event.code));
}

}  // namespace redoubt::apiserver::audit
