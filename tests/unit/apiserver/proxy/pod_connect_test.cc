#include "apiserver/proxy/pod_connect.h"

#include <gtest/gtest.h>

#include "net/http_server.h"
#include "net/spdy.h"
#include "net/websocket.h"
#include "pki/certificate.h"

using namespace redoubt;
using namespace redoubt::net;
using namespace std::chrono_literals;

namespace {

BytesList one(std::string text) {
  BytesList out;
  out.push_back(Bytes::take(std::move(text)));
  return out;
}

Task<void> say(Stream& stream, std::string text) {
  (void)co_await stream.write(one(std::move(text)));
}

// The container: echoes its input to stdout, says "err" on stderr, and reports exit code 7.
Task<void> fake_exec(StreamPtr transport, bool has_in, bool has_err) {
  auto executor = co_await boost::asio::this_coro::executor;
  auto spdy = SpdyConnection::make(std::move(transport), true, executor);
  std::map<std::string, StreamPtr> streams;
  size_t wanted = 2 + (has_in ? 1 : 0) + (has_err ? 1 : 0);
  while (streams.size() < wanted) {
    auto fresh = co_await spdy->accept();
    if (!fresh || !*fresh) co_return;
    streams[std::string((*fresh)->headers.get("streamtype").value_or(""))] = std::move((*fresh)->stream);
  }
  if (has_err) co_await say(*streams["stderr"], "err");
  if (has_in) {
    auto input = co_await read_to_end(*streams["stdin"], 1 << 24);
    if (!input) co_return;
    co_await say(*streams["stdout"], *input);
  } else {
    co_await say(*streams["stdout"], "out");
  }
  co_await say(*streams["error"], R"({"status":"Failure","reason":"NonZeroExitCode"})");
  streams.clear();
  co_await spdy->close();
}

// What a kubelet answers, with the paths and parameters it insists on.
Task<void> kubelet(Request request, Responder& responder) {
  if (request.headers.has("authorization") || request.headers.has("impersonate-user")) {
    co_await responder.send(500, {}, one("credentials leaked"));
  } else if (request.path == "/containerLogs/default/web/app") {
    co_await responder.send(200, {}, one("line 1\n" + request.query));
  } else if (request.path == "/containerLogs/default/two/b") {
    co_await responder.send(400, {}, one("container \"b\" in pod \"two\" is waiting to start: ContainerCreating"));
  } else if (request.path == "/exec/default/web/app" && request.wants_upgrade()) {
    auto stream = co_await responder.upgrade(
        {{"connection", "Upgrade"}, {"upgrade", "SPDY/3.1"}, {"x-stream-protocol-version", "v4.channel.k8s.io"}});
    bool in = request.query.find("input=1") != std::string::npos;
    bool err = request.query.find("error=1") != std::string::npos;
    co_await fake_exec(std::move(*stream), in, err);
  } else if (request.path == "/portForward/default/web" && request.wants_upgrade()) {
    auto stream = co_await responder.upgrade(
        {{"connection", "Upgrade"}, {"upgrade", "SPDY/3.1"}, {"x-stream-protocol-version", "portforward.k8s.io"}});
    char buffer[100];
    auto n = co_await (*stream)->read_some(buffer);
    if (n) co_await say(**stream, "got " + std::string(buffer, *n));
    (void)co_await read_to_end(**stream, 100);
  } else {
    co_await responder.send(404, {{"content-type", "text/plain"}}, one("pod does not exist"));
  }
}

struct World {
  LoopPool loops{1};
  pki::KeyPair ca = *pki::make_ca("kubelet-ca", std::chrono::hours(24));
  std::unique_ptr<egress::Dialer> dialer = egress::make_direct_dialer();
  std::unique_ptr<HttpServer> node_server, api_server;
  std::unique_ptr<apiserver::KubeletAccess> kubelets;
  std::unique_ptr<apiserver::PodConnect> connect;

  explicit World(std::string kubelet_name = "system:node:n1", bool other_ca = false) {
    pki::KeyPair signer = other_ca ? *pki::make_ca("kubelet-ca", std::chrono::hours(24)) : ca;
    auto serving = *pki::issue(signer, {{kubelet_name, {"system:nodes"}}, {}, {"127.0.0.1"}, {pki::Usage::ServerAuth}});
    auto client = *pki::issue(ca, {{"kube-apiserver-kubelet-client", {}}, {}, {}, {pki::Usage::ClientAuth}});
    HttpServerOptions node;
    node.address = "127.0.0.1";
    node.handler = kubelet;
    node.tls = *TlsServerContext::make({serving.certificate_pem, serving.private_key_pem});
    node_server = *HttpServer::start(loops, std::move(node));

    kubelets = std::make_unique<apiserver::KubeletAccess>(
        apiserver::KubeletAccess::Options{*dialer, ca.certificate_pem, client.certificate_pem, client.private_key_pem});
    apiserver::PodConnect::Options options{
        *kubelets, pod, [port = node_server->port()](std::string_view name) { return node_object(name, port); }};
    connect = std::make_unique<apiserver::PodConnect>(std::move(options));

    HttpServerOptions api;
    api.address = "127.0.0.1";
    api.handler = [this](Request request, Responder& responder) { return serve(std::move(request), responder); };
    api_server = *HttpServer::start(loops, std::move(api));
  }
  ~World() {
    loops.stop();  // what still runs refers to the members above
    kubelets->clear();
  }

  static Result<Bytes> pod(std::string_view, std::string_view name) {
    if (name == "web")
      return Bytes::of_static(R"({"metadata":{"name":"web"},"spec":{"nodeName":"n1","containers":[{"name":"app"}]}})");
    if (name == "two")
      return Bytes::of_static(
          R"({"metadata":{"name":"two"},"spec":{"nodeName":"n1","containers":[{"name":"a"},{"name":"b"}]}})");
    if (name == "pending")
      return Bytes::of_static(R"({"metadata":{"name":"pending"},"spec":{"containers":[{"name":"app"}]}})");
    return not_found({"", "pods"}, name);
  }
  static Result<Bytes> node_object(std::string_view name, uint16_t port) {
    if (name != "n1") return not_found({"", "nodes"}, name);
    return Bytes::take(fmt::format(
        R"({{"metadata":{{"name":"n1"}},"status":{{"addresses":[{{"type":"Hostname","address":"nowhere.invalid"}},)"
        R"({{"type":"InternalIP","address":"127.0.0.1"}}],"daemonEndpoints":{{"kubeletEndpoint":{{"Port":{}}}}}}}}})",
        port));
  }

  // /NAME/SUBRESOURCE
  Task<void> serve(Request request, Responder& responder) {
    auto query = *parse_query(request.query);
    size_t slash = request.path.find('/', 1);
    auto done = co_await connect->pod(request, responder, request.path.substr(slash + 1), "default",
                                      request.path.substr(1, slash - 1), query);
    if (!done) co_await responder.send(done.error().code(), {}, one(done.error().message()));
  }

  std::unique_ptr<HttpClient> client(Executor executor) {
    HttpClient::Options options;
    options.dial = [port = api_server->port()] { return tcp_connect({"127.0.0.1", port}, 2s); };
    options.host = "127.0.0.1";
    return HttpClient::make(executor, std::move(options));
  }
};

struct Answer {
  int status = 0;
  std::string body;
};

Task<Answer> get(World& world, std::string target) {
  auto client = world.client(co_await boost::asio::this_coro::executor);
  ClientRequest request;
  request.target = std::move(target);
  request.headers = {{"authorization", "Bearer secret"}, {"impersonate-user", "x"}};
  auto answer = co_await client->send(std::move(request));
  Answer out;
  if (!answer) co_return out;
  out.status = answer->status;
  auto body = co_await read_body(*answer->body, 1 << 20);
  out.body = body.value_or("(broken)");
  co_return out;
}

Task<std::unique_ptr<WebSocket>> open_socket(World& world, std::string target, std::string protocol) {
  auto client = world.client(co_await boost::asio::this_coro::executor);
  ClientRequest request;
  request.target = std::move(target);
  std::vector<std::string> protocols{protocol};
  request.headers = websocket_client_headers(protocols);
  Headers sent = request.headers;
  request.headers.add("authorization", "Bearer secret");
  auto answer = co_await client->upgrade(std::move(request));
  if (!answer || answer->status != 101) co_return nullptr;
  auto chosen = websocket_check_answer(sent, answer->headers);
  EXPECT_EQ(chosen.value_or("?"), protocol);
  co_return websocket_over(std::move(answer->stream), false);
}

// Everything that came on each channel, until the server closed.
Task<std::map<int, std::string>> drain(WebSocket& socket) {
  std::map<int, std::string> out;
  while (true) {
    auto message = co_await socket.read();
    if (!message) {
      out[-1] = message.error().message();
      break;
    }
    if (!*message) break;
    out[(*message)->data[0]] += (*message)->data.substr(1);
  }
  co_return out;
}

}  // namespace

TEST(PodConnect, StreamsLogsWithTheKubeletsParameters) {
  World world;
  run_until_done([&]() -> Task<void> {
    auto got = co_await get(world, "/web/log?follow=true&tailLines=5&timestamps=1&sinceTime=2026-01-02T03:04:05Z");
    EXPECT_EQ(got.status, 200);
    EXPECT_EQ(got.body, "line 1\nfollow=true&timestamps=true&sinceTime=2026-01-02T03%3A04%3A05Z&tailLines=5");
  });
}

TEST(PodConnect, AnswersWrongLogRequestsInUpstreamsWords) {
  World world;
  run_until_done([&]() -> Task<void> {
    std::vector<std::tuple<const char*, int, const char*>> cases{
        {"/none/log", 404, "pods \"none\" not found"},
        {"/two/log", 400, "a container name must be specified for pod two, choose one of: [a b]"},
        {"/web/log?container=x", 400, "container x is not valid for pod web"},
        {"/two/log?container=b", 400, "container \"b\" in pod \"two\" is waiting to start: ContainerCreating"},
        {"/pending/log", 204, ""},
        {"/web/log?tailLines=-1", 422,
         "PodLogOptions \"web\" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0"},
        {"/pending/exec?command=id", 400, "pod pending does not have a host assigned"},
        {"/web/exec?command=id", 400, "Upgrade request required"},
    };
    for (auto& [target, status, text] : cases) {
      auto got = co_await get(world, target);
      EXPECT_EQ(got.status, status) << target;
      EXPECT_EQ(got.body, text) << target;
    }
  });
}

TEST(PodConnect, RefusesAKubeletWithAnotherNodesName) {
  World world("system:node:n2");
  run_until_done([&]() -> Task<void> {
    auto got = co_await get(world, "/web/log");
    EXPECT_EQ(got.status, 502);
    EXPECT_NE(got.body.find("path apiserver-kubelet: node \"n1\" at 127.0.0.1:"), std::string::npos) << got.body;
    EXPECT_NE(got.body.find("x509: certificate is for \"system:node:n2\", not for \"system:node:n1\""),
              std::string::npos)
        << got.body;
  });
}

TEST(PodConnect, RefusesAKubeletOfAnotherAuthority) {
  World world("system:node:n1", true);
  run_until_done([&]() -> Task<void> {
    auto got = co_await get(world, "/web/log");
    EXPECT_EQ(got.status, 502);
    EXPECT_NE(got.body.find("x509: certificate signed by unknown authority"), std::string::npos) << got.body;
    auto socket = co_await open_socket(world, "/web/exec?stdout=1", "v5.channel.k8s.io");
    EXPECT_TRUE(socket);
    if (!socket) co_return;
    auto channels = co_await drain(*socket);
    EXPECT_NE(channels[3].find("x509"), std::string::npos) << channels[3];
  });
}

TEST(PodConnect, TranslatesExecOfV5ClientsAndClosesStdin) {
  World world;
  run_until_done([&]() -> Task<void> {
    auto socket =
        co_await open_socket(world, "/web/exec?stdin=true&stdout=true&stderr=true&command=cat", "v5.channel.k8s.io");
    EXPECT_TRUE(socket);
    if (!socket) co_return;
    std::string text(300'000, 'x');
    for (size_t at = 0; at < text.size(); at += 30'000)
      co_await socket->write(true, one(std::string(1, '\0') + text.substr(at, 30'000)));
    co_await socket->write(true, one(std::string("\xff\x00", 2)));
    auto channels = co_await drain(*socket);
    EXPECT_EQ(channels[1].size(), text.size());
    EXPECT_EQ(channels[2], "err");
    EXPECT_EQ(channels[3], R"({"status":"Failure","reason":"NonZeroExitCode"})");
  });
}

TEST(PodConnect, TranslatesExecOfV4ClientsWithoutInput) {
  World world;
  run_until_done([&]() -> Task<void> {
    auto socket = co_await open_socket(world, "/web/exec?stdout=1&command=id", "v4.channel.k8s.io");
    EXPECT_TRUE(socket);
    if (!socket) co_return;
    auto channels = co_await drain(*socket);
    EXPECT_EQ(channels[1], "out");
    EXPECT_EQ(channels.count(-1), 0u);
  });
}

TEST(PodConnect, SplicesSpdyClientsThrough) {
  World world;
  run_until_done([&]() -> Task<void> {
    auto executor = co_await boost::asio::this_coro::executor;
    auto client = world.client(executor);
    ClientRequest request;
    request.method = "POST";
    request.target = "/web/exec?stdout=1&stderr=1&command=id";
    request.headers = {{"connection", "Upgrade"},
                       {"upgrade", "SPDY/3.1"},
                       {"authorization", "Bearer secret"},
                       {"x-stream-protocol-version", "v4.channel.k8s.io"}};
    auto answer = co_await client->upgrade(std::move(request));
    EXPECT_TRUE(answer && answer->status == 101);
    if (!answer || answer->status != 101) co_return;
    EXPECT_EQ(answer->headers.get("x-stream-protocol-version"), "v4.channel.k8s.io");
    auto spdy = SpdyConnection::make(std::move(answer->stream), false, executor);
    auto error = co_await spdy->open({{"streamtype", "error"}});
    auto out = co_await spdy->open({{"streamtype", "stdout"}});
    auto err = co_await spdy->open({{"streamtype", "stderr"}});
    EXPECT_TRUE(error && out && err);
    auto text = co_await read_to_end(**out, 100);
    EXPECT_EQ(text.value_or("?"), "out");
    auto status = co_await read_to_end(**error, 100);
    EXPECT_NE(status.value_or("?").find("NonZeroExitCode"), std::string::npos);
    co_await spdy->close();
  });
}

TEST(PodConnect, TunnelsPortForwardInsideAWebSocket) {
  World world;
  run_until_done([&]() -> Task<void> {
    auto socket = co_await open_socket(world, "/web/portforward", "SPDY/3.1+portforward.k8s.io");
    EXPECT_TRUE(socket);
    if (!socket) co_return;
    auto stream = websocket_as_stream(std::move(socket));
    co_await say(*stream, "spdy bytes");
    char buffer[100];
    auto n = co_await stream->read_some(buffer);
    EXPECT_EQ(std::string_view(buffer, n.value_or(0)), "got spdy bytes");
    co_await stream->shutdown_write();
    auto end = co_await read_to_end(*stream, 100);
    EXPECT_EQ(end.value_or("?"), "");
  });
}

TEST(PodConnect, PassesOnWhatTheKubeletRefuses) {
  World world;
  run_until_done([&]() -> Task<void> {
    auto client = world.client(co_await boost::asio::this_coro::executor);
    ClientRequest request;
    request.target = "/web/attach?stdout=1";
    request.headers = {{"connection", "Upgrade"}, {"upgrade", "SPDY/3.1"}};
    auto answer = co_await client->upgrade(std::move(request));
    EXPECT_TRUE(answer && answer->status == 404);
    if (!answer || !answer->body) co_return;
    auto text = co_await read_body(*answer->body, 1000);
    EXPECT_EQ(text.value_or("?"), "pod does not exist");
    auto socket = co_await open_socket(world, "/web/attach?stdout=1", "v5.channel.k8s.io");
    EXPECT_TRUE(socket);
    if (!socket) co_return;
    auto channels = co_await drain(*socket);
    EXPECT_NE(channels[3].find("Internal error occurred: unable to upgrade connection: pod does not exist"),
              std::string::npos)
        << channels[3];
  });
}
