#include "apiserver/proxy/pod_connect.h"

#include <boost/asio/this_coro.hpp>
#include <charconv>

#include "apiserver/proxy/exec_translate.h"
#include "apiserver/proxy/limits.h"
#include "apiserver/proxy/relay.h"
#include "base/time.h"
#include "net/spdy.h"
#include "net/splice.h"
#include "net/websocket.h"
#include "schema/k8s/core_v1.h"
#include "schema/typed.h"

namespace redoubt::apiserver {

namespace {

using k8s::core::v1::Pod;

constexpr std::string_view kTunnelProtocol = "SPDY/3.1+portforward.k8s.io";
constexpr size_t kTunnelMessageBytes = 4 << 20;
constexpr size_t kMaxErrorBytes = 2048;  // of a kubelet's own error text, as upstream's bound

const std::string* value_of(const QueryParameters& query, std::string_view name) {
  for (const auto& [key, value] : query) {
    if (key == name) return &value;
  }
  return nullptr;
}

std::string text_of(const QueryParameters& query, std::string_view name) {
  const std::string* value = value_of(query, name);
  return value ? *value : std::string();
}

// As upstream reads booleans from a query: there at all is true, unless "false" or "0".
bool flag_of(const QueryParameters& query, std::string_view name) {
  const std::string* value = value_of(query, name);
  if (value == nullptr) return false;
  std::string lower;
  for (char c : *value) lower += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return lower != "false" && lower != "0";
}

class QueryWriter {
 public:
  void add(std::string_view key, std::string_view value) {
    text_ += text_.empty() ? '?' : '&';
    text_ += key;
    text_ += '=';
    text_ += net::percent_encode(value);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

// The container meant, or the only one.
Result<std::string> container_of(const Pod& pod, std::string wanted) {
  if (wanted.empty()) {
    if (pod.spec.containers.size() == 1) return pod.spec.containers[0].name;
    if (pod.spec.containers.empty())
      return bad_request(fmt::format("a container name must be specified for pod {}", pod.metadata.name));
    std::vector<std::string_view> names;
    for (const auto& container : pod.spec.initContainers) names.push_back(container.name);
    for (const auto& container : pod.spec.containers) names.push_back(container.name);
    for (const auto& container : pod.spec.ephemeralContainers) names.push_back(container.name);
    return bad_request(fmt::format("a container name must be specified for pod {}, choose one of: [{}]",
                                   pod.metadata.name, fmt::join(names, " ")));
  }
  auto named = [&](const auto& container) { return container.name == wanted; };
  if (std::ranges::any_of(pod.spec.containers, named) || std::ranges::any_of(pod.spec.initContainers, named) ||
      std::ranges::any_of(pod.spec.ephemeralContainers, named))
    return wanted;
  return bad_request(fmt::format("container {} is not valid for pod {}", wanted, pod.metadata.name));
}

Result<std::string> log_query(const QueryParameters& query, const std::string& name) {
  std::vector<StatusCause> causes;
  QueryWriter out;
  auto number = [&](std::string_view key, int64_t least, std::string_view rule) -> Result<std::optional<int64_t>> {
    const std::string* text = value_of(query, key);
    if (text == nullptr || text->empty()) return std::optional<int64_t>();
    int64_t value = 0;
    auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
    if (error != std::errc() || end != text->data() + text->size())
      return bad_request(fmt::format("unable to decode the query parameter {}: \"{}\" is no integer", key, *text));
    if (value < least)
      causes.push_back({"FieldValueInvalid", fmt::format("Invalid value: {}: {}", value, rule), std::string(key)});
    return std::optional<int64_t>(value);
  };
  for (std::string_view key : {"follow", "previous", "timestamps"}) {
    if (flag_of(query, key)) out.add(key, "true");
  }
  RD_TRY(auto since_seconds, number("sinceSeconds", 1, "must be greater than 0"));
  RD_TRY(auto tail, number("tailLines", 0, "must be greater than or equal to 0"));
  RD_TRY(auto limit, number("limitBytes", 1, "must be greater than 0"));
  std::string since_time = text_of(query, "sinceTime");
  if (!since_time.empty() && !parse_rfc3339(since_time))
    return bad_request(
        fmt::format("unable to decode the query parameter sinceTime: \"{}\" is no RFC 3339 time", since_time));
  if (!since_time.empty() && since_seconds)
    causes.push_back(
        {"FieldValueForbidden", "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified", ""});
  if (since_seconds) out.add("sinceSeconds", std::to_string(*since_seconds));
  if (!since_time.empty()) out.add("sinceTime", since_time);
  if (tail) out.add("tailLines", std::to_string(*tail));
  if (limit) out.add("limitBytes", std::to_string(*limit));
  std::string stream = text_of(query, "stream");
  if (!stream.empty() && stream != "All") {
    if (stream != "Stdout" && stream != "Stderr")
      causes.push_back(
          {"FieldValueNotSupported",
           fmt::format("Unsupported value: \"{}\": supported values: \"All\", \"Stderr\", \"Stdout\"", stream),
           "stream"});
    else if (tail)
      causes.push_back(
          {"FieldValueForbidden", "Forbidden: `tailLines` and specific `stream` are mutually exclusive for now", ""});
    out.add("stream", stream);
  }
  if (!causes.empty()) return invalid("", "PodLogOptions", name, std::move(causes));
  return out.text();
}

std::string exec_query(const QueryParameters& query, const ExecStreams& streams, bool command) {
  QueryWriter out;
  if (command) {
    for (const auto& [key, value] : query) {
      if (key == "command") out.add("command", value);
    }
  }
  if (streams.in) out.add("input", "1");
  if (streams.out) out.add("output", "1");
  if (streams.error) out.add("error", "1");
  if (streams.tty) out.add("tty", "1");
  return out.text();
}

// What a kubelet answered instead of a log, in the words that upstream makes of it.
Status log_error(int status, const std::string& text, const std::string& name) {
  switch (status) {
    case 400:
      return Status(400, "BadRequest", text);
    case 404:
      return Status(404, "NotFound",
                    fmt::format("the server could not find the requested resource ( pods/log {})", name));
    case 500:
      return Status(500, "InternalError", "Internal error occurred: " + text);
    case 401:
      return Status(500, "InternalError",
                    "Internal error occurred: the kubelet does not accept the API server's credentials");
    case 403:
      return Status(500, "InternalError",
                    "Internal error occurred: the kubelet forbids the API server to read logs: " + text);
    default:
      return Status(status >= 400 ? status : 502, "",
                    fmt::format("an error on the server (\"{}\") has prevented the request from succeeding", text));
  }
}

// What became of the way to a kubelet, for the client.
Status kubelet_error(const Status& status, const KubeletLocation& where) {
  if (is_verification_failure(status))
    return verification_failure(path_name(egress::PathId::ApiserverKubelet), where.node, where.authority(), status);
  return status.code() == 400 || status.code() == 403 ? status : backend_error(status);
}

Task<Result<void>> relay(net::Request& request, net::Responder& responder, net::HttpClient& client, std::string target,
                         KubeletLocation where) {
  RelayTarget to{client, std::move(target), ""};
  auto done = co_await relay_upgrade(request, responder, std::move(to));
  if (!done && done.error().code() >= 500 && done.error().code() != 502 && done.error().reason() != "")
    co_return Error(kubelet_error(done.error(), where));
  co_return done;
}

bool offers_tunnel(const net::Request& request) {
  if (!net::is_websocket_request(request)) return false;
  auto protocols = net::websocket_protocols(request);
  return std::ranges::find(protocols, kTunnelProtocol) != protocols.end();
}

// SPDY frames of a client that wraps them in a WebSocket: unwrapped here, towards the kubelet they are what it knows.
Task<Result<void>> tunnel_portforward(net::Request& request, net::Responder& responder, net::HttpClient& client,
                                      std::string target, KubeletLocation where) {
  net::ClientRequest out;
  out.method = "POST";
  out.target = std::move(target);
  out.headers = {
      {"connection", "Upgrade"}, {"upgrade", "SPDY/3.1"}, {"x-stream-protocol-version", "portforward.k8s.io"}};
  auto answer = co_await client.upgrade(std::move(out));
  if (!answer) co_return Error(kubelet_error(answer.error(), where));
  if (answer->status != 101) co_return co_await pass_refusal(responder, std::move(*answer));
  std::vector<std::string> protocols{std::string(kTunnelProtocol)};
  RD_CO_TRY(auto accepted,
            co_await net::websocket_accept(request, responder, std::move(protocols), kTunnelMessageBytes));
  co_await net::splice_limited(net::websocket_as_stream(std::move(accepted.socket)), std::move(answer->stream),
                               kHalfClosed);
  co_return Result<void>{};
}

}  // namespace

bool PodConnect::serves(std::string_view subresource) {
  return subresource == "log" || subresource == "exec" || subresource == "attach" || subresource == "portforward";
}

Task<Result<void>> PodConnect::log(net::Request& request, net::Responder& responder, std::string ns, std::string name,
                                   QueryParameters query) const {
  auto executor = co_await boost::asio::this_coro::executor;
  RD_CO_TRY(std::string wanted, log_query(query, name));
  RD_CO_TRY(Bytes json, options_.pod(ns, name));
  RD_CO_TRY(Pod pod, schema::from_json<Pod>(json));
  RD_CO_TRY(std::string container, container_of(pod, text_of(query, "container")));
  if (pod.spec.nodeName.empty()) {
    (void)co_await responder.send(204, {}, {});  // not scheduled: nothing was logged yet
    co_return Result<void>{};
  }
  RD_CO_TRY(Bytes node, options_.node(pod.spec.nodeName));
  RD_CO_TRY(KubeletLocation where, options_.kubelets.locate(node));
  RD_CO_TRY(auto client, options_.kubelets.client(executor, where));
  net::ClientRequest out;
  out.target = fmt::format("/containerLogs/{}/{}/{}{}", ns, name, container, wanted);
  auto answer = co_await client->send(out);
  if (!answer && is_verification_failure(answer.error())) co_return Error(kubelet_error(answer.error(), where));
  if (!answer)
    co_return Error(Status(
        500, "", fmt::format("Get \"https://{}{}\": {}", where.authority(), out.target, answer.error().message())));
  if (answer->status < 200 || answer->status > 206) {
    auto text = co_await net::read_body(*answer->body, kMaxErrorBytes);
    std::string why = text ? std::move(*text) : text.error().message();
    while (!why.empty() && why.back() == '\n') why.pop_back();
    co_return Error(log_error(answer->status, why, name));
  }
  auto writer = co_await responder.start(200, {{"content-type", "text/plain"}});
  if (!writer) co_return Result<void>{};
  while (true) {
    auto piece = co_await answer->body->read_some();
    if (!piece) co_return Result<void>{};
    if (piece->empty()) break;
    BytesList pieces;
    pieces.push_back(std::move(*piece));
    if (!co_await (*writer)->write(std::move(pieces))) co_return Result<void>{};
  }
  (void)co_await (*writer)->finish();
  co_return Result<void>{};
}

Task<Result<void>> PodConnect::pod(net::Request& request, net::Responder& responder, std::string subresource,
                                   std::string ns, std::string name, QueryParameters query) const {
  if (subresource == "log")
    co_return co_await log(request, responder, std::move(ns), std::move(name), std::move(query));
  auto executor = co_await boost::asio::this_coro::executor;
  RD_CO_TRY(Bytes json, options_.pod(ns, name));
  RD_CO_TRY(Pod pod, schema::from_json<Pod>(json));
  std::string container;
  if (subresource != "portforward") {
    RD_CO_TRY(container, container_of(pod, text_of(query, "container")));
  }
  if (pod.spec.nodeName.empty()) co_return bad_request(fmt::format("pod {} does not have a host assigned", name));
  if (!request.wants_upgrade()) co_return bad_request("Upgrade request required");
  RD_CO_TRY(Bytes node, options_.node(pod.spec.nodeName));
  RD_CO_TRY(KubeletLocation where, options_.kubelets.locate(node));
  RD_CO_TRY(auto client, options_.kubelets.client(executor, where));

  if (subresource == "portforward") {
    std::string target = fmt::format("/portForward/{}/{}", ns, name);
    std::string ports;
    for (const auto& [key, value] : query) {
      if (key == "ports") ports += (ports.empty() ? "" : ",") + value;
    }
    if (!ports.empty()) target += "?port=" + net::percent_encode(ports);
    if (offers_tunnel(request))
      co_return co_await tunnel_portforward(request, responder, *client, std::move(target), where);
    co_return co_await relay(request, responder, *client, std::move(target), where);
  }

  ExecStreams streams{flag_of(query, "stdin"), flag_of(query, "stdout"), flag_of(query, "stderr"),
                      flag_of(query, "tty")};
  std::string target = fmt::format("/{}/{}/{}/{}{}", subresource, ns, name, container,
                                   exec_query(query, streams, subresource == "exec"));
  if (can_translate_exec(request))
    co_return co_await translate_exec(request, responder, *client, std::move(target), streams, where);
  co_return co_await relay(request, responder, *client, std::move(target), where);
}

}  // namespace redoubt::apiserver
