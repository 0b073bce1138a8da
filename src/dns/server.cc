#include "dns/server.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <boost/asio/ip/udp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/write.hpp>

#include "base/deadline.h"
#include "base/log.h"
#include "base/metrics.h"
#include "dns/address.h"
#include "dns/limits.h"

namespace redoubt::dns {

namespace asio = boost::asio;
using asio::ip::tcp;
using asio::ip::udp;

namespace {

constexpr uint16_t kClassIn = 1;
constexpr uint8_t kOpcodeQuery = 0;

// Counts one for a client, for as long as it lives.
class Share {
 public:
  Share(std::map<std::string, size_t>& counts, std::string who) : counts_(counts), who_(std::move(who)) {
    ++counts_[who_];
  }
  ~Share() {
    auto it = counts_.find(who_);
    if (--it->second == 0) counts_.erase(it);
  }
  Share(const Share&) = delete;

 private:
  std::map<std::string, size_t>& counts_;
  std::string who_;
};

void count(std::string_view what) {
  static std::map<std::string, Counter*, std::less<>> known;
  static std::mutex mutex;
  std::lock_guard lock(mutex);
  auto it = known.find(what);
  if (it == known.end()) {
    Counter& made =
        counter("dns_responses_total", "Answers given, by how they came about.", {{"kind", std::string(what)}});
    it = known.emplace(what, &made).first;
  }
  it->second->add();
}

std::string failure(const Query& query, Rcode rcode, size_t limit) {
  Answer out;
  out.rcode = rcode;
  return write_answer(query, out, limit);
}

// The socket may take an address that the machine gets later, or has not any more.
template <class Socket>
void prepare(Socket& socket, bool v6, boost::system::error_code& error) {
  int on = 1;
  int fd = socket.native_handle();
  if (::setsockopt(fd, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_FREEBIND : IP_FREEBIND, &on, sizeof on) != 0)
    error.assign(errno, boost::system::system_category());
  if (v6) ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
}

}  // namespace

struct Server::Udp {
  explicit Udp(Executor executor) : socket(std::move(executor)) {}
  udp::socket socket;
  udp::endpoint from;
};
struct Server::Tcp {
  explicit Tcp(Executor executor) : acceptor(std::move(executor)) {}
  tcp::acceptor acceptor;
};

Server::Server(Executor executor, const ClusterRecords& records)
    : executor_(executor), records_(records), forwarder_(executor), scope_(executor, "dns") {}
Server::~Server() = default;

Task<void> Server::stop() {
  co_await scope_.join();
}

Result<void> Server::listen(const std::vector<std::string>& addresses, uint16_t port) {
  for (const std::string& text : addresses) {
    boost::system::error_code error;
    auto address = asio::ip::make_address(text, error);
    if (error) return bad_request(fmt::format("DNS address \"{}\" is no IP address", text));
    auto failed = [&](const char* protocol) {
      return service_unavailable(
          fmt::format("DNS can't listen on {} {} port {}: {}; does another DNS server run on this machine?", protocol,
                      text, port, error.message()));
    };
    auto datagrams = std::make_shared<Udp>(executor_);
    udp::endpoint at(address, port);
    datagrams->socket.open(at.protocol(), error);
    if (!error) prepare(datagrams->socket, address.is_v6(), error);
    if (!error) datagrams->socket.bind(at, error);
    if (!error) datagrams->socket.non_blocking(true, error);
    if (error) return failed("UDP");
    uint16_t got = datagrams->socket.local_endpoint(error).port();
    auto connections = std::make_shared<Tcp>(executor_);
    tcp::endpoint tcp_at(address, got);
    connections->acceptor.open(tcp_at.protocol(), error);
    if (!error) connections->acceptor.set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) prepare(connections->acceptor, address.is_v6(), error);
    if (!error) connections->acceptor.bind(tcp_at, error);
    if (!error) connections->acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (error) return failed("TCP");
    if (port_ == 0) port_ = got;
    scope_.spawn(serve_udp(datagrams));
    scope_.spawn(accept_tcp(connections));
  }
  return {};
}

Lookup Server::follow(const Query& query, std::vector<Record>& before, std::optional<Labels>& leads_to) const {
  Labels name = query.name;
  for (size_t i = 0; i <= kMaxChase; ++i) {
    Lookup found = records_.lookup(name, static_cast<Type>(query.type));
    for (Record& r : found.answer) {
      if (r.owner.empty() && i > 0) r.owner = join_name(name);
    }
    if (i > 0 && found.outcome == Lookup::Outcome::NotOurs) leads_to = name;
    if (found.outcome != Lookup::Outcome::Alias) return found;
    before.push_back(found.answer.front());
    name = split_name(found.answer.front().data);
  }
  // A ring of aliases, or a chain that nobody means.
  return {.outcome = Lookup::Outcome::NotReady, .answer = {}, .additional = {}, .soa = {}};
}

std::optional<std::string> Server::answer_now(const Query& query, size_t limit) {
  if (query.opcode != kOpcodeQuery) return failure(query, Rcode::NotImp, limit);
  if (query.edns && query.edns_version != 0) return failure(query, Rcode::BadVers, limit);
  if (query.klass != kClassIn) return failure(query, Rcode::Refused, limit);
  std::vector<Record> before;
  std::optional<Labels> leads_to;
  Lookup found = follow(query, before, leads_to);
  if (found.outcome == Lookup::Outcome::NotOurs) {
    if (leads_to) return std::nullopt;
    auto known = forwarder_.cached({query.name, query.type, query.klass, query.dnssec_ok, query.checking_disabled});
    if (!known) return std::nullopt;
    count("cached");
    return write_forwarded(query, *known->wire, known->age, known->stale_ttl, {}, limit);
  }
  Answer out;
  out.authoritative = true;
  switch (found.outcome) {
    case Lookup::Outcome::NotReady:
      out.rcode = Rcode::ServFail;
      break;
    case Lookup::Outcome::NameError:
      out.rcode = Rcode::NXDomain;
      out.authority.push_back(found.soa);
      break;
    case Lookup::Outcome::NoData:
      out.authority.push_back(found.soa);
      break;
    default:
      break;
  }
  out.authoritative = found.outcome != Lookup::Outcome::NotReady;
  out.answer = std::move(before);
  out.answer.insert(out.answer.end(), found.answer.begin(), found.answer.end());
  out.additional = std::move(found.additional);
  count("cluster");
  return write_answer(query, out, limit);
}

Task<std::string> Server::answer(Query query, size_t limit) {
  if (auto now = answer_now(query, limit)) co_return std::move(*now);
  std::vector<Record> before;
  std::optional<Labels> leads_to;
  follow(query, before, leads_to);
  if (!query.recursion_desired) co_return failure(query, Rcode::Refused, limit);
  auto got = co_await forwarder_.ask(
      {leads_to ? *leads_to : query.name, query.type, query.klass, query.dnssec_ok, query.checking_disabled});
  if (!got) {
    count("failed");
    co_return failure(query, Rcode::ServFail, limit);
  }
  count("forwarded");
  std::string out = write_forwarded(query, *got->wire, got->age, got->stale_ttl, before, limit);
  co_return out.empty() ? failure(query, Rcode::ServFail, limit) : out;
}

void Server::take_datagram(const std::shared_ptr<Udp>& socket, std::string_view bytes) {
  auto send = [](Udp& to, const std::string& wire, const udp::endpoint& whom) {
    boost::system::error_code ignored;  // a full socket buffer loses datagrams, as the network does
    if (!wire.empty()) to.socket.send_to(asio::buffer(wire), whom, 0, ignored);
  };
  auto query = parse_query(bytes);
  if (!query) {
    send(*socket, write_failure(query.error()), socket->from);
    return;
  }
  if (auto now = answer_now(*query, query->udp_size)) {
    send(*socket, *now, socket->from);
    return;
  }
  std::string who = socket->from.address().to_string();
  auto mine = forwards_of_.find(who);
  if (mine != forwards_of_.end() && mine->second >= kMaxForwardsOfOne) {
    count("refused");
    send(*socket, failure(*query, Rcode::ServFail, query->udp_size), socket->from);
    return;
  }
  scope_.spawn(
      [](Server& self, std::shared_ptr<Udp> s, Query q, udp::endpoint whom, std::string who, auto send) -> Task<void> {
        Share share(self.forwards_of_, std::move(who));
        size_t limit = q.udp_size;
        std::string wire = co_await self.answer(std::move(q), limit);
        send(*s, wire, whom);
      }(*this, socket, std::move(*query), socket->from, std::move(who), send));
}

Task<void> Server::serve_udp(std::shared_ptr<Udp> socket) {
  std::string buffer(kMaxQueryBytes, '\0');
  while (true) {
    co_await socket->socket.async_wait(udp::socket::wait_read, asio::use_awaitable);
    for (size_t i = 0; i < kUdpBatch; ++i) {
      boost::system::error_code error;
      size_t n = socket->socket.receive_from(asio::buffer(buffer), socket->from, 0, error);
      if (error) break;  // none left, or an answer's ICMP error
      take_datagram(socket, std::string_view(buffer).substr(0, n));
    }
  }
}

Task<void> Server::accept_tcp(std::shared_ptr<Tcp> listener) {
  while (true) {
    boost::system::error_code error;
    tcp::socket socket = co_await listener->acceptor.async_accept(asio::redirect_error(asio::use_awaitable, error));
    if (error) {
      if (error == asio::error::operation_aborted) throw boost::system::system_error(error);
      co_await sleep_for(std::chrono::milliseconds(100));  // out of descriptors
      continue;
    }
    std::string who = socket.remote_endpoint(error).address().to_string();
    auto mine = connections_of_.find(who);
    if (error || connections_ >= kMaxTcpConnections ||
        (mine != connections_of_.end() && mine->second >= kMaxTcpConnectionsOfOne))
      continue;
    scope_.spawn([](Server& self, tcp::socket s, std::string who) -> Task<void> {
      Share share(self.connections_of_, std::move(who));
      struct Count {
        size_t& n;
        explicit Count(size_t& of) : n(of) { ++n; }
        ~Count() { --n; }
      } counted(self.connections_);
      while (true) {
        bool more = false;
        auto turn = [](Server& server, tcp::socket& socket, bool& more) -> Task<void> {
          std::array<unsigned char, 2> length{};
          boost::system::error_code error;
          co_await asio::async_read(socket, asio::buffer(length), asio::redirect_error(asio::use_awaitable, error));
          if (error) co_return;
          std::string bytes(static_cast<size_t>(length[0]) << 8 | length[1], '\0');
          if (bytes.size() > kMaxQueryBytes) co_return;
          co_await asio::async_read(socket, asio::buffer(bytes), asio::redirect_error(asio::use_awaitable, error));
          if (error) co_return;
          auto query = parse_query(bytes);
          std::string wire =
              query ? co_await server.answer(std::move(*query), kMaxTcpBytes) : write_failure(query.error());
          if (wire.empty()) co_return;
          wire.insert(0, {static_cast<char>(wire.size() >> 8), static_cast<char>(wire.size() & 255)});
          co_await asio::async_write(socket, asio::buffer(wire), asio::redirect_error(asio::use_awaitable, error));
          more = !error;
        };
        if (!co_await finish_within(kTcpIdle, turn(self, s, more)) || !more) co_return;
      }
    }(*this, std::move(socket), std::move(who)));
  }
}

}  // namespace redoubt::dns
