#include "dial/proxy.h"

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>

#include "base/encoding.h"
#include "dial/http_connect.h"
#include "net/http.h"
#include "net/tcp.h"
#include "net/tls.h"

namespace redoubt::net {

namespace ip = boost::asio::ip;

namespace {

std::string variable(const char* upper, const char* lower) {
  const char* value = std::getenv(upper);
  if (value == nullptr || *value == '\0') value = std::getenv(lower);
  return value == nullptr ? "" : value;
}

std::string lower_case(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

bool in_network(const ip::address& address, const std::string& cidr) {
  boost::system::error_code error;
  if (address.is_v4()) {
    auto network = ip::make_network_v4(cidr, error);
    return !error && network.canonical() == ip::network_v4(address.to_v4(), network.prefix_length()).canonical();
  }
  auto network = ip::make_network_v6(cidr, error);
  return !error && network.canonical() == ip::network_v6(address.to_v6(), network.prefix_length()).canonical();
}

// One entry of NO_PROXY against a host (lower case, no brackets).
bool matches(std::string_view entry, const std::string& host, uint16_t port) {
  std::string text = lower_case(entry);
  if (text == "*") return true;
  boost::system::error_code no_address;
  ip::address address = ip::make_address(host, no_address);
  if (text.find('/') != std::string::npos) return !no_address && in_network(address, text);
  // With a port only that one.
  size_t colon = text.rfind(':');
  bool bracketed = text.starts_with('[');
  if (colon != std::string::npos && (bracketed ? text[colon - 1] == ']' : text.find(':') == colon)) {
    if (text.substr(colon + 1) != std::to_string(port)) return false;
    text.resize(colon);
  }
  if (bracketed && text.ends_with(']')) text = text.substr(1, text.size() - 2);
  if (text.starts_with("*.")) text.erase(0, 1);
  if (!no_address) {
    boost::system::error_code error;
    return ip::make_address(text, error) == address && !error;
  }
  // ".example.com" means what is below it, "example.com" itself too.
  if (text.starts_with('.')) return host.ends_with(text);
  return host == text ||
         (host.size() > text.size() && host.ends_with(text) && host[host.size() - text.size() - 1] == '.');
}

}  // namespace

ProxySettings ProxySettings::from_environment() {
  return {variable("HTTPS_PROXY", "https_proxy"), variable("NO_PROXY", "no_proxy")};
}

Result<std::optional<Proxy>> proxy_for(const ProxySettings& settings, const Address& target) {
  if (settings.https_proxy.empty()) return std::optional<Proxy>();
  std::string host = lower_case(target.host);
  boost::system::error_code no_address;
  ip::address address = ip::make_address(host, no_address);
  if (host == "localhost" || (!no_address && address.is_loopback())) return std::optional<Proxy>();
  std::string_view rest = settings.no_proxy;
  while (!rest.empty()) {
    size_t comma = std::min(rest.find(','), rest.size());
    std::string_view entry = rest.substr(0, comma);
    rest.remove_prefix(std::min(comma + 1, rest.size()));
    while (!entry.empty() && entry.front() == ' ') entry.remove_prefix(1);
    while (!entry.empty() && entry.back() == ' ') entry.remove_suffix(1);
    if (!entry.empty() && matches(entry, host, target.port)) return std::optional<Proxy>();
  }
  std::string_view url = settings.https_proxy;
  Proxy out;
  if (url.starts_with("https://")) {
    out.tls = true;
    url.remove_prefix(8);
  } else if (url.starts_with("http://")) {
    url.remove_prefix(7);
  } else if (url.find("://") != std::string_view::npos) {
    return bad_request("HTTPS_PROXY: only http:// and https:// proxies are spoken");
  }
  url = url.substr(0, url.find('/'));
  if (size_t at = url.rfind('@'); at != std::string_view::npos) {
    auto credential = percent_decode(url.substr(0, at));
    if (!credential) return bad_request("HTTPS_PROXY holds a malformed percent escape");
    out.authorization = "Basic " + base64_encode(*credential);
    url.remove_prefix(at + 1);
  }
  std::string authority(url);
  if (authority.rfind(':') == std::string::npos || authority.ends_with(']')) authority += out.tls ? ":443" : ":80";
  auto parsed = parse_address(authority);
  if (!parsed || parsed->host.empty()) return bad_request("HTTPS_PROXY names no host and port");
  out.address = *parsed;
  return std::optional<Proxy>(std::move(out));
}

Task<Result<StreamPtr>> dial_out(Address target, ProxySettings settings, std::chrono::milliseconds timeout) {
  RD_CO_TRY(std::optional<Proxy> proxy, proxy_for(settings, target));
  if (!proxy) co_return co_await tcp_connect(std::move(target), timeout);
  auto stream = co_await tcp_connect(proxy->address, timeout);
  if (!stream) co_return Error(stream.error().with_context("HTTPS_PROXY"));
  if (proxy->tls) {
    RD_CO_TRY(auto context, TlsClientContext::make({}));
    auto tls = co_await tls_connect(std::move(*stream), context, proxy->address.host, true);
    if (!tls) co_return Error(tls.error().with_context("HTTPS_PROXY"));
    stream = std::move(tls->stream);
  }
  co_return co_await http_connect(std::move(*stream), target.to_string(), proxy->authorization, timeout);
}

}  // namespace redoubt::net
