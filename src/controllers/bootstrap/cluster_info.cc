#include "controllers/bootstrap/cluster_info.h"

#include "base/encoding.h"
#include "base/json_text.h"

namespace redoubt::controllers {

namespace {
constexpr size_t kMaxEnded = 100;
}

std::string cluster_info_kubeconfig(const ClusterInfo& info) {
  std::string server;
  append_json_string(server, info.server);
  return fmt::format(
      "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {}\n    server: {}\n  name: \"\"\n"
      "contexts: null\ncurrent-context: \"\"\nkind: Config\npreferences: {{}}\nusers: null\n",
      base64_encode(info.ca_bundle), server);
}

std::map<std::string, std::string> cluster_info_data(const ClusterInfo& info, const std::vector<TokenSecret>& tokens,
                                                     Timestamp present) {
  std::map<std::string, std::string> out;
  std::string kubeconfig = cluster_info_kubeconfig(info);
  for (const TokenSecret& one : tokens) {
    if (one.signs && !one.is_over(present))
      out["jws-kubeconfig-" + one.token.id] = pki::sign_detached(kubeconfig, one.token);
  }
  out["kubeconfig"] = std::move(kubeconfig);
  out["kubelet-ca.crt"] = info.kubelet_ca_bundle;
  out["client-ca.crt"] = info.client_ca_bundle;
  return out;
}

std::vector<EndedToken> parse_ended_tokens(std::string_view annotation) {
  std::vector<EndedToken> out;
  while (!annotation.empty() && out.size() < kMaxEnded) {
    size_t end = annotation.find(',');
    std::string_view one = annotation.substr(0, end);
    annotation = end == std::string_view::npos ? std::string_view() : annotation.substr(end + 1);
    size_t equals = one.find('='), at = one.find('@');
    if (equals == std::string_view::npos || at == std::string_view::npos || at < equals) continue;
    auto when = parse_rfc3339(one.substr(at + 1));
    std::string_view id = one.substr(0, equals);
    if (!when || !pki::is_bootstrap_token_id(id)) continue;
    out.push_back({std::string(id), std::string(one.substr(equals + 1, at - equals - 1)), *when});
  }
  return out;
}

std::string format_ended_tokens(std::vector<EndedToken> tokens) {
  std::string out;
  for (size_t i = tokens.size() > kMaxEnded ? tokens.size() - kMaxEnded : 0; i < tokens.size(); ++i)
    out +=
        fmt::format("{}{}={}@{}", out.empty() ? "" : ",", tokens[i].id, tokens[i].how, format_rfc3339(tokens[i].when));
  return out;
}

}  // namespace redoubt::controllers
