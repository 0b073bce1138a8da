#include "egress/configuration.h"

#include "schema/codec.h"
#include "schema/value.h"

namespace redoubt::egress {

namespace {

// sockaddr_un's sun_path, less the final zero.
constexpr size_t kMaxSocketPath = 107;

Error wrong(const std::string& field, std::string_view why) {
  return bad_request(fmt::format("EgressSelectorConfiguration: {}: {}", field, why));
}

Result<void> only(const schema::Value& object, std::initializer_list<std::string_view> known,
                  const std::string& field) {
  if (!object.is_object()) return wrong(field, "must be an object");
  for (const schema::Member& member : schema::members(object)) {
    if (std::find(known.begin(), known.end(), member.key) == known.end())
      return wrong(field, fmt::format("unknown field \"{}\"", member.key));
  }
  return {};
}

Result<std::string> text_of(const schema::Value& object, std::string_view key, const std::string& field) {
  const schema::Value* value = object.find(key);
  if (value == nullptr || value->is_null()) return std::string();
  if (!value->is_string()) return wrong(fmt::format("{}.{}", field, key), "must be a string");
  return std::string(value->as_string());
}

Result<void> parse_tcp(const schema::Value& tcp, const std::string& field, Connection& out) {
  RD_TRYV(only(tcp, {"url", "tlsConfig"}, field));
  RD_TRY(out.tcp_url, text_of(tcp, "url", field));
  const schema::Value* tls = tcp.find("tlsConfig");
  if (out.tcp_url.starts_with("http://")) {
    if (tls != nullptr && !tls->is_null())
      return wrong(field + ".tlsConfig", "TLSConfig config should not be present when using HTTP");
    return {};
  }
  if (!out.tcp_url.starts_with("https://"))
    return wrong(field + ".url", "supported connection protocols are http:// and https://");
  if (tls == nullptr || tls->is_null())
    return wrong(field + ".tlsConfig", "TLSConfig must be present when using HTTPS");
  RD_TRYV(only(*tls, {"caBundle", "clientKey", "clientCert"}, field + ".tlsConfig"));
  RD_TRY(out.ca_bundle_file, text_of(*tls, "caBundle", field + ".tlsConfig"));
  RD_TRY(out.client_key_file, text_of(*tls, "clientKey", field + ".tlsConfig"));
  RD_TRY(out.client_cert_file, text_of(*tls, "clientCert", field + ".tlsConfig"));
  if (out.client_cert_file.empty()) return wrong(field + ".tlsConfig.clientCert", "Using TLS requires clientCert");
  if (out.client_key_file.empty()) return wrong(field + ".tlsConfig.clientKey", "Using TLS requires clientKey");
  return {};
}

Result<Connection> parse_connection(const schema::Value& connection, const std::string& field) {
  RD_TRYV(only(connection, {"proxyProtocol", "transport"}, field));
  Connection out;
  RD_TRY(std::string protocol, text_of(connection, "proxyProtocol", field));
  if (protocol == "Direct") {
    out.protocol = Protocol::Direct;
  } else if (protocol == "HTTPConnect") {
    out.protocol = Protocol::HttpConnect;
  } else if (protocol == "GRPC") {
    out.protocol = Protocol::Grpc;
  } else if (protocol == "Reverse") {
    out.protocol = Protocol::Reverse;
  } else if (protocol == "SSH") {
    out.protocol = Protocol::Ssh;
  } else if (protocol == "Konnectivity") {
    out.protocol = Protocol::Konnectivity;
  } else {
    return wrong(
        field + ".proxyProtocol",
        fmt::format("\"{}\" is not supported: use one of Direct, HTTPConnect, GRPC, Reverse, SSH, Konnectivity",
                    protocol));
  }
  const schema::Value* transport = connection.find("transport");
  if (transport != nullptr && transport->is_null()) transport = nullptr;
  bool carried = out.protocol == Protocol::HttpConnect || out.protocol == Protocol::Grpc;
  std::string where = field + ".transport";
  if (!carried) {
    if (transport != nullptr) return wrong(where, fmt::format("must be absent for {}", protocol));
    return out;
  }
  if (transport == nullptr) return wrong(where, fmt::format("transport must be set for {}", protocol));
  RD_TRYV(only(*transport, {"tcp", "uds"}, where));
  const schema::Value* tcp = transport->find("tcp");
  const schema::Value* uds = transport->find("uds");
  bool has_tcp = tcp != nullptr && !tcp->is_null(), has_uds = uds != nullptr && !uds->is_null();
  if (has_tcp && has_uds) return wrong(where + ".tcp", "TCP and UDS cannot both be set");
  if (out.protocol == Protocol::Grpc && !has_uds) return wrong(where + ".uds", "UDS must be set with GRPC");
  if (!has_tcp && !has_uds) return wrong(where + ".tcp", "One of TCP or UDS must be set");
  if (has_tcp) {
    RD_TRYV(parse_tcp(*tcp, where + ".tcp", out));
    return out;
  }
  RD_TRYV(only(*uds, {"udsName"}, where + ".uds"));
  RD_TRY(out.uds_name, text_of(*uds, "udsName", where + ".uds"));
  if (out.uds_name.empty()) return wrong(where + ".uds.udsName", "UDSName should be present for UDS connections");
  if (out.uds_name.size() > kMaxSocketPath)
    return wrong(where + ".uds.udsName", "is longer than a socket's path may be");
  return out;
}

}  // namespace

const Connection& EgressConfiguration::of(Network network) const {
  static const Connection kDirect;
  auto it = selections.find(network);
  if (it == selections.end() && network == Network::Node) it = selections.find(Network::Cluster);
  return it == selections.end() ? kDirect : it->second;
}

EgressConfiguration default_configuration() {
  EgressConfiguration out;
  out.selections[Network::Node].protocol = Protocol::Reverse;
  out.selections[Network::Cluster].protocol = Protocol::Reverse;
  return out;
}

Result<EgressConfiguration> parse_configuration(std::string_view text) {
  schema::Arena arena;
  auto parsed = schema::parse_yaml(text, arena);
  if (!parsed) return wrong("the file", parsed.error().message());
  RD_TRYV(only(*parsed, {"apiVersion", "kind", "egressSelections"}, "the file"));
  RD_TRY(std::string kind, text_of(*parsed, "kind", "the file"));
  RD_TRY(std::string version, text_of(*parsed, "apiVersion", "the file"));
  if (kind != "EgressSelectorConfiguration")
    return wrong("kind", fmt::format("invalid service configuration object \"{}\"", kind));
  if (version != "apiserver.k8s.io/v1beta1" && version != "apiserver.k8s.io/v1alpha1")
    return wrong("apiVersion", fmt::format("\"{}\" is not apiserver.k8s.io/v1beta1", version));
  EgressConfiguration out;
  const schema::Value* selections = parsed->find("egressSelections");
  if (selections == nullptr || selections->is_null()) return out;
  if (!selections->is_array()) return wrong("egressSelections", "must be a list");
  size_t i = 0;
  for (const schema::Value& selection : schema::items(*selections)) {
    std::string field = fmt::format("egressSelections[{}]", i++);
    RD_TRYV(only(selection, {"name", "connection"}, field));
    RD_TRY(std::string name, text_of(selection, "name", field));
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    std::optional<Network> network;
    for (Network n : {Network::Node, Network::Cluster, Network::ControlPlane, Network::Etcd}) {
      if (network_name(n) == name) network = n;
    }
    if (!network)
      return wrong(field + ".name",
                   fmt::format("\"{}\" is not supported: use one of cluster, controlplane, etcd, node", name));
    if (out.selections.contains(*network)) return wrong(field + ".name", fmt::format("\"{}\" is there twice", name));
    const schema::Value* connection = selection.find("connection");
    if (connection == nullptr) return wrong(field + ".connection", "is required");
    RD_TRY(out.selections[*network], parse_connection(*connection, field + ".connection"));
    Connection& made = out.selections[*network];
    if ((*network == Network::ControlPlane || *network == Network::Etcd) &&
        (made.protocol == Protocol::Reverse || made.protocol == Protocol::Ssh ||
         made.protocol == Protocol::Konnectivity))
      return wrong(field + ".connection.proxyProtocol",
                   "Reverse, SSH and Konnectivity lead to nodes: for cluster and node only");
  }
  return out;
}

}  // namespace redoubt::egress
