// The node's DNS under load: `bench_dns [--seconds N] [--services N]`. A server thread as the agent has it, and clients
// on sockets of their own that each keep one question on its way. Prints a line of JSON.
#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <future>
#include <string_view>

#include "dns/address.h"
#include "dns/cluster_records.h"
#include "dns/message.h"
#include "dns/server.h"
#include "net/loop.h"

using namespace redoubt;
using namespace redoubt::dns;
using boost::asio::ip::udp;
using Clock = std::chrono::steady_clock;

namespace {

constexpr int kClients = 64;

double resident_mb() {
  std::ifstream statm("/proc/self/statm");
  long total = 0, resident = 0;
  statm >> total >> resident;
  return static_cast<double>(resident) * 4096 / 1e6;
}

void fill(ClusterRecords& records, int services) {
  for (int i = 0; i < services; ++i) {
    k8s::core::v1::Service s;
    s.metadata.namespace_ = fmt::format("ns{}", i % 100);
    s.metadata.name = fmt::format("web-{}", i);
    s.spec.clusterIP = fmt::format("10.96.{}.{}", i / 250, i % 250 + 1);
    s.spec.clusterIPs = {s.spec.clusterIP};
    k8s::core::v1::ServicePort port;
    port.name = "http";
    port.protocol = "TCP";
    port.port = 80;
    s.spec.ports.push_back(port);
    records.set_service(s);
  }
  records.set_ready();
}

Task<void> ask(udp::endpoint server, int services, int number, Clock::time_point end, std::vector<double>& micros) {
  udp::socket socket(co_await boost::asio::this_coro::executor,
                     udp::endpoint(boost::asio::ip::address_v4::loopback(), 0));
  std::string buffer(1500, '\0');
  for (int i = number;; i += kClients) {
    Question question{
        .name = split_name(fmt::format("web-{}.ns{}.svc.cluster.local", i % services, i % services % 100)), .type = 1};
    std::string wire = write_question(question, static_cast<uint16_t>(i));
    auto began = Clock::now();
    if (began >= end) co_return;
    co_await socket.async_send_to(boost::asio::buffer(wire), server, boost::asio::use_awaitable);
    udp::endpoint from;
    size_t size = co_await socket.async_receive_from(boost::asio::buffer(buffer), from, boost::asio::use_awaitable);
    micros.push_back(std::chrono::duration<double, std::micro>(Clock::now() - began).count());
    // An address came: the last four bytes of what is not denied.
    if (size < wire.size() + 16) std::abort();
  }
}

// CPU time of the server's thread, in microseconds; for asking on a busy machine.
double thread_micros(net::LoopPool& loop) {
  std::promise<double> out;
  boost::asio::post(loop.executor(0), [&] {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    out.set_value(static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3);
  });
  return out.get_future().get();
}

}  // namespace

int main(int argc, char** argv) {
  int seconds = 10, services = 10'000;
  for (int i = 1; i + 1 < argc; i += 2) {
    if (std::string_view(argv[i]) == "--seconds") seconds = std::atoi(argv[i + 1]);
    if (std::string_view(argv[i]) == "--services") services = std::atoi(argv[i + 1]);
  }
  double before = resident_mb();
  ClusterRecords records("cluster.local", {"10.244.0.0/16"});
  fill(records, services);
  double after = resident_mb();
  net::LoopPool loop(1, "dns");
  std::unique_ptr<Server> server;
  std::promise<Result<void>> listening;
  boost::asio::post(loop.executor(0), [&] {
    server = std::make_unique<Server>(loop.executor(0), records);
    listening.set_value(server->listen({"127.0.0.1"}, 0));
  });
  if (auto ok = listening.get_future().get(); !ok) {
    fmt::print(stderr, "{}\n", ok.error().message());
    return 1;
  }
  udp::endpoint at(boost::asio::ip::address_v4::loopback(), server->port());
  boost::asio::io_context clients(1);
  std::vector<double> micros;
  micros.reserve(4'000'000);
  Scope scope(clients.get_executor(), "clients");
  double cpu = thread_micros(loop);
  auto end = Clock::now() + std::chrono::seconds(seconds);
  for (int i = 0; i < kClients; ++i) scope.spawn(ask(at, services, i, end, micros));
  clients.run();
  cpu = (thread_micros(loop) - cpu) / static_cast<double>(micros.size());
  std::ranges::sort(micros);
  auto part = [&](double p) { return micros[static_cast<size_t>(static_cast<double>(micros.size() - 1) * p)]; };
  fmt::print(R"({{"queries_s":{:.0f},"p50_us":{:.0f},"p99_us":{:.0f},"server_cpu_us":{:.1f},"records_mb":{:.1f}}})"
             "\n",
             static_cast<double>(micros.size()) / seconds, part(0.5), part(0.99), cpu, after - before);
  std::promise<void> stopped;
  boost::asio::co_spawn(
      loop.executor(0), [](Server& s) -> Task<void> { co_await s.stop(); }(*server),
      [&](std::exception_ptr) { stopped.set_value(); });
  stopped.get_future().get();
  loop.stop();
  return 0;
}
