// The URLs of the proxies to nodes, pods and Services: what names mean, what goes on to the backend, and how links of
// its answers lead back through the proxy. Plain functions of text.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace redoubt::apiserver {

// "[scheme:]name[:port]" as upstream splits it: "web", "web:80", "https:web:443", "https:web:".
struct ProxyName {
  std::string scheme;  // "", "http" or "https"
  std::string name;
  std::string port;  // "", a number, or a Service port's name
};
// Nothing when it is none of these forms.
std::optional<ProxyName> split_proxy_name(std::string_view id);

// A request's path at its "proxy" segment, percent-encoding kept.
struct ProxyPath {
  std::string prefix;  // up to and with "/proxy"
  std::string path;    // after it: empty, or starting with '/'; clean_path() of what came
};
// `segments` before the subresource: 4 for /api/v1/nodes/N, 6 for /api/v1/namespaces/NS/pods/P. Nothing when the
// segment behind them is not "proxy".
std::optional<ProxyPath> split_proxy_path(std::string_view path, size_t segments);

// Resolves "." and ".." (percent-encoded or not) and repeated slashes, as upstream's path.Join does, but keeps other
// escapes as they came; the result starts with '/' and never climbs above it. A trailing slash stays.
std::string clean_path(std::string_view path);

// True when text may stand in a request line: printable ASCII without blanks.
bool safe_target(std::string_view text);

// Leads links of a backend's answers back through the proxy.
class LinkRewriter {
 public:
  // `prefix` is the proxy's own path; `backend` "IP:PORT" as dialled; `authority` the host the client asked.
  LinkRewriter(std::string prefix, std::string backend, std::string authority)
      : prefix_(std::move(prefix)), backend_(std::move(backend)), authority_(std::move(authority)) {}
  // A URL of the backend's own host with an absolute path gets the prefix; everything else (other hosts, relative
  // paths, other schemes, what can't be read) stays as it is.
  std::string rewrite(std::string_view url) const;
  // True when the URL names a host that is neither the backend nor the one the client asked.
  bool leads_elsewhere(std::string_view url) const;

 private:
  std::string prefix_, backend_, authority_;
};

}  // namespace redoubt::apiserver
