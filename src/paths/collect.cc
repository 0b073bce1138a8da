#include "paths/collect.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <charconv>

#include "base/blocking.h"
#include "net/tcp.h"
#include "paths/chain.h"
#include "paths/objects.h"
#include "pki/certificate.h"

namespace redoubt::paths {

namespace {

// Metrics that say something about paths, of Redoubt and of kube-apiserver.
bool matters(std::string_view line) {
  for (std::string_view name :
       {"redoubt_egress_open_streams", "redoubt_tunnel_connections", "redoubt_path_",
        "apiserver_egress_dialer_dial_start_total", "apiserver_egress_dialer_dial_duration_seconds_count"}) {
    if (line.starts_with(name)) return true;
  }
  return false;
}

std::string identity_of(const client::Config& config) {
  if (!config.certificate_pem.empty()) {
    auto own = pki::parse_certificate(config.certificate_pem);
    return "client certificate" + (own ? " " + own->subject.common_name : std::string());
  }
  return config.bearer_token.empty() && config.bearer_token_file.empty() ? "nobody" : "bearer token";
}

Result<Peer> peer_of(std::string_view url) {
  if (!url.starts_with("https://")) return bad_request(fmt::format("server \"{}\": only https is spoken", url));
  std::string_view rest =
      url.substr(8, url.find('/', 8) == std::string_view::npos ? std::string_view::npos : url.find('/', 8) - 8);
  bool has_port = rest.find(':') != std::string_view::npos && !rest.ends_with(']');
  RD_TRY(net::Address address, net::parse_address(has_port ? std::string(rest) : std::string(rest) + ":443"));
  return Peer{address.host, address.port};
}

TunnelSeen read_tunnel(const schema::Value& v) {
  TunnelSeen out;
  out.kind = text_at(v, {"kind"});
  out.node = text_at(v, {"node"});
  out.peer = text_at(v, {"peer"});
  out.identity = text_at(v, {"identity"});
  out.up = v.get({"up"}).as_bool();
  if (auto since = parse_rfc3339(text_at(v, {"since"}))) out.since = *since;
  out.streams = v.get({"streams"}).as_int();
  out.bytes_to_node = v.get({"bytesToNode"}).as_int();
  out.bytes_from_node = v.get({"bytesFromNode"}).as_int();
  int64_t round_trip = v.get({"roundTripMicroseconds"}).as_int();
  if (round_trip > 0) out.round_trip = std::chrono::microseconds(round_trip);
  out.last_error = text_at(v, {"lastError"});
  return out;
}

void read_state(const schema::Value& v, ServerState& s) {
  s.version = text_at(v, {"version"});
  s.authorization_modes = texts_at(v, {"authorizationModes"});
  s.anonymous = text_at(v, {"anonymous"});
  s.kubelets_verified = v.get({"kubelets", "verified"}).as_bool();
  s.kubelet_authority = text_at(v, {"kubelets", "authority"});
  s.kubelet_ca_pem = text_at(v, {"kubelets", "caBundle"});
  s.proxy_plaintext = text_at(v, {"proxy", "plaintext"});
  s.proxy_unverified_tls = text_at(v, {"proxy", "unverifiedTLS"});
  s.without_tunnel = text_at(v, {"nodesWithoutTunnel"});
  s.store = text_at(v, {"store"});
  s.egress = text_at(v, {"egress"});
  s.node_restriction = v.get({"nodeRestriction"}).as_bool();
  s.extends_tokens = v.get({"extendsTokens"}).as_bool();
  s.secrets_encrypted = v.get({"secretsEncrypted"}).as_bool();
  schema::Value tunnels = v.get({"tunnels"});
  for (const schema::Value& t : schema::items(tunnels)) s.tunnels.push_back(read_tunnel(t));
}

// What the server says of each node's way.
void read_ways(const schema::Value& v, std::vector<NodeFacts>& nodes) {
  for (NodeFacts& n : nodes) {
    schema::Value ways = v.get({"nodes"});
    for (const schema::Value& w : schema::items(ways)) {
      if (text_at(w, {"name"}) != n.name) continue;
      n.way = text_at(w, {"way"});
      n.confidential = w.get({"confidential"}).as_bool();
      n.why_not_confidential = text_at(w, {"whyNot"});
    }
  }
}

Task<void> collect_metrics(client::Client& api, Facts& facts) {
  auto answer = co_await api.request("GET", "/metrics", {}, {}, "text/plain");
  if (!answer) co_return;
  facts.metrics_seen = true;
  std::string_view text = answer->body;
  while (!text.empty()) {
    size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    size_t blank = line.rfind(' ');
    if (!matters(line) || blank == std::string_view::npos) continue;
    double value = 0;
    std::from_chars(line.data() + blank + 1, line.data() + line.size(), value);
    facts.metrics[std::string(line.substr(0, blank))] = value;
  }
}

}  // namespace

Task<Result<Facts>> collect(client::Client& api, client::Config config, CollectOptions options) {
  Facts f;
  f.server_url = config.server;
  RD_CO_TRY(f.server, peer_of(config.server));
  f.server_name = config.tls_server_name.empty() ? f.server.host : config.tls_server_name;
  f.ca_pem = config.ca_pem;
  f.identity = identity_of(config);
  f.at = now();

  auto version = co_await with_object(api, "/version",
                                      [&](const schema::Value& v) { f.server_version = text_at(v, {"gitVersion"}); });
  // Without it nothing else is to be had; a refusal by authorization still leaves much to see.
  if (!version && !version.error().is("Forbidden") && !version.error().is("NotFound"))
    co_return Error(version.error().with_context(config.server));
  f.redoubt = f.server_version.find("+redoubt") != std::string::npos;

  Offer offer;
  in6_addr raw{};
  if (inet_pton(AF_INET, f.server_name.c_str(), &raw) != 1 && inet_pton(AF_INET6, f.server_name.c_str(), &raw) != 1)
    offer.server_name = f.server_name;
  f.handshake = co_await run_blocking([peer = f.server, offer] { return shake_hands(peer, offer); });
  if (f.handshake.done) {
    ChainFacts chain = judge_chain(f.handshake.chain_der, f.ca_pem, f.at);
    if (!chain.verified)
      f.handshake_problem = chain.problem;
    else if (!chain.names_host(f.server_name))
      f.handshake_problem = fmt::format("it is for {}, not for {}", fmt::join(chain.names, ", "), f.server_name);
  }

  co_await collect_flags(api, f, options.read_processes);
  co_await collect_metrics(api, f);
  co_await collect_rights(api, f);
  co_await collect_registrations(api, f);
  (void)co_await with_object(api, "/api/v1/namespaces/default/services/kubernetes",
                             [&](const schema::Value& v) { f.service_ip = text_at(v, {"spec", "clusterIP"}); });
  co_await collect_nodes(api, f, options);
  if (!options.node.empty() && f.nodes.empty() && f.nodes_error.empty())
    co_return Error(not_found({"", "nodes"}, options.node));
  if (f.redoubt)
    (void)co_await with_object(api, "/redoubt/paths/state", [&](const schema::Value& v) {
      read_state(v, f.state.emplace());
      read_ways(v, f.nodes);
    });
  co_return f;
}

}  // namespace redoubt::paths
