#include "apiserver/auth/front_proxy.h"

#include <algorithm>
#include <cctype>

namespace redoubt::apiserver {

namespace {

// Headers come with lower-case names.
void lower(std::vector<std::string>& names) {
  for (std::string& name : names) {
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
}

std::string_view first_value(const net::Headers& headers, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    if (auto value = headers.get(name); value && !value->empty()) return *value;
  }
  return {};
}

}  // namespace

FrontProxy::FrontProxy(FrontProxyOptions options) : options_(std::move(options)) {
  lower(options_.username_headers);
  lower(options_.uid_headers);
  lower(options_.group_headers);
  lower(options_.extra_headers_prefixes);
  std::erase(options_.extra_headers_prefixes, "");  // it would fit every header
  if (options_.client_ca) verifier_ = std::make_unique<CertificateVerifier>(options_.client_ca);
}

Attempt FrontProxy::authenticate(const net::Request& request) const {
  if (!verifier_ || !request.connection || request.connection->peer_certificates.empty()) return {};
  std::string_view name = first_value(request.headers, options_.username_headers);
  if (name.empty()) return {};
  auto leaf = verifier_->verify(*request.connection);
  // A certificate of another authority is a client's own: the headers are not looked at.
  if (!leaf) return {};
  const auto& allowed = options_.allowed_names;
  if (!allowed.empty() && std::find(allowed.begin(), allowed.end(), (*leaf)->subject.common_name) == allowed.end())
    return unauthorized(fmt::format("x509: subject with cn={} is not in the allowed list of front proxies",
                                    (*leaf)->subject.common_name));
  Authentication out;
  out.user.name = name;
  out.user.uid = first_value(request.headers, options_.uid_headers);
  for (const std::string& header : options_.group_headers) {
    for (std::string_view group : request.headers.get_all(header)) out.user.groups.emplace_back(group);
  }
  for (const auto& [header, value] : request.headers) {
    for (const std::string& prefix : options_.extra_headers_prefixes) {
      if (!header.starts_with(prefix)) continue;
      std::string_view escaped = std::string_view(header).substr(prefix.size());
      out.user.extra[net::percent_decode(escaped).value_or(std::string(escaped))].push_back(value);
    }
  }
  return out;
}

void FrontProxy::clear(net::Headers& headers) const {
  std::vector<std::string> found;
  auto is_one_of = [](const std::vector<std::string>& names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  for (const auto& [name, value] : headers) {
    bool says_who = name.starts_with("x-remote-") || is_one_of(options_.username_headers, name) ||
                    is_one_of(options_.uid_headers, name) || is_one_of(options_.group_headers, name);
    for (const std::string& prefix : options_.extra_headers_prefixes) says_who = says_who || name.starts_with(prefix);
    if (says_who) found.push_back(name);
  }
  for (const std::string& name : found) headers.remove(name);
}

}  // namespace redoubt::apiserver
