#include "dns/forwarder.h"

#include <boost/asio/ip/udp.hpp>
#include <boost/asio/redirect_error.hpp>

#include "base/deadline.h"
#include "base/metrics.h"
#include "base/random.h"
#include "dns/limits.h"

namespace redoubt::dns {

namespace asio = boost::asio;

namespace {

using Wire = std::shared_ptr<const std::string>;
// An answer of an upstream resolver may use all that UDP carries.
constexpr size_t kReceiveBytes = 4096;

struct Outcome {
  std::string wire;
  Reply reply;
};

Task<void> over_udp(net::Address to, Question question, std::optional<Outcome>& out) {
  auto executor = co_await asio::this_coro::executor;
  boost::system::error_code error;
  asio::ip::udp::endpoint at(asio::ip::make_address(to.host, error), to.port);
  if (error) co_return;
  asio::ip::udp::socket socket(executor);
  socket.open(at.protocol(), error);
  // Connected: only that resolver's datagrams are taken, and a closed port is told at once. The kernel picks a random
  // port.
  if (!error) socket.connect(at, error);
  if (error) co_return;
  uint16_t id = static_cast<uint16_t>(random_u64());
  std::string message = write_question(question, id);
  if (message.empty()) co_return;
  co_await socket.async_send(asio::buffer(message), asio::redirect_error(asio::use_awaitable, error));
  if (error) co_return;
  std::string buffer(kReceiveBytes, '\0');
  while (true) {
    size_t n = co_await socket.async_receive(asio::buffer(buffer), asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return;
    auto reply = read_reply(std::string_view(buffer).substr(0, n), question, id);
    // Anything else is somebody guessing: the right one may still come.
    if (!reply) continue;
    out = Outcome{buffer.substr(0, n), *reply};
    co_return;
  }
}

Task<void> over_tcp(net::Address to, Question question, std::optional<Outcome>& out) {
  auto stream = co_await net::tcp_connect(to, kUpstreamTimeout);
  if (!stream) co_return;
  uint16_t id = static_cast<uint16_t>(random_u64());
  std::string message = write_question(question, id);
  message.insert(0, {static_cast<char>(message.size() >> 8), static_cast<char>(message.size() & 255)});
  BytesList pieces;
  pieces.push_back(Bytes::of_static(message));
  if (!co_await (*stream)->write(std::move(pieces))) co_return;
  std::string got;
  std::array<char, kReceiveBytes> buffer{};
  while (got.size() < kMaxTcpBytes + 2) {
    if (got.size() >= 2) {
      size_t length = static_cast<size_t>(static_cast<uint8_t>(got[0])) << 8 | static_cast<uint8_t>(got[1]);
      if (got.size() >= length + 2) {
        std::string wire = got.substr(2, length);
        if (auto reply = read_reply(wire, question, id)) out = Outcome{std::move(wire), *reply};
        co_return;
      }
    }
    auto n = co_await (*stream)->read_some(buffer);
    if (!n || *n == 0) co_return;
    got.append(buffer.data(), *n);
  }
}

}  // namespace

struct Forwarder::Flight {
  explicit Flight(Executor executor) : landed(std::move(executor)) {}
  Event landed;
  bool done = false;
  Wire wire;
};

Forwarder::Forwarder(Executor executor) : executor_(std::move(executor)), cache_(kCacheBytes) {}
Forwarder::~Forwarder() = default;

void Forwarder::set_upstreams(std::vector<net::Address> upstreams) {
  upstreams_.clear();
  for (net::Address& address : upstreams) {
    if (upstreams_.size() < kMaxUpstreams) upstreams_.push_back({std::move(address), {}});
  }
}

std::optional<Forwarded> Forwarder::cached(const Question& question) {
  auto now = Cache::Clock::now();
  const Cache::Entry* entry = cache_.find(cache_key(question), now);
  if (entry == nullptr || now >= entry->expires) return std::nullopt;
  static Counter& hits = counter("dns_cache_hits_total", "Questions answered from the cache of upstream answers.");
  hits.add();
  return Forwarded{entry->wire,
                   static_cast<uint32_t>(std::chrono::duration_cast<std::chrono::seconds>(now - entry->stored).count()),
                   std::nullopt};
}

// First those that answered, in order.
std::vector<net::Address> Forwarder::order() const {
  auto now = std::chrono::steady_clock::now();
  std::vector<net::Address> out;
  for (bool resting : {false, true}) {
    for (const Upstream& u : upstreams_) {
      if ((now < u.rest_until) == resting) out.push_back(u.address);
    }
  }
  return out;
}

void Forwarder::pause(const net::Address& address) {
  for (Upstream& u : upstreams_) {
    if (u.address.host == address.host && u.address.port == address.port)
      u.rest_until = std::chrono::steady_clock::now() + kUpstreamPause;
  }
}

Task<Wire> Forwarder::ask_upstreams(Question question) {
  auto end = std::chrono::steady_clock::now() + kForwardTimeout;
  Wire last;
  for (const net::Address& upstream : order()) {
    auto left = end - std::chrono::steady_clock::now();
    if (left <= std::chrono::milliseconds(50)) break;
    std::optional<Outcome> outcome;
    co_await finish_within(std::min<std::chrono::nanoseconds>(left, kUpstreamTimeout),
                           over_udp(upstream, question, outcome));
    if (outcome && outcome->reply.truncated) {
      std::optional<Outcome> whole;
      left = std::max<std::chrono::nanoseconds>(end - std::chrono::steady_clock::now(), std::chrono::milliseconds(50));
      co_await finish_within(std::min<std::chrono::nanoseconds>(left, kUpstreamTimeout),
                             over_tcp(upstream, question, whole));
      if (whole) outcome = std::move(whole);
    }
    if (!outcome) {
      pause(upstream);
      continue;
    }
    last = std::make_shared<const std::string>(std::move(outcome->wire));
    // A resolver in trouble, or one that refuses us: perhaps the next knows better.
    if (outcome->reply.rcode != Rcode::NoError && outcome->reply.rcode != Rcode::NXDomain) continue;
    cache_.put(cache_key(question), last, std::chrono::seconds(outcome->reply.truncated ? 0 : outcome->reply.ttl),
               Cache::Clock::now());
    co_return last;
  }
  co_return last;
}

Task<std::optional<Forwarded>> Forwarder::ask(Question question) {
  if (auto known = cached(question)) co_return known;
  std::string key = cache_key(question);
  std::shared_ptr<Flight> flight;
  if (auto it = flights_.find(key); it != flights_.end()) {
    flight = it->second;
    while (!flight->done) {
      if (!co_await flight->landed.wait_for(kForwardTimeout)) break;
    }
  } else {
    static Counter& refused =
        counter("dns_forwards_refused_total", "Questions not sent upstream because too many wait already.");
    if (flights_.size() >= kMaxForwards) {
      refused.add();
      co_return std::nullopt;
    }
    flight = std::make_shared<Flight>(executor_);
    flights_[key] = flight;
    struct Land {
      Forwarder& self;
      std::string key;
      std::shared_ptr<Flight> flight;
      ~Land() {
        flight->done = true;
        self.flights_.erase(key);
        flight->landed.notify();
      }
    } land{*this, key, flight};
    static Counter& sent = counter("dns_forwards_total", "Questions sent to upstream resolvers.");
    sent.add();
    flight->wire = co_await ask_upstreams(question);
  }
  if (flight->wire) co_return Forwarded{flight->wire, 0, std::nullopt};
  auto now = Cache::Clock::now();
  if (const Cache::Entry* entry = cache_.find(key, now)) {
    static Counter& stale = counter("dns_stale_answers_total", "Expired answers given while no resolver answered.");
    stale.add();
    co_return Forwarded{entry->wire, 0, kStaleTtl};
  }
  co_return std::nullopt;
}

}  // namespace redoubt::dns
