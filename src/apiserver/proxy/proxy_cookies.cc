#include "apiserver/proxy/proxy_cookies.h"

#include <openssl/evp.h>

#include <vector>

#include "base/encoding.h"

namespace redoubt::apiserver {

namespace {

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return out;
}

template <class Each>
void split(std::string_view text, const Each& each) {
  while (!text.empty()) {
    size_t semicolon = text.find(';');
    each(trim(text.substr(0, semicolon)));
    text = semicolon == std::string_view::npos ? std::string_view() : text.substr(semicolon + 1);
  }
}

}  // namespace

CookieScope::CookieScope(std::string prefix) : prefix_(std::move(prefix)) {
  unsigned char digest[32];
  EVP_Digest(prefix_.data(), prefix_.size(), digest, nullptr, EVP_sha256(), nullptr);
  tag_ = "rp" + hex_encode({reinterpret_cast<char*>(digest), 8}) + "-";
}

std::string CookieScope::inward(const net::Headers& request) const {
  std::string out;
  for (std::string_view header : request.get_all("cookie")) {
    split(header, [&](std::string_view pair) {
      if (!pair.starts_with(tag_)) return;
      if (!out.empty()) out += "; ";
      out += pair.substr(tag_.size());
    });
  }
  return out;
}

std::string CookieScope::outward_one(std::string_view cookie) const {
  std::string out;
  std::string path;
  bool first = true;
  split(cookie, [&](std::string_view part) {
    if (first) {
      first = false;
      if (part.find('=') != std::string_view::npos) out = tag_ + std::string(part);
      return;
    }
    std::string name = lower(trim(part.substr(0, part.find('='))));
    // A domain would share it with other hosts; the path is given anew.
    if (name == "domain") return;
    if (name == "path") {
      size_t equals = part.find('=');
      if (equals != std::string_view::npos) path = trim(part.substr(equals + 1));
      return;
    }
    out += "; ";
    out += part;
  });
  if (out.empty()) return out;
  if (!path.starts_with('/')) path = "/";
  return out + "; Path=" + (path.starts_with(prefix_) ? path : prefix_ + path);
}

void CookieScope::outward(net::Headers& answer) const {
  std::vector<std::string> changed;
  for (std::string_view cookie : answer.get_all("set-cookie")) {
    std::string one = outward_one(cookie);
    if (!one.empty()) changed.push_back(std::move(one));
  }
  answer.remove("set-cookie");
  for (std::string& one : changed) answer.add("set-cookie", std::move(one));
}

}  // namespace redoubt::apiserver
