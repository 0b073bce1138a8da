#include "apiserver/proxy/exec_translate.h"

#include <boost/asio/this_coro.hpp>

#include "apiserver/proxy/relay.h"
#include "base/encoding.h"
#include "base/event.h"
#include "net/spdy.h"
#include "net/websocket.h"

namespace redoubt::apiserver {

namespace {

enum Channel : uint8_t { kStdin = 0, kStdout = 1, kStderr = 2, kError = 3, kResize = 4, kCloseChannel = 255 };

constexpr std::string_view kV5 = "v5.channel.k8s.io";
constexpr std::string_view kV4 = "v4.channel.k8s.io";
constexpr std::string_view kV4Base64 = "v4.base64.channel.k8s.io";
constexpr size_t kMaxMessageBytes = 4 << 20;
constexpr size_t kMaxStatusBytes = 64 * 1024;
constexpr size_t kChunkBytes = 32 * 1024;
// A client that has its status closes within moments; one that still reads slowly gets this long (as upstream).
constexpr std::chrono::minutes kFinishTimeout{15};
constexpr std::string_view kSuccess = R"({"metadata":{},"status":"Success"})";

// What the tasks of one session share.
struct Session {
  explicit Session(Executor executor) : changed(executor), tasks(executor, "exec") {}
  std::unique_ptr<net::WebSocket> socket;
  bool base64 = false;
  bool can_close_channels = false;
  std::unique_ptr<net::SpdyConnection> spdy;
  net::StreamPtr in, out, error, status, resize;
  std::string status_text;
  int open_outputs = 0;      // out, error and status that have not ended
  bool client_gone = false;  // its reading ended
  bool finished = false;     // what still comes in is thrown away
  Event changed;
  Scope tasks;
};
using SessionPtr = std::shared_ptr<Session>;

Task<Result<void>> send_channel(Session& session, uint8_t channel, std::string_view data) {
  std::string message;
  if (session.base64) {
    message = static_cast<char>('0' + channel) + base64_encode(data);
  } else {
    message.reserve(data.size() + 1);
    message += static_cast<char>(channel);
    message += data;
  }
  BytesList pieces;
  pieces.push_back(Bytes::take(std::move(message)));
  return session.socket->write(!session.base64, std::move(pieces));
}

Task<void> on_input(SessionPtr session, uint8_t channel, std::string data) {
  net::Stream* to = channel == kStdin ? session->in.get() : channel == kResize ? session->resize.get() : nullptr;
  // A container that no longer reads its input may still write: not the end.
  if (to == nullptr || data.empty() || session->finished) co_return;
  BytesList pieces;
  pieces.push_back(Bytes::take(std::move(data)));
  (void)co_await to->write(std::move(pieces));
}

Task<void> read_client(SessionPtr session) {
  while (true) {
    auto message = co_await session->socket->read();
    if (!message || !*message) break;
    std::string& data = (*message)->data;
    if (data.empty()) continue;
    uint8_t channel = static_cast<uint8_t>(data[0]);
    data.erase(0, 1);
    if (session->base64) {
      auto decoded = base64_decode(data);
      if (!decoded) break;
      data = std::move(*decoded);
      channel = static_cast<uint8_t>(channel - '0');
    }
    if (channel == kCloseChannel && session->can_close_channels) {
      if (data.size() == 1 && data[0] == kStdin && session->in && !session->finished)
        (void)co_await session->in->shutdown_write();
      continue;
    }
    co_await on_input(session, channel, std::move(data));
  }
  session->client_gone = true;
  session->changed.notify();
}

// One output of the container to its channel, until it ends.
Task<void> pump(SessionPtr session, net::Stream* from, uint8_t channel) {
  std::string buffer(kChunkBytes, '\0');
  while (true) {
    auto got = co_await from->read_some(buffer);
    if (!got || *got == 0) break;
    auto sent = co_await send_channel(*session, channel, std::string_view(buffer).substr(0, *got));
    if (!sent) {
      session->client_gone = true;
      break;
    }
  }
  --session->open_outputs;
  session->changed.notify();
}

Task<void> read_status(SessionPtr session) {
  auto text = co_await net::read_to_end(*session->status, kMaxStatusBytes);
  session->status_text =
      text ? std::move(*text)
           : Status(500, "InternalError", "Internal error occurred: " + text.error().message()).to_json();
  --session->open_outputs;
  session->changed.notify();
}

Task<Result<net::StreamPtr>> open_stream(Session& session, std::string type) {
  net::Headers headers{{"streamtype", std::move(type)}};
  return session.spdy->open(std::move(headers));
}

// Upgrades to the kubelet and opens the streams in the order that it expects.
Task<Result<void>> reach_kubelet(SessionPtr session, net::HttpClient& client, std::string target, ExecStreams streams,
                                 KubeletLocation where) {
  auto executor = co_await boost::asio::this_coro::executor;
  net::ClientRequest request;
  request.method = "POST";
  request.target = std::move(target);
  request.headers = {{"connection", "Upgrade"},
                     {"upgrade", "SPDY/3.1"},
                     {"x-stream-protocol-version", "v5.channel.k8s.io"},
                     {"x-stream-protocol-version", "v4.channel.k8s.io"}};
  auto answer = co_await client.upgrade(std::move(request));
  if (!answer && is_verification_failure(answer.error()))
    co_return Error(verification_failure(path_name(egress::PathId::ApiserverKubelet), where.node, where.authority(),
                                         answer.error()));
  if (!answer) co_return Error(backend_error(answer.error()));
  if (answer->status != 101) {
    auto body = answer->body ? co_await net::read_body(*answer->body, kMaxStatusBytes) : Result<std::string>("");
    std::string why = body ? *body : body.error().message();
    while (!why.empty() && (why.back() == '\n' || why.back() == ' ')) why.pop_back();
    co_return internal_error("Internal error occurred: unable to upgrade connection: " + why);
  }
  session->spdy = net::SpdyConnection::make(std::move(answer->stream), false, executor);
  RD_CO_TRY(session->status, co_await open_stream(*session, "error"));
  if (streams.in) {
    RD_CO_TRY(session->in, co_await open_stream(*session, "stdin"));
  }
  if (streams.out) {
    RD_CO_TRY(session->out, co_await open_stream(*session, "stdout"));
  }
  if (streams.error && !streams.tty) {
    RD_CO_TRY(session->error, co_await open_stream(*session, "stderr"));
  }
  if (streams.tty) {
    RD_CO_TRY(session->resize, co_await open_stream(*session, "resize"));
  }
  co_return Result<void>{};
}

Task<void> run(SessionPtr session, net::HttpClient& client, std::string target, ExecStreams streams,
               KubeletLocation where) {
  // Tells the client that the session stands, before the container has said anything.
  uint8_t first = streams.out ? kStdout : streams.error ? kStderr : kError;
  if (!co_await send_channel(*session, first, {})) co_return;
  auto reached = co_await reach_kubelet(session, client, std::move(target), streams, std::move(where));
  if (!reached) {
    session->status_text = reached.error().to_json();
    session->tasks.spawn(read_client(session));
  } else {
    session->open_outputs = 1 + (session->out ? 1 : 0) + (session->error ? 1 : 0);
    session->tasks.spawn(read_status(session));
    if (session->out) session->tasks.spawn(pump(session, session->out.get(), kStdout));
    if (session->error) session->tasks.spawn(pump(session, session->error.get(), kStderr));
    session->tasks.spawn(read_client(session));
    while (session->open_outputs > 0 && !session->client_gone) co_await session->changed.wait();
  }
  if (session->client_gone) co_return;
  session->finished = true;
  std::string_view status = session->status_text.empty() ? kSuccess : std::string_view(session->status_text);
  if (!co_await send_channel(*session, kError, status)) co_return;
  if (!co_await session->socket->close(1000, "")) co_return;
  // Closing first would let the kernel throw away output that the client has not read yet.
  while (!session->client_gone) {
    if (!co_await session->changed.wait_for(kFinishTimeout)) break;
  }
}

}  // namespace

bool can_translate_exec(const net::Request& request) {
  if (!net::is_websocket_request(request)) return false;
  for (const std::string& protocol : net::websocket_protocols(request)) {
    if (protocol == kV5 || protocol == kV4 || protocol == kV4Base64) return true;
  }
  return false;
}

Task<Result<void>> translate_exec(net::Request& request, net::Responder& responder, net::HttpClient& client,
                                  std::string target, ExecStreams streams, KubeletLocation where) {
  auto executor = co_await boost::asio::this_coro::executor;
  std::vector<std::string> protocols{std::string(kV5), std::string(kV4), std::string(kV4Base64)};
  RD_CO_TRY(auto accepted, co_await net::websocket_accept(request, responder, std::move(protocols), kMaxMessageBytes));
  auto session = std::make_shared<Session>(executor);
  session->socket = std::move(accepted.socket);
  session->base64 = accepted.protocol == kV4Base64;
  session->can_close_channels = accepted.protocol == kV5;
  std::exception_ptr cancelled;
  try {
    co_await run(session, client, std::move(target), streams, std::move(where));
  } catch (...) {
    cancelled = std::current_exception();
  }
  co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
  session->socket->abort();
  if (session->spdy) session->spdy->abort();
  co_await session->tasks.join();
  if (cancelled) std::rethrow_exception(cancelled);
  co_return Result<void>{};
}

}  // namespace redoubt::apiserver
