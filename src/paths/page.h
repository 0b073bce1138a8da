// The report as one web page: a map of control plane, nodes and paths, green, amber and red, with details of what is
// chosen. One file: style, script and data are in it, and nothing is loaded from elsewhere.
#pragma once
#include <string>

#include "paths/observation.h"

namespace redoubt::paths {

struct PageOptions {
  std::string live_url;  // where the page asks for a newer report; empty: it stays as it is
};
std::string report_page(const Report& report, const PageOptions& options);
// What a server sends with it: nothing may be loaded but the page's own parts.
inline constexpr std::string_view kPageContentSecurityPolicy =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'";

}  // namespace redoubt::paths
