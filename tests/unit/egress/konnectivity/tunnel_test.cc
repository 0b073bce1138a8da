// Server, agent and client together.
#include <deque>

#include "base/random.h"
#include "egress/konnectivity/carry.h"
#include "egress/konnectivity/in_process.h"
#include "egress/konnectivity/proxy_client.h"
#include "fixture.h"

namespace redoubt::konnectivity::test {
namespace {

Task<void> expect_echo(net::Stream& stream, size_t size) {
  std::string sent(size, '\0');
  random_bytes({reinterpret_cast<unsigned char*>(sent.data()), sent.size()});
  Scope writer(co_await asio::this_coro::executor);
  writer.spawn([](net::Stream& s, std::string text) -> Task<void> {
    EXPECT_TRUE(co_await s.write(one(std::move(text))));
  }(stream, sent));
  std::string back, buffer(40'000, '\0');
  while (back.size() < size) {
    auto got = co_await stream.read_some(buffer);
    EXPECT_TRUE(got && *got > 0) << (got ? "ended" : got.error().message());
    if (!got || *got == 0) break;
    back.append(buffer, 0, *got);
  }
  co_await writer.join();
  EXPECT_TRUE(back == sent);
}

enum class Way { Direct, Grpc, HttpConnect, InProcess };

class EveryWay : public testing::TestWithParam<std::tuple<Way, bool>> {};

// A stream to `address`, dialled the given way.
Task<Result<net::StreamPtr>> dial(Fixture& fixture, Way way, std::string address, std::shared_ptr<ProxyClient> client) {
  switch (way) {
    case Way::Direct: {
      RD_CO_TRY(auto connection, co_await fixture.server->dial(address));
      co_return net::StreamPtr(std::move(connection));
    }
    case Way::Grpc:
      co_return co_await client->dial(address, 5s);
    case Way::HttpConnect: {
      uint16_t port = fixture.listeners.back()->port();
      RD_CO_TRY(auto stream, co_await net::tcp_connect({"127.0.0.1", port}, 5s));
      // The Host header says what upstream's client says there.
      co_await stream->write(
          one(fmt::format("CONNECT {} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", address)));
      std::string head;
      char c;
      while (!head.ends_with("\r\n\r\n")) {
        RD_CO_TRY(size_t n, co_await stream->read_some({&c, 1}));
        if (n == 0) co_return service_unavailable("ended: " + head);
        head += c;
      }
      if (!head.starts_with("HTTP/1.1 200")) {
        auto rest = co_await net::read_to_end(*stream, 10'000);
        co_return service_unavailable(head + rest.value_or(""));
      }
      co_return stream;
    }
    case Way::InProcess:
      co_return co_await dial_in_process(fixture.server, address);
  }
  co_return internal_error("no such way");
}

std::shared_ptr<ProxyClient> prepare(Fixture& fixture, Way way) {
  if (way == Way::HttpConnect) fixture.listen(fixture.server->http_connect_frontend());
  if (way != Way::Grpc) return nullptr;
  ProxyClient::Options options;
  options.server = {"127.0.0.1", fixture.listen(fixture.server->grpc_frontend())};
  return std::make_shared<ProxyClient>(std::move(options));
}

TEST_P(EveryWay, CarriesBytesAndReportsWhatAgentsSay) {
  auto [way, flow_control] = GetParam();
  Fixture fixture;
  auto client = prepare(fixture, way);
  fixture.run([way = way, flow_control = flow_control, client](Fixture& f) -> Task<void> {
    auto options = f.agent_options();
    options.flow_control = flow_control;
    co_await f.start_agent(std::move(options));
    std::string address = f.start_target(echo);
    for (size_t size : {size_t{1}, size_t{100}, size_t{70'000}, size_t{5'000'000}}) {
      auto stream = co_await dial(f, way, address, client);
      EXPECT_TRUE(stream.has_value()) << stream.error().message();
      if (!stream) co_return;
      co_await expect_echo(**stream, size);
    }
    auto refused = co_await dial(f, way, "127.0.0.1:1", client);
    EXPECT_FALSE(refused.has_value());
    if (!refused)
      EXPECT_NE(refused.error().message().find("dial tcp 127.0.0.1:1: connect: connection refused"), std::string::npos)
          << refused.error().message();
    // All connections are gone on the server once their streams are: an HTTP client's end may be of one direction only,
    // which lasts a while where the agent can't be told.
    auto end = std::chrono::steady_clock::now() + kHalfCloseLinger + 2s;
    while (f.server->agents()[0].streams > 0 && std::chrono::steady_clock::now() < end) co_await sleep_for(10ms);
    EXPECT_EQ(f.server->agents()[0].streams, 0u);
    EXPECT_EQ(f.server->agents()[0].flow_control, flow_control);
  });
  fixture.run([client](Fixture&) -> Task<void> { co_return; });
}

INSTANTIATE_TEST_SUITE_P(Tunnel, EveryWay,
                         testing::Combine(testing::Values(Way::Direct, Way::Grpc, Way::HttpConnect, Way::InProcess),
                                          testing::Bool()));

TEST(Tunnel, DirectionsEndAloneWhereBothEndsKnowHow) {
  Fixture fixture;
  auto client = prepare(fixture, Way::Grpc);
  fixture.run([client](Fixture& f) -> Task<void> {
    co_await f.start_agent(f.agent_options());
    // Answers when its client has said everything.
    std::string address = f.start_target([](net::StreamPtr stream) -> Task<void> {
      auto all = co_await net::read_to_end(*stream, 1 << 20);
      EXPECT_TRUE(all.has_value());
      if (all) co_await stream->write(one("got " + *all));
      co_await stream->shutdown_write();
    });
    for (Way way : {Way::Direct, Way::Grpc, Way::InProcess}) {
      auto stream = co_await dial(f, way, address, client);
      EXPECT_TRUE(stream.has_value());
      if (!stream) co_return;
      co_await (*stream)->write(one("hello"));
      co_await (*stream)->shutdown_write();
      auto answer = co_await net::read_to_end(**stream, 1 << 20);
      EXPECT_TRUE(answer.has_value()) << answer.error().message();
      if (answer) EXPECT_EQ(*answer, "got hello");
    }
  });
}

TEST(Tunnel, WhatATargetSaidBeforeItClosedArrives) {
  for (bool flow_control : {true, false}) {
    Fixture fixture;
    fixture.run([flow_control](Fixture& f) -> Task<void> {
      auto options = f.agent_options();
      options.flow_control = flow_control;
      co_await f.start_agent(std::move(options));
      std::string address = f.start_target([](net::StreamPtr stream) -> Task<void> {
        co_await stream->write(one(std::string(500'000, 'x')));
        co_await stream->shutdown_write();
        char rest[1];
        co_await stream->read_some(rest);
      });
      auto stream = co_await f.server->dial(address);
      EXPECT_TRUE(stream.has_value());
      if (!stream) co_return;
      auto all = co_await net::read_to_end(**stream, 1 << 20);
      EXPECT_TRUE(all.has_value()) << all.error().message();
      if (all) EXPECT_EQ(all->size(), 500'000u);
    });
  }
}

Task<void> send_much(net::StreamPtr stream) {
  Bytes piece = Bytes::take(std::string(64 * 1024, 'm'));
  for (int i = 0; i < 1024; ++i) {
    BytesList pieces;
    pieces.push_back(piece);
    if (!co_await stream->write(std::move(pieces))) co_return;
  }
  co_await stream->shutdown_write();
}

TEST(Tunnel, SlowReaderStopsItsTargetAndNobodyElse) {
  Fixture fixture;
  fixture.run([](Fixture& f) -> Task<void> {
    co_await f.start_agent(f.agent_options());
    std::string source = f.start_target(send_much), other = f.start_target(echo);
    auto slow = co_await f.server->dial(source);
    EXPECT_TRUE(slow.has_value());
    if (!slow) co_return;
    co_await sleep_for(300ms);
    // No more came than one connection's window.
    EXPECT_LE(f.server->agents()[0].bytes_from_node, kReceiveWindowBytes);
    EXPECT_GT(f.server->agents()[0].bytes_from_node, 0u);
    auto quick = co_await f.server->dial(other);
    EXPECT_TRUE(quick.has_value());
    if (!quick) co_return;
    co_await expect_echo(**quick, 3'000'000);
    // And nothing was lost.
    size_t all = 0;
    while (true) {
      auto piece = co_await (*slow)->read_piece();
      EXPECT_TRUE(piece.has_value()) << piece.error().message();
      if (!piece || piece->empty()) break;
      all += piece->size();
    }
    EXPECT_EQ(all, size_t{64} << 20);
  });
}

TEST(Tunnel, SlowReaderOfAnAgentWithoutAWindowIsClosedAloneWithAReason) {
  Server::Options server;
  server.receive_budget = 1 << 20;
  Fixture fixture(std::move(server));
  fixture.run([](Fixture& f) -> Task<void> {
    auto options = f.agent_options();
    options.flow_control = false;
    co_await f.start_agent(std::move(options));
    std::string source = f.start_target(send_much), other = f.start_target(echo);
    auto slow = co_await f.server->dial(source);
    auto quick = co_await f.server->dial(other);
    EXPECT_TRUE(slow && quick);
    if (!slow || !quick) co_return;
    for (int i = 0; i < 200 && !(*slow)->closed(); ++i) co_await sleep_for(10ms);
    auto piece = co_await (*slow)->read_piece();
    EXPECT_FALSE(piece.has_value());
    if (!piece) EXPECT_NE(piece.error().message().find("the reader is too slow"), std::string::npos);
    co_await expect_echo(**quick, 300'000);
    for (int i = 0; i < 200 && f.server->agents()[0].streams > 1; ++i) co_await sleep_for(10ms);
    EXPECT_EQ(f.server->agents()[0].streams, 1u);
  });
}

TEST(Tunnel, ReaderThatIsSlowerThanAnAgentWithoutAWindowLosesNothing) {
  Server::Options server;
  server.receive_budget = 2 << 20;
  Fixture fixture(std::move(server));
  fixture.run([](Fixture& f) -> Task<void> {
    auto options = f.agent_options();
    options.flow_control = false;
    co_await f.start_agent(std::move(options));
    auto slow = co_await f.server->dial(f.start_target(send_much));
    EXPECT_TRUE(slow.has_value());
    if (!slow) co_return;
    size_t all = 0, since_pause = 0;
    while (true) {
      auto piece = co_await (*slow)->read_piece();
      EXPECT_TRUE(piece.has_value()) << piece.error().message();
      if (!piece || piece->empty()) break;
      all += piece->size();
      if ((since_pause += piece->size()) > (2 << 20)) {
        since_pause = 0;
        co_await sleep_for(20ms);
      }
    }
    EXPECT_EQ(all, size_t{64} << 20);
  });
}

TEST(Tunnel, SlowTargetStopsItsClientAndNobodyElse) {
  Fixture fixture;
  fixture.run([](Fixture& f) -> Task<void> {
    co_await f.start_agent(f.agent_options());
    std::string sink = f.start_target([](net::StreamPtr) -> Task<void> { co_await sleep_for(1h); });
    std::string other = f.start_target(echo);
    auto slow = co_await f.server->dial(sink);
    auto quick = co_await f.server->dial(other);
    EXPECT_TRUE(slow && quick);
    if (!slow || !quick) co_return;
    Scope writer(f.loop());
    writer.spawn([](Connection& c) -> Task<void> {
      for (int i = 0; i < 4000; ++i) {
        if (!co_await c.write(one(std::string(64 * 1024, 'x')))) co_return;
      }
      ADD_FAILURE() << "250 MB went to a target that reads nothing";
    }(**slow));
    co_await sleep_for(300ms);
    uint64_t before = f.server->agents()[0].bytes_to_node;
    EXPECT_LE(before, (size_t{16} << 20));  // a window, and what the kernel's sockets take
    co_await expect_echo(**quick, 3'000'000);
    co_await writer.join();
  });
}

TEST(Tunnel, DialThatIsNotAnsweredTimesOutAndIsCalledOff) {
  Server::Options server;
  server.backend_dial_timeout = 100ms;
  Fixture fixture(std::move(server));
  fixture.run([](Fixture& f) -> Task<void> {
    auto agent = co_await FakeAgent::connect(f, {{kAgentId, "a"}});
    auto stream = co_await f.server->dial("10.0.0.1:80");
    EXPECT_FALSE(stream.has_value());
    if (!stream) EXPECT_EQ(stream.error().code(), 504) << stream.error().message();
    Packet request = co_await agent.next();
    EXPECT_EQ(request.type, PacketType::DialReq);
    EXPECT_EQ(request.protocol, "tcp");
    EXPECT_EQ(request.address, "10.0.0.1:80");
    Packet off = co_await agent.next();
    EXPECT_EQ(off.type, PacketType::DialCls);
    EXPECT_EQ(off.random, request.random);
    // A late answer is closed.
    co_await agent.send({.type = PacketType::DialRsp, .connect_id = 5, .random = request.random});
    Packet close = co_await agent.next();
    EXPECT_EQ(close.type, PacketType::CloseReq);
    EXPECT_EQ(close.connect_id, 5);
  });
}

TEST(Tunnel, LostAgentEndsItsConnectionsAndDials) {
  Fixture fixture;
  fixture.run([](Fixture& f) -> Task<void> {
    auto agent = co_await FakeAgent::connect(f, {{kAgentId, "a"}});
    Result<std::unique_ptr<Connection>> first = service_unavailable("not yet"), second = service_unavailable("not yet");
    Scope dials(f.loop());
    auto run = [](Server& server, Result<std::unique_ptr<Connection>>& out) -> Task<void> {
      out = co_await server.dial("10.0.0.1:80");
    };
    dials.spawn(run(*f.server, first));
    Packet request = co_await agent.next();
    co_await agent.send({.type = PacketType::DialRsp, .connect_id = 1, .random = request.random});
    co_await dials.wait_idle();
    EXPECT_TRUE(first.has_value());
    dials.spawn(run(*f.server, second));
    co_await agent.next();
    agent.call->cancel();
    co_await dials.wait_idle();
    EXPECT_FALSE(second.has_value());
    if (!second) EXPECT_NE(second.error().message().find("lost"), std::string::npos) << second.error().message();
    if (!first) co_return;
    auto piece = co_await (*first)->read_piece();
    EXPECT_FALSE(piece.has_value());
    EXPECT_TRUE((*first)->closed());
    EXPECT_FALSE(f.server->ready());
    auto none = co_await f.server->dial("10.0.0.1:80");
    EXPECT_FALSE(none.has_value());
    if (!none) EXPECT_EQ(none.error().message(), "No agent available");
  });
}

TEST(Tunnel, PendingDialsAreBounded) {
  Fixture fixture;
  fixture.run([](Fixture& f) -> Task<void> {
    auto agent = co_await FakeAgent::connect(f, {{kAgentId, "a"}});
    Scope dials(f.loop());
    size_t refused = 0, failed = 0;
    auto run = [](Server& server, size_t& r, size_t& other) -> Task<void> {
      auto stream = co_await server.dial("10.0.0.1:80");
      if (!stream) ++(stream.error().code() == 429 ? r : other);
    };
    for (size_t i = 0; i < kMaxPendingDials + 100; ++i) dials.spawn(run(*f.server, refused, failed));
    co_await sleep_for(100ms);
    EXPECT_EQ(refused, 100u);
    EXPECT_EQ(dials.running(), kMaxPendingDials);
    agent.call->cancel();
    co_await dials.wait_idle();
    EXPECT_EQ(failed, kMaxPendingDials);
  });
}

TEST(Tunnel, DrainingAgentGetsNoFurtherDials) {
  Fixture fixture;
  fixture.run([](Fixture& f) -> Task<void> {
    auto first = f.agent_options(), second = f.agent_options();
    second.agent_id = "agent-2";
    auto one_agent = co_await f.start_agent(std::move(first));
    co_await f.start_agent(std::move(second));
    std::string address = f.start_target(echo);
    EXPECT_EQ(f.server->agents().size(), 2u);
    co_await one_agent->drain(0ms);
    co_await sleep_for(50ms);
    std::vector<std::unique_ptr<Connection>> held;
    for (int i = 0; i < 20; ++i) {
      auto stream = co_await f.server->dial(address);
      EXPECT_TRUE(stream.has_value());
      if (stream) held.push_back(std::move(*stream));
    }
    for (const AgentReport& report : f.server->agents()) {
      EXPECT_EQ(report.up, report.agent_id != "agent-1");
      EXPECT_EQ(report.streams, report.agent_id == "agent-1" ? 0u : 20u);
    }
  });
}

TEST(Tunnel, AgentDialsWhatItMayAndNothingElse) {
  Fixture fixture;
  fixture.run([](Fixture& f) -> Task<void> {
    auto options = f.agent_options();
    options.destinations = *Destinations::parse({"10.0.0.0/8"});
    auto agent = co_await f.start_agent(std::move(options));
    auto stream = co_await f.server->dial(f.start_target(echo));
    EXPECT_FALSE(stream.has_value());
    if (!stream) EXPECT_NE(stream.error().message().find("--allow-destinations"), std::string::npos);
    auto by_name = co_await f.server->dial("localhost:80");
    EXPECT_FALSE(by_name.has_value());
    if (!by_name) EXPECT_NE(by_name.error().message().find("--allow-destinations"), std::string::npos);
  });
  EXPECT_TRUE(Destinations::parse({"node"})->allows("127.0.0.1"));
  EXPECT_FALSE(Destinations::parse({"node"})->allows("192.0.2.1"));
  EXPECT_FALSE(Destinations::parse({})->allows("127.0.0.1"));
  EXPECT_FALSE(Destinations::parse({"everything"}));
}

// Hands connections to one port after the other, as a load balancer does.
Task<void> balance(net::StreamPtr stream, std::shared_ptr<std::deque<uint16_t>> ports) {
  uint16_t port = ports->front();
  ports->pop_front();
  ports->push_back(port);
  auto to = co_await net::tcp_connect({"127.0.0.1", port}, 5s);
  if (to) co_await net::splice(std::move(stream), std::move(*to));
}

TEST(Tunnel, AgentReachesEveryServerBehindOneAddressAndComesBack) {
  Server::Options options;
  options.server_count = 2;
  Fixture fixture(options);
  options.server_id = "server-2";
  auto second = Server::make(fixture.loop(), options);
  auto ports = std::make_shared<std::deque<uint16_t>>();
  *ports = {fixture.agent_port, fixture.listen(second->agent_handler())};
  fixture.run([second, ports](Fixture& f) -> Task<void> {
    auto balanced = net::parse_address(
        f.start_target([ports](net::StreamPtr stream) { return balance(std::move(stream), ports); }));
    auto agent_options = f.agent_options();
    agent_options.server = *balanced;
    auto agent = co_await f.start_agent(std::move(agent_options));
    for (int i = 0; i < 300 && agent->tunnels().size() < 2; ++i) co_await sleep_for(10ms);
    EXPECT_EQ(agent->tunnels().size(), 2u);
    EXPECT_TRUE(f.server->ready());
    EXPECT_TRUE(second->ready());
    std::string address = f.start_target(echo);
    for (Server* server : {f.server.get(), second.get()}) {
      auto stream = co_await server->dial(address);
      EXPECT_TRUE(stream.has_value());
      if (stream) co_await expect_echo(**stream, 1000);
    }
  });
}

TEST(Tunnel, RefusedAgentGetsNothing) {
  Server::Options options;
  options.authorize_agent = [](const net::Headers& metadata, const net::ConnectionInfo&,
                               const Identifiers&) -> Task<Result<AgentIdentity>> {
    auto token = metadata.get(kAuthorization);
    if (token != "Bearer good") co_return unauthorized("lookup failed: service account jwt not valid");
    co_return AgentIdentity{"system:serviceaccount:kube-system:konnectivity-agent", {}};
  };
  Fixture fixture(std::move(options));
  fixture.run([](Fixture& f) -> Task<void> {
    for (const char* token : {"Bearer good", "Bearer bad", ""}) {
      net::GrpcClient client(f.http_client(f.agent_port));
      net::Headers metadata{{kAgentId, "a"}};
      if (*token != 0) metadata.add(kAuthorization, token);
      auto call = co_await client.open(kConnectMethod, std::move(metadata));
      EXPECT_TRUE(call.has_value());
      if (!call) co_return;
      auto headers = co_await (*call)->headers(5s);
      bool good = std::string_view(token) == "Bearer good";
      EXPECT_EQ(headers.has_value(), good);
      if (!headers) EXPECT_EQ(headers.error().code(), 401);
      co_await sleep_for(10ms);
      EXPECT_EQ(f.server->agents().size(), good ? 1u : 0u);
      if (good) EXPECT_EQ(f.server->agents()[0].identity, "system:serviceaccount:kube-system:konnectivity-agent");
      (*call)->cancel();
      co_await sleep_for(20ms);
    }
    for (net::Headers metadata : {net::Headers{}, net::Headers{{kAgentId, "a"}, {kAgentId, "b"}}}) {
      metadata.add(kAuthorization, "Bearer good");
      net::GrpcClient client(f.http_client(f.agent_port));
      auto call = co_await client.open(kConnectMethod, std::move(metadata));
      EXPECT_TRUE(call && !co_await (*call)->headers(5s));
    }
  });
}

TEST(Tunnel, HostileAgentHarmsOnlyItself) {
  Fixture fixture;
  fixture.run([](Fixture& f) -> Task<void> {
    auto options = f.agent_options();
    options.identifiers = "host=good";
    co_await f.start_agent(std::move(options));
    auto bad = co_await FakeAgent::connect(f, {{kAgentId, "bad"}});
    // Answers to dials that nobody made, data and closes for connections that do not exist, dials of its own.
    co_await bad.send({.type = PacketType::DialRsp, .connect_id = 9, .random = 77});
    Packet close = co_await bad.next();
    EXPECT_EQ(close.type, PacketType::CloseReq);
    Packet data{.type = PacketType::Data, .connect_id = 4};
    data.data = Bytes::of_static("x");
    co_await bad.send(data);
    EXPECT_EQ((co_await bad.next()).connect_id, 4);
    co_await bad.send({.type = PacketType::CloseRsp, .connect_id = 5});
    co_await bad.send({.type = PacketType::CloseReq, .connect_id = 6});
    co_await bad.send({.type = PacketType::Window, .connect_id = 1, .window = UINT64_MAX});
    co_await bad.send({.type = PacketType::DialReq, .random = 3});
    co_await bad.send({.type = static_cast<PacketType>(99)});
    // Two dials may not share one connection.
    std::vector<Result<std::unique_ptr<Connection>>> got;
    Scope dials(f.loop());
    auto run = [](Server& server, std::vector<Result<std::unique_ptr<Connection>>>& out) -> Task<void> {
      auto stream = co_await server.dial("10.0.0.1:80", "bad");
      out.push_back(std::move(stream));
    };
    for (int i = 0; i < 2; ++i) {
      dials.spawn(run(*f.server, got));
      Packet request = co_await bad.next();
      EXPECT_EQ(request.type, PacketType::DialReq);
      co_await bad.send({.type = PacketType::DialRsp, .connect_id = 3, .random = request.random});
      co_await dials.wait_idle();
    }
    EXPECT_TRUE(got.size() == 2 && got[0] && !got[1]);
    // Rubbish ends its tunnel.
    co_await bad.call->write(one("\xff\xff\xff"));
    Packet end = co_await bad.next();
    EXPECT_EQ(end.type, PacketType::Drain);
    std::string address = f.start_target(echo);
    auto stream = co_await f.server->dial(address, "good");
    EXPECT_TRUE(stream.has_value());
    if (stream) co_await expect_echo(**stream, 1000);
    EXPECT_EQ(f.server->agents().size(), 1u);
  });
}

TEST(Frontend, ConfusedClientsAreToldSo) {
  Fixture fixture;
  uint16_t port = fixture.listen(fixture.server->grpc_frontend());
  fixture.run([port](Fixture& f) -> Task<void> {
    co_await f.start_agent(f.agent_options());
    std::string address = f.start_target(echo);
    net::GrpcClient client(f.http_client(port));
    auto open = [&]() { return client.open(kProxyMethod, {}); };
    auto next = [](net::GrpcStream& call) -> Task<Packet> {
      auto message = co_await call.next();
      EXPECT_TRUE(message && *message);
      co_return message && *message ? *decode_packet(**message) : Packet{};
    };
    Packet data{.type = PacketType::Data, .connect_id = 4};
    data.data = Bytes::of_static("x");
    {
      auto call = co_await open();
      co_await (*call)->write(encode_packet(data));
      Packet answer = co_await next(**call);
      EXPECT_EQ(answer.type, PacketType::CloseRsp);
      EXPECT_EQ(answer.error, "backend not initialized");
    }
    {
      auto call = co_await open();
      Packet dial{.type = PacketType::DialReq, .random = 8};
      dial.protocol = "tcp";
      dial.address = address;
      co_await (*call)->write(encode_packet(dial));
      Packet answer = co_await next(**call);
      EXPECT_EQ(answer.type, PacketType::DialRsp);
      EXPECT_EQ(answer.random, 8);
      EXPECT_NE(answer.connect_id, 0);
      data.connect_id = answer.connect_id + 1;
      co_await (*call)->write(encode_packet(data));
      EXPECT_EQ((co_await next(**call)).error, "mismatched connection IDs");
      EXPECT_EQ((co_await next(**call)).connect_id, answer.connect_id);
    }
    {
      auto call = co_await open();
      Packet dial{.type = PacketType::DialReq, .random = 8};
      dial.protocol = "udp";
      dial.address = address;
      co_await (*call)->write(encode_packet(dial));
      EXPECT_EQ((co_await next(**call)).error, "protocol \"udp\" is not supported");
    }
    for (int i = 0; i < 100 && f.server->agents()[0].streams > 0; ++i) co_await sleep_for(10ms);
    EXPECT_EQ(f.server->agents()[0].streams, 0u);
  });
}

TEST(Frontend, HttpConnectSaysWhyNot) {
  Fixture fixture;
  prepare(fixture, Way::HttpConnect);
  fixture.run([](Fixture& f) -> Task<void> {
    auto none = co_await dial(f, Way::HttpConnect, "10.0.0.1:80", nullptr);
    EXPECT_FALSE(none.has_value());
    if (!none) {
      EXPECT_NE(none.error().message().find("HTTP/1.1 500"), std::string::npos) << none.error().message();
      EXPECT_NE(none.error().message().find("currently no tunnels available: No agent available"), std::string::npos);
    }
    auto http = f.http_client(f.listeners.back()->port(), false);
    net::ClientRequest get;
    auto response = co_await http->send(std::move(get));
    EXPECT_TRUE(response && response->status == 405);
    co_await f.start_agent(f.agent_options());
    auto refused = co_await dial(f, Way::HttpConnect, "127.0.0.1:1", nullptr);
    EXPECT_FALSE(refused.has_value());
    if (!refused) EXPECT_NE(refused.error().message().find("HTTP/1.1 502"), std::string::npos);
  });
}

}  // namespace
}  // namespace redoubt::konnectivity::test
