#include "apiserver/auth/bearer_token.h"

#include <algorithm>
#include <cctype>

#include "apiserver/auth/authentication.h"
#include "base/encoding.h"

namespace redoubt::apiserver {

namespace {

constexpr std::string_view kSubprotocol = "base64url.bearer.authorization.k8s.io.";
constexpr std::string_view kProtocols = "sec-websocket-protocol";

bool equal_without_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
  });
}

template <class Each>
void for_each_protocol(const net::Headers& headers, Each each) {
  for (std::string_view field : headers.get_all(kProtocols)) {
    while (!field.empty()) {
      size_t comma = field.find(',');
      if (std::string_view one = trimmed(field.substr(0, comma)); !one.empty()) each(one);
      field = comma == std::string_view::npos ? std::string_view() : field.substr(comma + 1);
    }
  }
}

}  // namespace

std::string bearer_token(const net::Headers& headers) {
  if (auto header = headers.get("authorization")) {
    std::string_view text = trimmed(*header);
    size_t blank = text.find(' ');
    if (blank == std::string_view::npos || !equal_without_case(text.substr(0, blank), "bearer")) return {};
    return std::string(trimmed(text.substr(blank + 1)));
  }
  if (!headers.has(kProtocols)) return {};
  std::string token;
  bool other = false;
  int tokens = 0;
  for_each_protocol(headers, [&](std::string_view one) {
    if (!one.starts_with(kSubprotocol)) {
      other = true;
    } else {
      ++tokens;
      token = base64url_decode(one.substr(kSubprotocol.size())).value_or("");
    }
  });
  // Two tokens: which one is meant? And a WebSocket must speak something besides.
  return tokens == 1 && other ? token : std::string();
}

void remove_bearer_token(net::Headers& headers) {
  headers.remove("authorization");
  if (!headers.has(kProtocols)) return;
  std::string others;
  for_each_protocol(headers, [&](std::string_view one) {
    if (!one.starts_with(kSubprotocol)) others += (others.empty() ? "" : ", ") + std::string(one);
  });
  if (others.empty()) {
    headers.remove(kProtocols);
  } else {
    headers.set(std::string(kProtocols), others);
  }
}

}  // namespace redoubt::apiserver
