#include "apiserver/proxy/proxy_url.h"

#include <algorithm>
#include <vector>

namespace redoubt::apiserver {

namespace {

struct UrlParts {
  std::string_view scheme;
  bool has_authority = false;
  std::string_view authority;
  std::string_view path;  // up to '?' or '#'
  std::string_view rest;  // from there
};

std::optional<UrlParts> parse_url(std::string_view url) {
  UrlParts out;
  for (char c : url) {
    if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7F || c == '\\') return std::nullopt;
  }
  size_t end = url.find_first_of(":/?#");
  if (end != std::string_view::npos && url[end] == ':') {
    if (end == 0) return std::nullopt;
    out.scheme = url.substr(0, end);
    url.remove_prefix(end + 1);
  }
  if (url.starts_with("//")) {
    out.has_authority = true;
    url.remove_prefix(2);
    size_t slash = url.find_first_of("/?#");
    out.authority = url.substr(0, slash);
    url = slash == std::string_view::npos ? std::string_view() : url.substr(slash);
  }
  size_t tail = url.find_first_of("?#");
  out.path = url.substr(0, tail);
  if (tail != std::string_view::npos) out.rest = url.substr(tail);
  return out;
}

std::string_view host_of(std::string_view authority) {
  size_t at = authority.rfind('@');
  return at == std::string_view::npos ? authority : authority.substr(at + 1);
}

// "." or "..", with either dot as %2e: 1, 2, or 0 for anything else.
int dots(std::string_view segment) {
  int count = 0;
  while (!segment.empty()) {
    if (segment[0] == '.') {
      segment.remove_prefix(1);
    } else if (segment.starts_with("%2e") || segment.starts_with("%2E")) {
      segment.remove_prefix(3);
    } else {
      return 0;
    }
    if (++count > 2) return 0;
  }
  return count;
}

}  // namespace

std::optional<ProxyName> split_proxy_name(std::string_view id) {
  std::vector<std::string> parts;
  for (size_t from = 0;;) {
    size_t colon = id.find(':', from);
    parts.emplace_back(id.substr(from, colon - from));
    if (colon == std::string_view::npos) break;
    from = colon + 1;
  }
  ProxyName out;
  if (parts.size() == 1) {
    out.name = parts[0];
  } else if (parts.size() == 2) {
    out.name = parts[0];
    out.port = parts[1];
  } else if (parts.size() == 3) {
    out.scheme = parts[0];
    out.name = parts[1];
    out.port = parts[2];
  } else {
    return std::nullopt;
  }
  if (out.name.empty() || (!out.scheme.empty() && out.scheme != "http" && out.scheme != "https")) return std::nullopt;
  return out;
}

std::string clean_path(std::string_view path) {
  std::vector<std::string_view> kept;
  bool slash_at_end = false;
  while (!path.empty()) {
    if (path[0] == '/') {
      path.remove_prefix(1);
      slash_at_end = true;
      continue;
    }
    size_t end = path.find('/');
    std::string_view segment = path.substr(0, end);
    path = end == std::string_view::npos ? std::string_view() : path.substr(end);
    int climb = dots(segment);
    slash_at_end = climb > 0;
    if (climb == 2) {
      if (!kept.empty()) kept.pop_back();
    } else if (climb == 0) {
      kept.push_back(segment);
    }
  }
  std::string out;
  for (std::string_view segment : kept) {
    out += '/';
    out += segment;
  }
  if (out.empty() || slash_at_end) out += '/';
  return out;
}

std::optional<ProxyPath> split_proxy_path(std::string_view path, size_t segments) {
  size_t at = 0;
  for (size_t i = 0; i < segments; ++i) {
    if (at >= path.size() || path[at] != '/') return std::nullopt;
    at = path.find('/', at + 1);
    if (at == std::string_view::npos) return std::nullopt;
  }
  size_t end = path.find('/', at + 1);
  if (path.substr(at, end - at) != "/proxy") return std::nullopt;
  ProxyPath out;
  out.prefix = path.substr(0, end);
  if (end != std::string_view::npos) out.path = clean_path(path.substr(end));
  return out;
}

bool safe_target(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > 0x20 && c < 0x7F; });
}

bool LinkRewriter::leads_elsewhere(std::string_view url) const {
  auto parts = parse_url(url);
  if (!parts) return true;
  if (!parts->has_authority) return !parts->scheme.empty();
  std::string_view host = host_of(parts->authority);
  return host != backend_ && host != authority_;
}

std::string LinkRewriter::rewrite(std::string_view url) const {
  auto parts = parse_url(url);
  if (!parts || !parts->path.starts_with('/')) return std::string(url);
  if (!parts->scheme.empty() && parts->scheme != "http" && parts->scheme != "https") return std::string(url);
  std::string_view host = host_of(parts->authority);
  if (!host.empty() && host != backend_ && host != authority_) return std::string(url);
  std::string out;
  // The host that the client asked may stay; the backend's own means nothing to it.
  if (!host.empty() && host == authority_) {
    if (!parts->scheme.empty()) out = std::string(parts->scheme) + ":";
    out += "//" + std::string(parts->authority);
  }
  if (parts->path.starts_with(prefix_)) {
    out += parts->path;
  } else {
    out += prefix_ + clean_path(parts->path);
  }
  return out + std::string(parts->rest);
}

}  // namespace redoubt::apiserver
