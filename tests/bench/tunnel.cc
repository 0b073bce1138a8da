// The reverse tunnel measured: a client with TLS -> the server's port -> the tunnel -> an agent -> a plain TCP target,
// each a process of its own. Where REDOUBT_BENCH_PROXY_SERVER and REDOUBT_BENCH_PROXY_AGENT name upstream's
// konnectivity programs, they are measured in the same run, by their HTTP CONNECT front, with the same client and
// target.
//   bench_tunnel [--quick]       prints a table and, as its last lines, JSON
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/log.h"
#include "dial/http_connect.h"
#include "egress/reverse/agent.h"
#include "egress/reverse/protocol.h"
#include "egress/reverse/tunnel_server.h"
#include "net/http_server.h"
#include "net/loop.h"
#include "net/pieces.h"
#include "net/socket_stream.h"
#include "net/tcp.h"
#include "pki/certificate.h"

using namespace redoubt;
using namespace redoubt::egress;
using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

namespace {

constexpr uint16_t kFrontPort = 46443, kUpstreamFrontPort = 46444, kTargetPort = 46080;
constexpr const char* kNode = "bench";
// The target is dialled at an address that the agent takes for the node's own; it turns it into loopback.
constexpr const char* kNodeAddress = "192.0.2.10";

struct Identity {
  pki::KeyPair ca, server, node;
};

Identity make_identity() {
  Identity out;
  out.ca = pki::make_ca("bench", std::chrono::hours(1)).value();
  pki::Template server;
  server.subject.common_name = "server";
  server.ip_addresses = {"127.0.0.1"};
  server.usages = {pki::Usage::ServerAuth};
  out.server = pki::issue(out.ca, server).value();
  pki::Template node;
  node.subject = {"system:node:bench", {"system:nodes"}};
  node.usages = {pki::Usage::ClientAuth};
  out.node = pki::issue(out.ca, node).value();
  return out;
}

std::shared_ptr<net::TlsClientContext> client_tls(const Identity& identity) {
  net::TlsClientContext::Options tls;
  tls.ca_pem = identity.ca.certificate_pem;
  tls.certificate_pem = identity.node.certificate_pem;
  tls.private_key_pem = identity.node.private_key_pem;
  return net::TlsClientContext::make(std::move(tls)).value();
}

// ---- the server: the secure port with nothing but tunnels and CONNECT ----

struct ServerProcess {
  std::unique_ptr<reverse::TunnelServer> tunnels;
  std::vector<net::StreamPtr> held;  // idle streams, on the first loop
};

Task<void> handle(ServerProcess& self, net::Request request, net::Responder& responder) {
  if (request.path.ends_with("/tunnel")) {
    net::Headers headers{{"connection", "Upgrade"}, {"upgrade", std::string(reverse::kUpgradeToken)}};
    auto stream = co_await responder.upgrade(std::move(headers));
    if (stream) co_await self.tunnels->serve(kNode, std::move(*stream), "bench");
    co_return;
  }
  if (request.path.starts_with("/hold/")) {
    for (int n = std::atoi(request.path.c_str() + 6); n > 0; --n) {
      auto stream = co_await self.tunnels->dial(PathId::ApiserverPod, {kNode, {kNodeAddress, kTargetPort}}, {});
      if (!stream) {
        std::fprintf(stderr, "hold: %s\n", stream.error().message().c_str());
        break;
      }
      self.held.push_back(std::move(*stream));
    }
    co_await responder.send(200, {}, {});
    co_return;
  }
  auto stream = co_await self.tunnels->dial(PathId::ApiserverPod, {kNode, {kNodeAddress, kTargetPort}}, {});
  if (!stream) {
    co_await responder.send(503, {}, {});
    co_return;
  }
  auto client = co_await responder.upgrade({});
  if (client) co_await net::splice(std::move(*client), std::move(*stream));
}

[[noreturn]] void serve(const Identity& identity) {
  ServerProcess self;
  reverse::TunnelServerOptions options;
  options.addresses = [](const std::string& node) -> Result<reverse::NodeAddresses> {
    return reverse::NodeAddresses(node, {kNodeAddress}, {});
  };
  options.server_id = "bench";
  self.tunnels = reverse::TunnelServer::make(std::move(options));
  net::LoopPool loops(2, "api");
  net::HttpServerOptions http;
  http.address = "127.0.0.1";
  http.port = kFrontPort;
  http.tls = net::TlsServerContext::make({.certificate_pem = identity.server.certificate_pem,
                                          .private_key_pem = identity.server.private_key_pem})
                 .value();
  http.handler = [&self](net::Request request, net::Responder& responder) {
    return handle(self, std::move(request), responder);
  };
  auto server = net::HttpServer::start(loops, std::move(http)).value();
  while (true) pause();
}

[[noreturn]] void run_agent(const Identity& identity) {
  net::LoopPool loops(1, "agent");
  reverse::AgentOptions options;
  options.node = kNode;
  options.kubelet = {"127.0.0.1", 10250};
  options.tls = client_tls(identity);
  options.dial_target = [](net::Address to) { return net::tcp_connect({"127.0.0.1", to.port}, 5s); };
  reverse::Agent agent(loops.executor(0), std::move(options));
  Scope scope(loops.executor(0));
  boost::asio::post(loops.executor(0), [&] {
    agent.set_addresses(reverse::NodeAddresses(kNode, {kNodeAddress}, {}));
    agent.set_servers({{"127.0.0.1", kFrontPort}});
    scope.spawn(agent.run());
  });
  while (true) pause();
}

// ---- the target: 'e' echoes what comes, 'd' sends until the connection ends ----

Task<void> target_connection(net::StreamPtr stream) {
  char mode = 0;
  auto got = co_await stream->read_some({&mode, 1});
  if (!got || *got == 0) co_return;
  if (mode == 'd') {
    Bytes piece = Bytes::take(std::string(256 * 1024, 'd'));
    while (true) {
      BytesList pieces;
      pieces.push_back(piece);
      if (!co_await stream->write(std::move(pieces))) co_return;
    }
  }
  while (true) {
    auto pieces = co_await net::read_pieces(*stream, 64 * 1024);
    if (!pieces || pieces->empty()) co_return;
    if (!co_await stream->write(std::move(*pieces))) co_return;
  }
}

[[noreturn]] void run_target() {
  net::LoopPool loops(1, "target");
  Executor executor = loops.executor(0);
  Scope scope(executor);
  boost::asio::ip::tcp::acceptor acceptor(loops.loop(0));
  acceptor.open(boost::asio::ip::tcp::v4());
  acceptor.set_option(boost::asio::socket_base::reuse_address(true));
  acceptor.bind({boost::asio::ip::make_address_v4("127.0.0.1"), kTargetPort});
  acceptor.listen(4096);
  boost::asio::post(executor, [&] {
    scope.spawn([](boost::asio::ip::tcp::acceptor& a, Scope& s) -> Task<void> {
      while (true) {
        auto socket = co_await a.async_accept(boost::asio::use_awaitable);
        socket.set_option(boost::asio::ip::tcp::no_delay(true));
        int fd = socket.release();
        s.spawn(target_connection(net::make_socket_stream(
            net::Socket(a.get_executor(), boost::asio::generic::stream_protocol(AF_INET, IPPROTO_TCP), fd))));
      }
    }(acceptor, scope));
  });
  while (true) pause();
}

// ---- upstream's programs ----

void write_file(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
}

[[noreturn]] void run_program(std::vector<std::string> args) {
  std::freopen("/dev/null", "w", stderr);
  std::vector<char*> argv;
  for (std::string& arg : args) argv.push_back(arg.data());
  argv.push_back(nullptr);
  ::execv(argv[0], argv.data());
  ::_exit(127);
}

std::vector<std::string> upstream_server(const char* program, const std::string& d) {
  return {program,
          "--mode=http-connect",
          "--server-port=" + std::to_string(kUpstreamFrontPort),
          "--server-cert=" + d + "/server.crt",
          "--server-key=" + d + "/server.key",
          "--server-ca-cert=" + d + "/ca.crt",
          "--cluster-cert=" + d + "/server.crt",
          "--cluster-key=" + d + "/server.key",
          "--cluster-ca-cert=" + d + "/ca.crt",
          "--agent-port=46091",
          "--admin-port=46095",
          "--health-port=46092"};
}

std::vector<std::string> upstream_agent(const char* program, const std::string& d) {
  return {program,
          "--ca-cert=" + d + "/ca.crt",
          "--agent-cert=" + d + "/node.crt",
          "--agent-key=" + d + "/node.key",
          "--proxy-server-host=127.0.0.1",
          "--proxy-server-port=46091",
          "--admin-server-port=46094",
          "--health-server-port=46093"};
}

// ---- the client ----

// What is measured: where its front is, and its processes.
struct Front {
  const char* name;
  uint16_t port;
  std::string target;  // of the CONNECT
  pid_t server, agent;
};
Front front;

Task<Result<net::StreamPtr>> open(const std::shared_ptr<net::TlsClientContext>& tls) {
  RD_CO_TRY(auto raw, co_await net::tcp_connect({"127.0.0.1", front.port}, 5s));
  RD_CO_TRY(auto stream, co_await net::tls_connect(std::move(raw), tls, "127.0.0.1", true));
  co_return co_await net::http_connect(std::move(stream.stream), front.target, "", 10s);
}

Task<Result<void>> send_text(net::Stream& stream, std::string text) {
  BytesList pieces;
  pieces.push_back(Bytes::take(std::move(text)));
  co_return co_await stream.write(std::move(pieces));
}

Task<void> download(std::shared_ptr<net::TlsClientContext> tls, uint64_t bytes, std::shared_ptr<uint64_t> total) {
  auto stream = co_await open(tls);
  if (!stream) {
    std::fprintf(stderr, "%s\n", stream.error().message().c_str());
    co_return;
  }
  (void)co_await send_text(**stream, "d");
  std::string buffer(256 * 1024, '\0');
  for (uint64_t got = 0; got < bytes;) {
    auto n = co_await (*stream)->read_some({buffer.data(), buffer.size()});
    if (!n || *n == 0) {
      std::fprintf(stderr, "a download ended early\n");
      co_return;
    }
    got += *n;
    *total += *n;
  }
}

Task<void> ping_pong(std::shared_ptr<net::TlsClientContext> tls, int count, std::shared_ptr<std::vector<double>> out) {
  auto stream = co_await open(tls);
  if (!stream) co_return;
  (void)co_await send_text(**stream, "e");
  char buffer[16];
  for (int i = 0; i < count; ++i) {
    auto began = Clock::now();
    (void)co_await send_text(**stream, "p");
    auto got = co_await (*stream)->read_some(buffer);
    if (!got || *got == 0) co_return;
    out->push_back(std::chrono::duration<double, std::milli>(Clock::now() - began).count());
    co_await sleep_for(500us);
  }
}

double percentile(std::vector<double> values, double p) {
  if (values.empty()) return -1;
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(p * static_cast<double>(values.size() - 1))];
}

double cpu_seconds(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string text((std::istreambuf_iterator<char>(file)), {});
  text = text.substr(text.rfind(')') + 2);
  std::istringstream fields(text);
  std::string skip;
  for (int i = 0; i < 11; ++i) fields >> skip;
  double user = 0, system = 0;
  fields >> user >> system;
  return (user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

double resident_kb(pid_t pid) {
  std::ifstream file(fmt::format("/proc/{}/status", pid));
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("VmRSS:")) return std::atof(line.c_str() + 6);
  }
  return 0;
}

// Runs client work on a loop of its own, in this thread.
void client(std::function<Task<void>(Scope&)> work) {
  net::run_until_done([&]() -> Task<void> {
    return [](std::function<Task<void>(Scope&)>& w) -> Task<void> {
      Scope scope(co_await boost::asio::this_coro::executor);
      co_await w(scope);
      co_await scope.join();
    }(work);
  });
}

struct Figures {
  double one_mb_s = 0, one_cpu = 0, many_mb_s = 0, many_cpu = 0;
  std::vector<double> alone, beside;
};

Figures measure(std::shared_ptr<net::TlsClientContext> tls, bool quick) {
  auto cpu = [] { return cpu_seconds(front.server) + cpu_seconds(front.agent); };

  // The tunnel is up once a stream opens.
  client([&](Scope&) -> Task<void> {
    return [](std::shared_ptr<net::TlsClientContext> t) -> Task<void> {
      for (int i = 0; i < 100 && !co_await open(t); ++i) co_await sleep_for(100ms);
    }(tls);
  });

  struct Bulk {
    double mb_per_s = 0, cpu_per_gb = 0;
  };
  auto bulk = [&](int streams, uint64_t bytes) {
    auto total = std::make_shared<uint64_t>(0);
    double cpu_before = cpu();
    auto began = Clock::now();
    client([&](Scope& scope) -> Task<void> {
      return [](Scope& s, std::shared_ptr<net::TlsClientContext> t, int n, uint64_t b,
                std::shared_ptr<uint64_t> sum) -> Task<void> {
        for (int i = 0; i < n; ++i) s.spawn(download(t, b / static_cast<uint64_t>(n), sum));
        co_await s.wait_idle();
      }(scope, tls, streams, bytes, total);
    });
    double seconds = std::chrono::duration<double>(Clock::now() - began).count();
    double gigabytes = static_cast<double>(*total) / 1e9;
    return Bulk{gigabytes * 1000 / seconds, (cpu() - cpu_before) / gigabytes};
  };
  // Upstream is slower: less of it takes as long.
  uint64_t size = quick ? 200'000'000 : front.port == kFrontPort ? 4'000'000'000 : 1'000'000'000;
  bulk(1, size / 10);
  Bulk one = bulk(1, size), many = bulk(64, size);
  std::printf("%-42s %8.0f MB/s %6.2f CPU-s/GB (server + agent)\n", "one stream", one.mb_per_s, one.cpu_per_gb);
  std::printf("%-42s %8.0f MB/s %6.2f CPU-s/GB\n", "64 streams", many.mb_per_s, many.cpu_per_gb);

  int pings = quick ? 200 : 4000;
  auto latency = [&](bool beside) {
    auto out = std::make_shared<std::vector<double>>();
    client([&](Scope& scope) -> Task<void> {
      return [](Scope& s, std::shared_ptr<net::TlsClientContext> t, bool b, int n,
                std::shared_ptr<std::vector<double>> o) -> Task<void> {
        // The bulk's reader is a process of its own, so that what is measured is the tunnel and not this client.
        (void)s;
        pid_t reader = -1;
        if (b) {
          reader = fork();
          if (reader == 0) {
            net::run_until_done([&]() -> Task<void> { return download(t, UINT64_MAX, std::make_shared<uint64_t>(0)); });
            _exit(0);
          }
          co_await sleep_for(500ms);
        }
        co_await ping_pong(t, n, o);
        if (reader > 0) {
          kill(reader, SIGKILL);
          waitpid(reader, nullptr, 0);
        }
      }(scope, tls, beside, pings, out);
    });
    return *out;
  };
  std::vector<double> alone = latency(false), beside = latency(true);
  std::printf("%-42s p50 %6.2f ms  p99 %6.2f ms\n", "echo on an open stream", percentile(alone, 0.5),
              percentile(alone, 0.99));
  std::printf("%-42s p50 %6.2f ms  p99 %6.2f ms\n", "the same beside a bulk stream", percentile(beside, 0.5),
              percentile(beside, 0.99));
  return {one.mb_per_s, one.cpu_per_gb, many.mb_per_s, many.cpu_per_gb, std::move(alone), std::move(beside)};
}

struct Memory {
  double server_kb = 0, agent_kb = 0;  // each stream
};

Memory measure_memory(std::shared_ptr<net::TlsClientContext> tls, bool quick) {
  pid_t server = front.server, agent = front.agent;
  int idle = quick ? 500 : 10'000;
  double server_before = resident_kb(server), agent_before = resident_kb(agent);
  client([&](Scope&) -> Task<void> {
    return [](std::shared_ptr<net::TlsClientContext> t, int n) -> Task<void> {
      auto raw = co_await net::tcp_connect({"127.0.0.1", kFrontPort}, 5s);
      if (!raw) co_return;
      auto stream = co_await net::tls_connect(std::move(*raw), t, "127.0.0.1", true);
      if (!stream) co_return;
      (void)co_await send_text(*stream->stream, fmt::format("GET /hold/{} HTTP/1.1\r\nhost: x\r\n\r\n", n));
      char buffer[256];
      (void)co_await stream->stream->read_some(buffer);
    }(tls, idle);
  });
  double server_each = (resident_kb(server) - server_before) / idle,
         agent_each = (resident_kb(agent) - agent_before) / idle;
  std::printf("%-42s server %4.1f KB, agent %4.1f KB (each, of %d)\n", "memory of an idle stream", server_each,
              agent_each, idle);
  std::printf("%-42s server %4.1f MB, agent %4.1f MB\n", "resident, with them", resident_kb(server) / 1024,
              resident_kb(agent) / 1024);
  return {server_each, agent_each};
}

void print_json(const Figures& f, const Memory& memory) {
  std::printf(
      R"({"bench":"tunnel","what":"%s","one_mb_s":%.0f,"one_cpu_s_gb":%.2f,"many_mb_s":%.0f,"many_cpu_s_gb":%.2f,)"
      R"("p50_ms":%.3f,"p99_ms":%.3f,"beside_p50_ms":%.3f,"beside_p99_ms":%.3f,)"
      R"("server_kb_stream":%.2f,"agent_kb_stream":%.2f})"
      "\n",
      front.name, f.one_mb_s, f.one_cpu, f.many_mb_s, f.many_cpu, percentile(f.alone, 0.5), percentile(f.alone, 0.99),
      percentile(f.beside, 0.5), percentile(f.beside, 0.99), memory.server_kb, memory.agent_kb);
}

}  // namespace

int main(int argc, char** argv) {
  bool quick = argc > 1 && std::string_view(argv[1]) == "--quick";
  signal(SIGPIPE, SIG_IGN);
  set_log_level(LogLevel::Error);
  rlimit files{65536, 65536};
  setrlimit(RLIMIT_NOFILE, &files);
  Identity identity = make_identity();
  std::vector<pid_t> children;
  auto spawn = [&](auto run) {
    std::fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) run();
    children.push_back(pid);
    return pid;
  };
  spawn([&] { run_target(); });
  auto tls = client_tls(identity);
  front = {"redoubt", kFrontPort, "target:1", spawn([&] { serve(identity); }), spawn([&] { run_agent(identity); })};
  Figures figures = measure(tls, quick);
  Memory memory = measure_memory(tls, quick);
  print_json(figures, memory);
  const char *server = std::getenv("REDOUBT_BENCH_PROXY_SERVER"), *agent = std::getenv("REDOUBT_BENCH_PROXY_AGENT");
  if (server != nullptr && agent != nullptr) {
    char folder[] = "/tmp/bench-tunnel-XXXXXX";
    if (mkdtemp(folder) == nullptr) return 1;
    std::string d = folder;
    write_file(d + "/ca.crt", identity.ca.certificate_pem);
    write_file(d + "/server.crt", identity.server.certificate_pem);
    write_file(d + "/server.key", identity.server.private_key_pem);
    write_file(d + "/node.crt", identity.node.certificate_pem);
    write_file(d + "/node.key", identity.node.private_key_pem);
    // Ours is idle from here on.
    front = {"upstream", kUpstreamFrontPort, fmt::format("127.0.0.1:{}", kTargetPort),
             spawn([&] { run_program(upstream_server(server, d)); }),
             spawn([&] { run_program(upstream_agent(agent, d)); })};
    std::printf("upstream's konnectivity:\n");
    figures = measure(tls, quick);
    std::printf("%-42s server %4.1f MB, agent %4.1f MB\n", "resident", resident_kb(front.server) / 1024,
                resident_kb(front.agent) / 1024);
    print_json(figures, {});
    std::filesystem::remove_all(d);
  }
  for (pid_t pid : children) kill(pid, SIGKILL);
  for (pid_t pid : children) waitpid(pid, nullptr, 0);
}
