#include "dns/server.h"

#include <gtest/gtest.h>

#include <boost/asio/ip/udp.hpp>

#include "base/deadline.h"
#include "dns/address.h"
#include "dns/limits.h"
#include "net/loop.h"

namespace redoubt::dns {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;
using asio::ip::udp;

Query query(std::string_view name, Type type) {
  return *parse_query(write_question({.name = split_name(name), .type = static_cast<uint16_t>(type)}, 7));
}

unsigned rcode(const std::string& wire) {
  return static_cast<unsigned>(wire.at(3)) & 15;
}

// An upstream resolver that knows one address for every name, and counts what it is asked.
struct Upstream {
  explicit Upstream(Executor executor) : socket(executor, udp::endpoint(asio::ip::address_v4::loopback(), 0)) {}
  Task<void> run() {
    std::string buffer(2000, '\0');
    udp::endpoint from;
    while (true) {
      size_t n = co_await socket.async_receive_from(asio::buffer(buffer), from, asio::use_awaitable);
      ++asked;
      if (silent) continue;
      Query q = *parse_query(std::string_view(buffer).substr(0, n));
      Answer a;
      a.answer = {{.owner = "", .type = Type::A, .ttl = ttl, .data = "192.0.2.1"}};
      Query forged = q;
      forged.id = static_cast<uint16_t>(q.id + 1);
      co_await socket.async_send_to(asio::buffer(write_answer(forged, a, 512)), from, asio::use_awaitable);
      co_await socket.async_send_to(asio::buffer(write_answer(q, a, 512)), from, asio::use_awaitable);
    }
  }
  net::Address address() { return {"127.0.0.1", socket.local_endpoint().port()}; }
  udp::socket socket;
  int asked = 0;
  uint32_t ttl = 60;
  bool silent = false;
};

void with_server(std::function<Task<void>(Server&, ClusterRecords&, Upstream&)> body) {
  net::run_until_done([&]() -> Task<void> {
    return [](auto& body) -> Task<void> {
      Executor executor = co_await asio::this_coro::executor;
      ClusterRecords records("cluster.local", {"10.244.0.0/16"});
      Upstream upstream(executor);
      Server server(executor, records);
      Scope scope(executor, "upstream");
      scope.spawn(upstream.run());
      server.forwarder().set_upstreams({upstream.address()});
      co_await body(server, records, upstream);
      co_await scope.join();
      co_await server.stop();
    }(body);
  });
}

TEST(DnsServer, AsksUpstreamOnceForManyAndKeepsTheAnswer) {
  with_server([](Server& server, ClusterRecords&, Upstream& upstream) -> Task<void> {
    Scope many(co_await asio::this_coro::executor, "many");
    int right = 0;
    for (int i = 0; i < 20; ++i) {
      many.spawn([](Server& s, int& n) -> Task<void> {
        std::string wire = co_await s.answer(query("www.example.test", Type::A), 512);
        n += wire.find(std::string("\xc0\x00\x02\x01", 4)) != std::string::npos ? 1 : 0;
      }(server, right));
    }
    co_await many.wait_idle();
    EXPECT_EQ(right, 20);
    EXPECT_EQ(upstream.asked, 1);
    EXPECT_TRUE(server.answer_now(query("WWW.example.test", Type::A), 512)) << "from the cache";
  });
}

TEST(DnsServer, AnExpiredAnswerServesWhileNoResolverAnswersAndAFreshNameFails) {
  with_server([](Server& server, ClusterRecords&, Upstream& upstream) -> Task<void> {
    upstream.ttl = 1;
    co_await server.answer(query("www.example.test", Type::A), 512);
    upstream.silent = true;
    co_await sleep_for(1100ms);
    std::string wire = co_await server.answer(query("www.example.test", Type::A), 512);
    EXPECT_EQ(rcode(wire), 0U);
    auto reply = read_reply(wire, {.name = split_name("www.example.test"), .type = 1}, 7);
    EXPECT_EQ(reply ? reply->ttl : 0, kStaleTtl);
    EXPECT_EQ(rcode(co_await server.answer(query("other.example.test", Type::A), 512)), 2U);
  });
}

TEST(DnsServer, FollowsAnExternalNameToItsAddress) {
  with_server([](Server& server, ClusterRecords& records, Upstream&) -> Task<void> {
    k8s::core::v1::Service s;
    s.metadata.namespace_ = "shop";
    s.metadata.name = "outside";
    s.spec.type = "ExternalName";
    s.spec.externalName = "www.example.test";
    records.set_service(s);
    s.metadata.name = "ring";
    s.spec.externalName = "ring.shop.svc.cluster.local";
    records.set_service(s);
    records.set_ready();
    std::string wire = co_await server.answer(query("outside.shop.svc.cluster.local", Type::A), 512);
    EXPECT_NE(wire.find("\x03www\x07"
                        "example"),
              std::string::npos);
    EXPECT_NE(wire.find(std::string("\xc0\x00\x02\x01", 4)), std::string::npos);
    EXPECT_EQ(rcode(co_await server.answer(query("ring.shop.svc.cluster.local", Type::A), 512)), 2U);
  });
}

TEST(DnsServer, NeverAsksUpstreamForTheClustersNames) {
  with_server([](Server& server, ClusterRecords& records, Upstream& upstream) -> Task<void> {
    EXPECT_EQ(rcode(co_await server.answer(query("web.shop.svc.cluster.local", Type::A), 512)), 2U);
    records.set_ready();
    EXPECT_EQ(rcode(co_await server.answer(query("web.shop.svc.cluster.local", Type::A), 512)), 3U);
    EXPECT_EQ(upstream.asked, 0);
  });
}

TEST(DnsServer, ListensOnUdpAndTcp) {
  with_server([](Server& server, ClusterRecords& records, Upstream&) -> Task<void> {
    records.set_ready();
    auto listening = server.listen({"127.0.0.1"}, 0);
    EXPECT_TRUE(listening);
    Executor executor = co_await asio::this_coro::executor;
    udp::socket client(executor, udp::v4());
    std::string message = write_question({.name = split_name("dns-version.cluster.local"), .type = 16}, 9);
    co_await client.async_send_to(asio::buffer(message), udp::endpoint(asio::ip::address_v4::loopback(), server.port()),
                                  asio::use_awaitable);
    std::string buffer(2000, '\0');
    size_t n = co_await client.async_receive(asio::buffer(buffer), asio::use_awaitable);
    EXPECT_NE(buffer.substr(0, n).find("1.1.0"), std::string::npos);
    auto stream = co_await net::tcp_connect({"127.0.0.1", server.port()}, 1000ms);
    EXPECT_TRUE(stream);
    if (!stream) co_return;
    BytesList pieces;
    pieces.push_back(Bytes::copy(std::string{'\0', static_cast<char>(message.size())} + message));
    EXPECT_TRUE(co_await (*stream)->write(std::move(pieces)));
    std::string got;
    while (got.find("1.1.0") == std::string::npos) {
      auto more = co_await (*stream)->read_some(buffer);
      if (!more || *more == 0) break;
      got += buffer.substr(0, *more);
    }
    EXPECT_NE(got.find("1.1.0"), std::string::npos);
  });
}

}  // namespace
}  // namespace redoubt::dns
