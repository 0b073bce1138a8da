#include "egress/konnectivity/frontend.h"

#include "base/log.h"
#include "egress/konnectivity/carry.h"
#include "egress/konnectivity/metrics.h"

namespace redoubt::konnectivity {

namespace asio = boost::asio;

namespace {

struct Frontend {
  Frontend(net::GrpcCall& c, bool half) : call(c), half_close(half) {}
  net::GrpcCall& call;
  bool half_close;  // knows End
  bool dialled = false;
  bool cancelled = false;  // the dial
  std::unique_ptr<Connection> connection;
  ServerMetrics& metrics = ServerMetrics::get();

  Task<Result<void>> send(Packet packet) {
    metrics.to_client.add(packet.type);
    auto start = std::chrono::steady_clock::now();
    auto sent = co_await call.write(encode_packet(packet));
    metrics.frontend_write_duration.observe(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
    co_return sent;
  }
};

// From the agent to the frontend, at the frontend's pace; the tunnel itself does not wait for it.
Task<void> to_frontend(std::shared_ptr<Frontend> frontend) {
  Connection& connection = *frontend->connection;
  int64_t id = connection.id();
  while (true) {
    auto piece = co_await connection.read_piece();
    Packet packet{.type = PacketType::CloseRsp, .connect_id = id};
    if (!piece) {
      packet.error = piece.error().message();
    } else if (!piece->empty()) {
      packet.type = PacketType::Data;
      packet.data = std::move(*piece);
    } else if (frontend->half_close && !connection.closed()) {
      packet.type = PacketType::End;
    }
    bool last = packet.type != PacketType::Data;
    auto sent = co_await frontend->send(std::move(packet));
    if (last || !sent) co_return;
  }
}

Task<void> dial_for(std::shared_ptr<Server> server, std::shared_ptr<Frontend> frontend, Packet request) {
  Packet answer{.type = PacketType::DialRsp, .random = request.random};
  if (request.protocol != "tcp") {
    answer.error = fmt::format("protocol \"{}\" is not supported", request.protocol);
  } else {
    auto connection = co_await server->dial(request.address);
    if (frontend->cancelled) co_return;
    if (connection) {
      frontend->connection = std::move(*connection);
      answer.connect_id = frontend->connection->id();
    } else {
      answer.error = connection.error().message();
    }
  }
  auto sent = co_await frontend->send(std::move(answer));
  if (!sent) frontend->metrics.dial_failed("send_rsp");
  if (sent && frontend->connection) co_await to_frontend(frontend);
}

// What came from the frontend; false ends the stream.
Task<Result<bool>> receive(std::shared_ptr<Server> server, std::shared_ptr<Frontend> frontend, Scope& tasks,
                           Packet packet) {
  auto close = [&](int64_t id, std::string why) {
    return frontend->send({.type = PacketType::CloseRsp, .connect_id = id, .error = std::move(why)});
  };
  switch (packet.type) {
    case PacketType::DialReq:
      if (std::exchange(frontend->dialled, true)) {
        Packet answer{.type = PacketType::DialRsp, .random = packet.random};
        answer.error = "this stream has dialled already; open another";
        RD_CO_TRYV(co_await frontend->send(std::move(answer)));
        co_return true;
      }
      tasks.spawn(dial_for(server, frontend, std::move(packet)));
      co_return true;
    case PacketType::Data: {
      if (packet.connect_id == 0) co_return true;
      if (!frontend->connection) {
        RD_CO_TRYV(co_await close(packet.connect_id, "backend not initialized"));
        co_return false;
      }
      if (int64_t id = frontend->connection->id(); id != packet.connect_id) {
        RD_CO_TRYV(co_await close(packet.connect_id, "mismatched connection IDs"));
        RD_CO_TRYV(co_await close(id, "mismatched connection IDs"));
        co_return false;
      }
      BytesList pieces;
      pieces.push_back(std::move(packet.data));
      // Waits while the agent's tunnel is full, which stops this frontend alone. Where the connection is closed, the
      // other task says so.
      (void)co_await frontend->connection->write(std::move(pieces));
      co_return true;
    }
    case PacketType::CloseReq:
      if (frontend->connection && frontend->connection->id() == packet.connect_id) frontend->connection->close({});
      RD_CO_TRYV(co_await close(packet.connect_id, frontend->connection ? "" : "backend uninitialized"));
      co_return true;
    case PacketType::DialCls:
      if (frontend->dialled && !std::exchange(frontend->cancelled, true)) {
        frontend->metrics.dial_failed("frontend_close");
        tasks.cancel();
        if (frontend->connection) frontend->connection->close({});
      }
      co_return true;
    case PacketType::End:
      if (frontend->half_close && frontend->connection) (void)co_await frontend->connection->shutdown_write();
      co_return true;
    default:
      co_return true;
  }
}

Task<Result<void>> read_frontend(std::shared_ptr<Server> server, std::shared_ptr<Frontend> frontend, Scope& tasks) {
  while (true) {
    auto message = co_await frontend->call.next();
    if (!message) {
      frontend->metrics.from_client.failed(message.error());
      co_return Error(message.error());
    }
    if (!*message) co_return Result<void>{};
    RD_CO_TRY(Packet packet, decode_packet(**message));
    frontend->metrics.from_client.add(packet.type);
    RD_CO_TRY(bool more, co_await receive(server, frontend, tasks, std::move(packet)));
    if (!more) co_return Result<void>{};
  }
}

struct Counted {
  explicit Counted(Gauge& g) : gauge(g) { gauge.add(1); }
  ~Counted() { gauge.add(-1); }
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;
  Gauge& gauge;
};

bool contains_any(std::string_view text, std::initializer_list<std::string_view> words) {
  for (std::string_view word : words) {
    if (text.find(word) != std::string_view::npos) return true;
  }
  return false;
}

int http_status_of(const Status& error) {
  if (error.message() == "No agent available") return 500;
  if (error.code() == 504 || contains_any(error.message(), {"timeout", "timed out", "deadline exceeded"})) return 504;
  if (error.code() == 429 || contains_any(error.message(), {"too many open files"})) return 503;
  return 502;
}

}  // namespace

Task<Result<void>> serve_frontend(std::shared_ptr<Server> server, net::GrpcCall& call) {
  auto executor = co_await asio::this_coro::executor;
  auto frontend = std::make_shared<Frontend>(call, number_header(call.metadata(), kWindow) > 0);
  Counted counted(frontend->metrics.proxy_calls);
  if (frontend->half_close) {
    net::Headers headers{{kWindow, "1"}};
    RD_CO_TRYV(co_await call.send_headers(std::move(headers)));
  }
  Scope tasks(executor, "konnectivity frontend");
  Result<void> outcome;
  std::exception_ptr cancelled;
  try {
    outcome = co_await read_frontend(server, frontend, tasks);
    co_await tasks.join();
  } catch (...) {
    cancelled = std::current_exception();
  }
  if (cancelled) {
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    co_await tasks.join();
  }
  frontend->connection.reset();
  if (cancelled) std::rethrow_exception(cancelled);
  co_return outcome;
}

Task<void> serve_http_connect(std::shared_ptr<Server> server, net::Request request, net::Responder& responder) {
  ServerMetrics& metrics = ServerMetrics::get();
  Counted counted(metrics.http_connections);
  auto text = [](std::string message) {
    BytesList out;
    out.push_back(Bytes::take(std::move(message) + "\n"));
    return out;
  };
  net::Headers plain{{"content-type", "text/plain; charset=utf-8"}};
  if (request.method != "CONNECT" || !request.protocol.empty()) {
    (void)co_await responder.send(405, plain, text("this proxy only supports CONNECT passthrough"));
    co_return;
  }
  // HTTP/1.1 names the destination in the request line (the Host header may say anything), HTTP/2 in :authority.
  std::string address = request.version_major == 1 ? request.target : request.authority;
  if (address.empty() || address.size() > kMaxAddressBytes) {
    (void)co_await responder.send(400, plain, text("no destination to connect to"));
    co_return;
  }
  auto connection = co_await server->dial(address);
  if (!connection) {
    int status = http_status_of(connection.error());
    std::string message = connection.error().message();
    if (status == 500) message = "currently no tunnels available: " + message;
    (void)co_await responder.send(status, plain, text(std::move(message)));
    co_return;
  }
  auto stream = co_await responder.upgrade({});
  if (!stream) co_return;
  co_await carry(std::move(*stream), std::move(*connection));
}

}  // namespace redoubt::konnectivity
