// The proxies to nodes, pods and Services, over real connections to backends of the test's own.
#include "apiserver/proxy/api_proxy.h"

#include <gtest/gtest.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/event.h"
#include "net/http_exchange.h"
#include "net/http_server.h"
#include "net/tcp.h"
#include "net/trailers.h"
#include "net/websocket.h"
#include "pki/certificate.h"
#include "schema/codec.h"

using namespace redoubt;
using namespace redoubt::net;
using namespace redoubt::apiserver;
using namespace std::chrono_literals;

namespace {

BytesList one(std::string text) {
  BytesList out;
  out.push_back(Bytes::take(std::move(text)));
  return out;
}

// tests/data of the checkout that this program was built in.
std::string file(const std::string& name) {
  for (auto folder = std::filesystem::read_symlink("/proc/self/exe"); folder.has_relative_path();
       folder = folder.parent_path()) {
    std::ifstream in(folder / "tests" / "data" / name);
    if (in) return std::string((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  }
  return {};
}

// The network of the test: addresses of the objects lead to the test's own servers, or nowhere.
class TestDialer : public egress::Dialer {
 public:
  struct Dial {
    egress::PathId path;
    egress::Target target;
    bool require_confidential;
  };
  Task<Result<StreamPtr>> dial(egress::PathId path, egress::Target target, egress::DialOptions options) override {
    dials.push_back({path, target, options.require_confidential});
    if (options.require_confidential && !confidential)
      co_return Error(Status(403, "Forbidden", "no confidential way to " + target.address.to_string()));
    auto it = routes.find(target.address.to_string());
    if (it == routes.end())
      co_return service_unavailable("dial tcp " + target.address.to_string() + ": connect: connection refused");
    co_return co_await tcp_connect({"127.0.0.1", it->second}, 2s);
  }
  egress::Way way(egress::PathId, const egress::Target&) const override { return {"test", true, confidential, ""}; }

  std::map<std::string, uint16_t> routes;
  std::vector<Dial> dials;
  bool confidential = true;
};

using Objects = std::map<std::pair<std::string, std::string>, std::string>;  // {resource, name} -> JSON

// The proxy in front of the objects of proxy_urls.json, behind an HTTP server, as the API server would have it.
struct World {
  LoopPool loops{1};
  pki::KeyPair ca = *pki::make_ca("test-ca", std::chrono::hours(24));
  TestDialer dialer;
  Objects objects;
  std::vector<std::string> slices;
  std::unique_ptr<KubeletAccess> kubelets;
  std::unique_ptr<ApiProxy> proxy;
  std::unique_ptr<HttpServer> front, backend, secure, kubelet;
  ProxyPolicy policy;
  std::map<std::string, std::string> annotations;
  // What the last request to a backend looked like.
  std::string method, target, authority, body;
  Headers headers, trailers;
  int backend_requests = 0;
  std::function<Task<void>(Request&, Responder&)> answer;

  explicit World(ProxyPolicy p = {}) : policy(p) {
    schema::Arena arena;
    std::string text = file("proxy_urls.json");  // values point into it
    auto table = *schema::parse_json(text, arena);
    for (auto resource : {"minions", "pods", "services/specs"}) {
      for (const auto& object : schema::items(table.get({"objects", resource})))
        objects[{resource, std::string(object.get({"metadata", "name"}).as_string())}] =
            schema::to_json(object, nullptr);
    }
    for (const auto& slice : schema::items(table.get({"objects", "endpointslices"})))
      slices.push_back(schema::to_json(slice, nullptr));
    auto client = *pki::issue(ca, {{"kube-apiserver-kubelet-client", {}}, {}, {}, {pki::Usage::ClientAuth}});
    kubelets = std::make_unique<KubeletAccess>(
        KubeletAccess::Options{dialer, ca.certificate_pem, client.certificate_pem, client.private_key_pem});
    BackendObjects from{
        [this](auto resource, auto, auto name) { return find(resource, name); },
        [this](auto, auto service, const auto& visit) {
          for (const auto& slice : slices) {
            if (slice.find(fmt::format("\"kubernetes.io/service-name\":\"{}\"", service)) != std::string::npos)
              visit(Bytes::copy(slice));
          }
        }};
    proxy = std::make_unique<ApiProxy>(ApiProxy::Options{
        dialer, *kubelets, from, {from.find, ca.certificate_pem}, AddressGuard({{"10.0.0.9", 6443}}), policy});
    front = listen({}, [this](Request request, Responder& responder) { return serve(std::move(request), responder); });
    auto serve_backend = [this](Request request, Responder& responder) { return see(std::move(request), responder); };
    backend = listen({}, serve_backend);
    secure = listen(identity("web.d.svc", {}, {"web.d.svc", "one.d.svc"}), serve_backend);
    kubelet = listen(identity("system:node:n1", {"system:nodes"}, {}), serve_backend);
  }
  ~World() {
    loops.stop();
    kubelets->clear();
    proxy->clear();
  }
  std::shared_ptr<TlsServerContext> identity(std::string name, std::vector<std::string> groups,
                                             std::vector<std::string> dns) {
    auto pair = *pki::issue(ca, {{std::move(name), std::move(groups)}, std::move(dns), {}, {pki::Usage::ServerAuth}});
    TlsServerContext::Options options;
    options.certificate_pem = pair.certificate_pem;
    options.private_key_pem = pair.private_key_pem;
    return *TlsServerContext::make(std::move(options));
  }
  std::unique_ptr<HttpServer> listen(std::shared_ptr<TlsServerContext> tls, Handler handler) {
    HttpServerOptions options;
    options.address = "127.0.0.1";
    options.tls = std::move(tls);
    options.handler = std::move(handler);
    return *HttpServer::start(loops, std::move(options));
  }
  Result<Bytes> find(std::string_view resource, std::string_view name) {
    auto it = objects.find({std::string(resource), std::string(name)});
    if (it != objects.end()) return Bytes::copy(it->second);
    return not_found({"", resource == "minions"          ? "nodes"
                          : resource == "services/specs" ? "services"
                                                         : std::string(resource)},
                     name);
  }
  void route(const std::string& address) { dialer.routes[address] = backend->port(); }
  void annotate(std::string resource, std::string name, std::string annotations_json) {
    std::string& json = objects[{resource, name}];
    json.insert(json.find("\"metadata\":{") + 12, "\"annotations\":" + annotations_json + ",");
  }

  Task<void> see(Request request, Responder& responder) {
    ++backend_requests;
    method = request.method;
    target = request.target;
    authority = request.authority;
    headers = request.headers;
    if (!request.wants_upgrade()) {
      auto text = co_await read_body(*request.body, 1 << 20);
      body = text.value_or("(broken)");
      trailers = trailers_of(request.body.get());
    }
    if (answer) co_return co_await answer(request, responder);
    co_await responder.send(200, {{"content-type", "text/plain"}}, one("hello"));
  }

  Task<void> serve(Request request, Responder& responder) {
    auto part = [&](size_t i) -> std::string {
      std::string_view rest = request.path;
      for (size_t n = 0; n < i; ++n) rest.remove_prefix(std::min(rest.size(), rest.find('/', 1)));
      return rest.empty() ? std::string() : *percent_decode(rest.substr(1, rest.find('/', 1) - 1));
    };
    ApiProxy::Asked asked;
    if (part(2) == "nodes") {
      asked = {"nodes", "", part(3), {}};
    } else if (part(2) == "namespaces") {
      asked = {part(4), part(3), part(5), {}};
    } else {
      co_await responder.send(404, {}, one("not the proxy's"));
      co_return;
    }
    asked.annotate = [this](auto key, auto value) { annotations[std::string(key)] = value; };
    auto done = co_await proxy->serve(request, responder, std::move(asked));
    if (!done) co_await responder.send(done.error().code(), {}, one(done.error().message()));
  }
};

struct Answer {
  int status = 0;
  Headers headers, trailers;
  std::string body;
};

std::unique_ptr<HttpClient> client_of(World& world, Executor executor, bool http2 = false) {
  HttpClient::Options options;
  options.dial = [port = world.front->port()] { return tcp_connect({"127.0.0.1", port}, 2s); };
  options.host = "api.example:6443";
  options.http2_prior_knowledge = http2;
  return HttpClient::make(executor, std::move(options));
}

Task<Answer> ask(World& world, ClientRequest request, bool http2 = false) {
  auto client = client_of(world, co_await boost::asio::this_coro::executor, http2);
  auto answer = co_await client->send(std::move(request));
  Answer out;
  if (!answer) {
    out.body = answer.error().message();
    co_return out;
  }
  out.status = answer->status;
  out.headers = answer->headers;
  auto body = co_await read_body(*answer->body, 64 << 20);
  out.body = body.value_or("(broken)");
  out.trailers = answer->trailers();
  co_return out;
}

Task<Answer> get(World& world, std::string target, Headers headers = {}, std::string method = "GET") {
  ClientRequest request;
  request.method = std::move(method);
  request.target = std::move(target);
  request.headers = std::move(headers);
  co_return co_await ask(world, std::move(request));
}

// A connection of the test's own, for what no proper client sends.
Task<std::string> raw(World& world, std::string text, std::string until) {
  auto stream = co_await tcp_connect({"127.0.0.1", world.front->port()}, 2s);
  std::string out;
  if (!stream || !co_await (*stream)->write(one(std::move(text)))) co_return out;
  char buffer[4096];
  while (out.find(until) == std::string::npos) {
    auto n = co_await (*stream)->read_some(buffer);
    if (!n || *n == 0) break;
    out.append(buffer, *n);
  }
  co_return out;
}

const std::string kPod = "/api/v1/namespaces/d/pods/web/proxy";
const std::string kService = "/api/v1/namespaces/d/services/one/proxy";

}  // namespace

TEST(ApiProxy, AnswersTheRecordedRequestsAsTheTableSays) {
  World world;
  schema::Arena arena;
  std::string text = file("proxy_urls.json");
  auto table = *schema::parse_json(text, arena);
  size_t count = 0;
  run_until_done([&]() -> Task<void> {
    for (const auto& entry : schema::items(table.get({"requests"}))) {
      ++count;
      std::string path(entry.get({"path"}).as_string());
      std::string dialled(entry.get({"dialled"}).as_string());
      std::string method(entry.get({"method"}).as_string("GET"));
      bool tls = entry.get({"tls"}).as_bool(), kubelet = entry.get({"kubelet"}).as_bool();
      world.dialer.routes.clear();
      world.dialer.dials.clear();
      world.target.clear();
      world.proxy->clear();
      if (!dialled.empty())
        world.dialer.routes[dialled] = kubelet ? world.kubelet->port()
                                       : tls   ? world.secure->port()
                                               : world.backend->port();
      auto got = co_await get(world, path, {}, method);
      if (!dialled.empty()) {
        EXPECT_EQ(got.status, 200) << path << " " << got.body;
        EXPECT_EQ(world.dialer.dials.size(), kubelet ? world.dialer.dials.size() : 1u) << path;
        if (!kubelet) EXPECT_EQ(world.dialer.dials.at(0).target.address.to_string(), dialled) << path;
        if (!kubelet && !dialled.starts_with("10.0.0.1:"))
          EXPECT_EQ(world.dialer.dials.at(0).target.node, "n1") << path;
        if (entry.has("target")) EXPECT_EQ(world.target, entry.get({"target"}).as_string()) << path;
        EXPECT_EQ(world.method, method) << path;
        continue;
      }
      EXPECT_EQ(got.status, entry.get({"status"}).as_int()) << path << " " << got.body;
      if (entry.has("message")) EXPECT_EQ(got.body, entry.get({"message"}).as_string()) << path;
      if (entry.has("location"))
        EXPECT_EQ(got.headers.get("location").value_or(""), entry.get({"location"}).as_string()) << path;
      EXPECT_TRUE(world.dialer.dials.empty()) << path;
    }
  });
  EXPECT_GT(count, 50u);
}

TEST(ApiProxy, ForwardsNoCredentialOfTheClient) {
  World world;
  world.route("10.1.0.2:8080");
  run_until_done([&]() -> Task<void> {
    Headers headers{{"authorization", "Bearer secret"},
                    {"cookie", "session=secret"},
                    {"impersonate-user", "root"},
                    {"impersonate-group", "system:masters"},
                    {"impersonate-extra-a", "b"},
                    {"x-remote-user", "root"},
                    {"x-remote-group", "system:masters"},
                    {"x-remote-extra-a", "b"},
                    {"proxy-authorization", "Basic secret"},
                    {"x-forwarded-client-cert", "secret"},
                    {"connection", "x-hop"},
                    {"x-hop", "secret"},
                    {"keep-alive", "1"},
                    {"te", "trailers"},
                    {"accept", "a/b"},
                    {"x-forwarded-for", "192.0.2.1"},
                    {"x-mine", "kept"}};
    auto got = co_await get(world, kPod + "/", headers);
    EXPECT_EQ(got.status, 200);
    for (const auto& [name, value] : world.headers) EXPECT_EQ(value.find("secret"), std::string::npos) << name;
    for (auto name : {"authorization", "cookie", "impersonate-user", "x-remote-user", "x-hop", "keep-alive"})
      EXPECT_FALSE(world.headers.has(name)) << name;
    EXPECT_EQ(world.headers.get("x-mine"), "kept");
    EXPECT_EQ(world.headers.get("accept"), "a/b");
    EXPECT_EQ(world.headers.get("x-forwarded-for"), "192.0.2.1, 127.0.0.1");
    EXPECT_EQ(world.headers.get("x-forwarded-uri"), kPod + "/");
    EXPECT_EQ(world.authority, "api.example:6443");
  });
}

TEST(ApiProxy, LeadsRedirectsBackAndFollowsNone) {
  World world;
  world.route("10.1.0.2:8080");
  std::string to;
  world.answer = [&](Request&, Responder& responder) -> Task<void> {
    co_await responder.send(302, {{"location", to}}, {});
  };
  run_until_done([&]() -> Task<void> {
    for (auto [location, wanted] :
         std::vector<std::pair<std::string, std::string>>{{"/login", kPod + "/login"},
                                                          {"http://10.1.0.2:8080/x", kPod + "/x"},
                                                          {"http://elsewhere.example/x", "http://elsewhere.example/x"},
                                                          {"next", "next"}}) {
      to = location;
      auto got = co_await get(world, kPod + "/");
      EXPECT_EQ(got.status, 302);
      EXPECT_EQ(got.headers.get("location"), wanted);
    }
    EXPECT_EQ(world.backend_requests, 4);
    EXPECT_EQ(world.dialer.dials.size(), 1u) << "one connection, and none to where the redirects lead";
  });
}

TEST(ApiProxy, RefusesAKubeletsRedirectToAnotherHost) {
  World world;
  world.dialer.routes["10.0.0.1:10250"] = world.kubelet->port();
  std::string to = "https://evil.example/";
  world.answer = [&](Request&, Responder& responder) -> Task<void> {
    co_await responder.send(302, {{"location", to}}, {});
  };
  run_until_done([&]() -> Task<void> {
    auto got = co_await get(world, "/api/v1/nodes/n1/proxy/logs");
    EXPECT_EQ(got.status, 502);
    EXPECT_EQ(got.body, "the backend attempted to redirect this request, which is not permitted");
    to = "/logs/";
    got = co_await get(world, "/api/v1/nodes/n1/proxy/logs");
    EXPECT_EQ(got.headers.get("location"), "/api/v1/nodes/n1/proxy/logs/");
  });
}

TEST(ApiProxy, RewritesPagesAndDropsWhatSpeaksForTheOrigin) {
  World world;
  world.route("10.1.0.2:8080");
  world.answer = [&](Request&, Responder& responder) -> Task<void> {
    Headers headers{{"content-type", "text/html"},
                    {"access-control-allow-origin", "*"},
                    {"strict-transport-security", "max-age=1"},
                    {"alt-svc", "h2=\"evil:443\""},
                    {"clear-site-data", "*"},
                    {"redoubt-proxy-verification", "verified"},
                    {"set-cookie", "a=b; Path=/"},
                    {"x-mine", "kept"}};
    co_await responder.send(200, std::move(headers), one("<a href=\"/x\">x</a>"));
  };
  run_until_done([&]() -> Task<void> {
    auto got = co_await get(world, kPod + "/");
    EXPECT_EQ(got.body, "<a href=\"" + kPod + "/x\">x</a>");
    for (auto name : {"access-control-allow-origin", "strict-transport-security", "alt-svc", "clear-site-data"})
      EXPECT_FALSE(got.headers.has(name)) << name;
    EXPECT_EQ(got.headers.get("redoubt-proxy-verification"), "plaintext; way=test");
    EXPECT_EQ(got.headers.get_all("redoubt-proxy-verification").size(), 1u);
    EXPECT_EQ(world.annotations["redoubt.io/proxy-verification"], "plaintext; way=test");
    EXPECT_EQ(world.annotations["redoubt.io/path"], "apiserver-pod");
    EXPECT_NE(got.headers.get("set-cookie").value_or("").find("Path=" + kPod + "/"), std::string_view::npos);
    EXPECT_EQ(got.headers.get("x-mine"), "kept");
  });
}

TEST(ApiProxy, CarriesBodiesTrailersAndMethods) {
  World world;
  world.route("10.1.0.2:8080");
  world.answer = [&](Request&, Responder& responder) -> Task<void> {
    auto writer = co_await responder.start(200, {{"content-type", "a/b"}});
    co_await (*writer)->write(one("first "));
    co_await (*writer)->write(one("second"));
    co_await (*writer)->finish({{"x-end", "yes"}, {"content-length", "1"}, {"set-cookie", "evil=1"}});
  };
  run_until_done([&]() -> Task<void> {
    for (bool http2 : {false, true}) {
      for (auto method : {"POST", "PUT", "PATCH", "DELETE", "OPTIONS"}) {
        ClientRequest request;
        request.method = method;
        request.target = kPod + "/x";
        request.body = one(std::string(500'000, 'b'));
        auto got = co_await ask(world, std::move(request), http2);
        EXPECT_EQ(got.status, 200) << method;
        EXPECT_EQ(world.method, method);
        EXPECT_EQ(world.body.size(), 500'000u) << method;
        EXPECT_EQ(got.body, "first second");
        EXPECT_EQ(got.trailers.get("x-end"), "yes");
        EXPECT_FALSE(got.trailers.has("set-cookie"));
        EXPECT_FALSE(got.trailers.has("content-length"));
      }
    }
    std::string answer = co_await raw(world,
                                      "POST " + kPod +
                                          "/ HTTP/1.1\r\nhost: api.example:6443\r\ntransfer-encoding: chunked\r\n\r\n"
                                          "5\r\nhello\r\n0\r\nx-checksum: 7\r\nauthorization: Bearer x\r\n\r\n",
                                      "second");
    EXPECT_EQ(world.body, "hello");
    EXPECT_EQ(world.trailers.get("x-checksum"), "7");
    EXPECT_FALSE(world.trailers.has("authorization"));
  });
}

TEST(ApiProxy, PassesAnEarlyAnswerWhileTheBodyStillComes) {
  World world;
  world.route("10.1.0.2:8080");
  HttpServerOptions early;
  early.address = "127.0.0.1";
  early.handler = [](Request, Responder& responder) -> Task<void> {
    co_await responder.send(413, {{"connection", "close"}}, one("too much"));
  };
  auto refusing = *HttpServer::start(world.loops, std::move(early));
  world.dialer.routes["10.1.0.2:8080"] = refusing->port();
  run_until_done([&]() -> Task<void> {
    ClientRequest request;
    request.method = "POST";
    request.target = kPod + "/";
    request.headers = {{"content-length", "100000000"}};
    auto client = client_of(world, co_await boost::asio::this_coro::executor);
    auto exchange = co_await begin_exchange(*client, std::move(request));
    EXPECT_TRUE(exchange.has_value());
    if (!exchange) co_return;
    auto body = (*exchange)->body();
    (void)co_await body->write(one("the beginning"));
    auto answer = co_await (*exchange)->response();
    EXPECT_TRUE(answer && answer->status == 413);
  });
}

TEST(ApiProxy, TriesTheNextEndpointWhenOneRefuses) {
  World world;
  world.objects[{"pods", "second"}] =
      R"({"metadata":{"name":"second"},"spec":{"nodeName":"n2"},"status":{"phase":"Running","podIP":"10.1.0.5"}})";
  world.slices[0] =
      R"({"metadata":{"name":"one-1","labels":{"kubernetes.io/service-name":"one"}},"addressType":"IPv4","ports":[{"port":8080}],"endpoints":[)"
      R"({"addresses":["10.1.0.2"],"targetRef":{"kind":"Pod","name":"web"}},{"addresses":["10.1.0.5"],"targetRef":{"kind":"Pod","name":"second"}}]})";
  world.route("10.1.0.5:8080");
  run_until_done([&]() -> Task<void> {
    for (int i = 0; i < 4; ++i) {
      world.proxy->clear();
      auto got = co_await get(world, kService + "/");
      EXPECT_EQ(got.status, 200) << got.body;
    }
    EXPECT_GE(world.dialer.dials.size(), 5u) << "endpoints take turns, so the refusing one was tried too";
    EXPECT_EQ(world.dialer.dials.back().path, egress::PathId::ApiserverService);
    world.dialer.routes.clear();
    world.proxy->clear();
    auto got = co_await get(world, kService + "/");
    EXPECT_EQ(got.status, 503);
    EXPECT_TRUE(got.body.starts_with("error trying to reach service: dial tcp 10.1.0.")) << got.body;
  });
}

TEST(ApiProxy, SendsNothingInTheClearUnlessToldSo) {
  for (bool allow : {false, true}) {
    World world({allow ? PlaintextPolicy::Allow : PlaintextPolicy::Refuse});
    world.route("10.1.0.2:8080");
    world.dialer.routes["10.1.0.2:8443"] = world.secure->port();
    world.dialer.confidential = false;
    run_until_done([&]() -> Task<void> {
      auto plain = co_await get(world, kPod + "/");
      EXPECT_EQ(plain.status, allow ? 200 : 403) << plain.body;
      if (!allow) EXPECT_NE(plain.body.find("--proxy-plaintext=allow"), std::string::npos) << plain.body;
      // Encrypted, but for nobody knows whom: no better.
      auto unverified = co_await get(world, "/api/v1/namespaces/d/pods/https:web:8443/proxy/");
      EXPECT_EQ(unverified.status, allow ? 200 : 403) << unverified.body;
      world.annotate("pods", "web", R"({"redoubt.io/proxy-ca":"cluster","redoubt.io/proxy-server-name":"web.d.svc"})");
      auto verified = co_await get(world, "/api/v1/namespaces/d/pods/https:web:8443/proxy/");
      EXPECT_EQ(verified.status, 200) << verified.body;
      EXPECT_EQ(verified.headers.get("redoubt-proxy-verification"), "verified; authority=\"cluster\"; way=test");
    });
  }
}

TEST(ApiProxy, VerifiesBackendsThatNameAnAuthority) {
  World world;
  world.dialer.routes["10.1.0.2:8443"] = world.secure->port();
  world.dialer.routes["10.1.0.2:8080"] = world.secure->port();
  const std::string path = "/api/v1/namespaces/d/pods/https:web:8443/proxy/";
  auto other = *pki::make_ca("another", std::chrono::hours(24));
  auto map = [&](const std::string& pem) {
    std::string text;
    for (char c : pem) text += c == '\n' ? std::string("\\n") : std::string(1, c);
    return R"({"metadata":{"name":"trust"},"data":{"ca.crt":")" + text + R"("}})";
  };
  run_until_done([&]() -> Task<void> {
    auto got = co_await get(world, path);
    EXPECT_EQ(got.status, 200) << got.body;
    EXPECT_EQ(got.headers.get("redoubt-proxy-verification"), "unverified; reason=\"no authority is named\"; way=test");

    std::string before = world.objects[{"pods", "web"}];
    world.annotate("pods", "web", R"({"redoubt.io/proxy-ca":"cluster"})");
    got = co_await get(world, path);
    EXPECT_EQ(got.status, 502) << "the certificate does not carry the pod's address";
    EXPECT_NE(got.body.find("path apiserver-pod: node \"n1\" at 10.1.0.2:8443: "), std::string::npos) << got.body;
    EXPECT_NE(got.body.find("x509: certificate is valid for web.d.svc, one.d.svc, not 10.1.0.2"), std::string::npos)
        << got.body;

    world.objects[{"pods", "web"}] = before;
    world.annotate("pods", "web",
                   R"({"redoubt.io/proxy-ca":"configmap/trust#ca.crt","redoubt.io/proxy-server-name":"web.d.svc"})");
    got = co_await get(world, path);
    EXPECT_EQ(got.status, 502);
    EXPECT_NE(got.body.find("no such ConfigMap"), std::string::npos) << got.body;
    world.objects[{"configmaps", "trust"}] = map(other.certificate_pem);
    got = co_await get(world, path);
    EXPECT_EQ(got.status, 502);
    EXPECT_NE(got.body.find("x509: certificate signed by unknown authority"), std::string::npos) << got.body;
    world.objects[{"configmaps", "trust"}] = map(world.ca.certificate_pem);
    got = co_await get(world, path);
    EXPECT_EQ(got.status, 200) << got.body;
    EXPECT_EQ(got.headers.get("redoubt-proxy-verification"),
              "verified; authority=\"configmap/trust#ca.crt\"; way=test");
    EXPECT_EQ(world.annotations["redoubt.io/path"], "apiserver-pod");
    EXPECT_EQ(world.annotations["redoubt.io/proxy-verification"],
              "verified; authority=\"configmap/trust#ca.crt\"; way=test");

    // A Service's own annotation, and the name its certificate has to carry.
    world.annotate("services/specs", "one", R"({"redoubt.io/proxy-ca":"cluster"})");
    got = co_await get(world, "/api/v1/namespaces/d/services/https:one:80/proxy/");
    EXPECT_EQ(got.status, 200) << got.body;
  });
}

TEST(ApiProxy, RefusesUnverifiedTlsWhereThePolicySaysSo) {
  World world({.unverified_tls = UnverifiedTlsPolicy::Refuse});
  world.dialer.routes["10.1.0.2:8443"] = world.secure->port();
  run_until_done([&]() -> Task<void> {
    auto got = co_await get(world, "/api/v1/namespaces/d/pods/https:web:8443/proxy/");
    EXPECT_EQ(got.status, 403);
    EXPECT_NE(got.body.find("redoubt.io/proxy-ca"), std::string::npos) << got.body;
    EXPECT_TRUE(world.dialer.dials.empty());
  });
}

TEST(ApiProxy, RefusesAnImpostorOfTheKubelet) {
  World world;
  auto impostor = world.listen(world.identity("system:node:n2", {"system:nodes"}, {"n1"}),
                               [&](Request r, Responder& w) { return world.see(std::move(r), w); });
  world.dialer.routes["10.0.0.1:10250"] = impostor->port();
  run_until_done([&]() -> Task<void> {
    auto got = co_await get(world, "/api/v1/nodes/n1/proxy/pods");
    EXPECT_EQ(got.status, 502);
    EXPECT_NE(got.body.find("path apiserver-node: node \"n1\" at 10.0.0.1:10250: "), std::string::npos) << got.body;
    EXPECT_NE(got.body.find("x509: certificate is for \"system:node:n2\""), std::string::npos) << got.body;
    EXPECT_EQ(world.backend_requests, 0);
    EXPECT_EQ(world.annotations["redoubt.io/path"], "apiserver-node");
    EXPECT_FALSE(world.annotations.contains("redoubt.io/proxy-verification")) << "nobody was verified";
  });
}

TEST(ApiProxy, UpgradesWebSocketsOfBothHttpVersions) {
  World world;
  world.route("10.1.0.2:8080");
  world.answer = [&](Request& request, Responder& responder) -> Task<void> {
    auto accepted = co_await websocket_accept(request, responder, {"chat"});
    if (!accepted) co_return;
    while (true) {
      auto message = co_await accepted->socket->read();
      if (!message || !*message) break;
      co_await accepted->socket->write((*message)->binary, one("echo " + (*message)->data));
    }
  };
  run_until_done([&]() -> Task<void> {
    auto client = client_of(world, co_await boost::asio::this_coro::executor);
    ClientRequest request;
    request.target = kPod + "/socket?x=1";
    request.headers = websocket_client_headers({"base64url.bearer.authorization.k8s.io.c2VjcmV0", "chat"});
    Headers sent = request.headers;
    request.headers.add("authorization", "Bearer secret");
    auto answer = co_await client->upgrade(std::move(request));
    EXPECT_TRUE(answer && answer->status == 101);
    if (!answer || answer->status != 101) co_return;
    EXPECT_EQ(websocket_check_answer(sent, answer->headers).value_or("?"), "chat");
    EXPECT_EQ(answer->headers.get("redoubt-proxy-verification"), "plaintext; way=test");
    EXPECT_EQ(world.target, "/socket?x=1");
    for (const auto& [name, value] : world.headers) EXPECT_EQ(value.find("c2VjcmV0"), std::string::npos) << name;
    auto socket = websocket_over(std::move(answer->stream), false);
    co_await socket->write(true, one("hi"));
    auto message = co_await socket->read();
    EXPECT_EQ(message.value()->data, "echo hi");
    co_await socket->close(1000, "");
    (void)co_await socket->read();
  });
}

// CVE-2018-1002105: after a refused upgrade the client's connection must not be a pipe to the backend.
TEST(ApiProxy, LeavesNoPipeBehindAFailedUpgrade) {
  World world;
  world.route("10.1.0.2:8080");
  for (int status : {400, 403, 200, 302}) {
    world.backend_requests = 0;
    world.answer = [&](Request&, Responder& responder) -> Task<void> {
      co_await responder.send(status, {{"location", "http://evil.example/"}}, one("no"));
    };
    run_until_done([&]() -> Task<void> {
      std::string smuggled = "GET /secret HTTP/1.1\r\nhost: api.example:6443\r\n\r\n";
      std::string text = co_await raw(
          world,
          "GET " + kPod +
              "/ HTTP/1.1\r\nhost: api.example:6443\r\nconnection: upgrade\r\nupgrade: "
              "websocket\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-version: 13\r\n\r\n" +
              smuggled,
          "not the proxy's");
      std::string first = status >= 400 ? std::to_string(status) : "500";
      EXPECT_TRUE(text.starts_with("HTTP/1.1 " + first)) << text;
      if (status < 400)
        EXPECT_NE(text.find("invalid upgrade response: status code " + std::to_string(status)), std::string::npos);
      EXPECT_NE(text.find("not the proxy's"), std::string::npos) << "the second request is the API server's: " << text;
      EXPECT_EQ(world.backend_requests, 1);
      EXPECT_EQ(world.target, "/");
    });
  }
}

TEST(ApiProxy, PassesNoUpgradeToHttp2) {
  World world;
  world.route("10.1.0.2:8080");
  run_until_done([&]() -> Task<void> {
    auto got =
        co_await get(world, kPod + "/",
                     {{"connection", "Upgrade, HTTP2-Settings"}, {"upgrade", "h2c"}, {"http2-settings", "AAMAAABk"}});
    EXPECT_EQ(got.status, 400);
    EXPECT_EQ(world.backend_requests, 0);
  });
}

TEST(ApiProxy, SmugglesNothingThroughEitherHttp) {
  World world;
  world.route("10.1.0.2:8080");
  run_until_done([&]() -> Task<void> {
    const std::string head = "POST " + kPod + "/ HTTP/1.1\r\nhost: api.example:6443\r\n";
    for (const std::string& bad :
         {head +
              "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /secret HTTP/1.1\r\nhost: a\r\n\r\n",
          head + "content-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
          head + "transfer-encoding: xchunked\r\n\r\n0\r\n\r\n", head + "transfer-encoding : chunked\r\n\r\n0\r\n\r\n",
          head + "x: a\rb\r\n\r\n", head + "x: a\r\n folded: b\r\n\r\n",
          "POST " + kPod + "/ x HTTP/1.1\r\nhost: a\r\n\r\n"}) {
      std::string text = co_await raw(world, bad, "\r\n\r\n");
      EXPECT_TRUE(text.starts_with("HTTP/1.1 400")) << bad << "\n" << text;
    }
    EXPECT_EQ(world.backend_requests, 0);
    // HTTP/2 has no line ends to be broken; what would be one in HTTP/1.1 never gets out.
    for (auto path : {"/a b", "/a\rGET", "/a\r\n\r\nGET /secret HTTP/1.1"}) {
      ClientRequest request;
      request.target = kPod + path;
      auto got = co_await ask(world, std::move(request), true);
      EXPECT_TRUE(got.status == 0 || got.status == 400) << got.status;
    }
    for (auto value : {"a\r\nx-injected: 1", "a\nb"}) {
      ClientRequest request;
      request.target = kPod + "/";
      request.headers = {{"x-value", value}};
      (void)co_await ask(world, std::move(request), true);
      EXPECT_FALSE(world.headers.has("x-injected"));
    }
    EXPECT_NE(world.target, "/secret");
  });
}

TEST(ApiProxy, RefusesABackendsHeadersThatCouldBeReadTwice) {
  World world;
  for (const std::string& answer :
       {"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: a\rb\r\ncontent-length: 0\r\n\r\n", "nonsense\r\n\r\n"}) {
    net::LoopPool own(1);
    auto acceptor = std::make_shared<boost::asio::ip::tcp::acceptor>(own.executor(0));
    acceptor->open(boost::asio::ip::tcp::v4());
    acceptor->bind({boost::asio::ip::address_v4::loopback(), 0});
    acceptor->listen();
    world.dialer.routes["10.1.0.2:8080"] = acceptor->local_endpoint().port();
    std::thread backend([acceptor, answer] {
      boost::system::error_code ignored;
      auto socket = acceptor->accept(ignored);
      char buffer[4096];
      socket.read_some(boost::asio::buffer(buffer), ignored);
      boost::asio::write(socket, boost::asio::buffer(answer), ignored);
      socket.shutdown(boost::asio::ip::tcp::socket::shutdown_both, ignored);
    });
    world.proxy->clear();
    run_until_done([&]() -> Task<void> {
      auto got = co_await get(world, kPod + "/");
      EXPECT_GE(got.status, 502) << answer << got.body;
    });
    backend.join();
  }
}
