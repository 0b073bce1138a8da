#include "egress/ssh/dialer.h"

#include "base/blocking.h"
#include "base/event.h"
#include "base/log.h"
#include "base/metrics.h"
#include "base/random.h"
#include "egress/across.h"
#include "egress/ssh/limits.h"
#include "egress/ssh/session.h"
#include "egress/ssh/trust.h"

namespace redoubt::egress::ssh {

namespace {

using Clock = std::chrono::steady_clock;

struct Metrics {
  Counter& opens = counter("ssh_tunnel_open_count", "Counter of ssh tunnel total open attempts");
  Counter& failures = counter("ssh_tunnel_open_fail_count", "Counter of ssh tunnel failed open attempts");
  Gauge& up = gauge("redoubt_tunnel_connections", "Tunnels that are up.", {{"kind", "ssh"}});
  static Metrics& get() {
    static Metrics metrics;
    return metrics;
  }
};

std::chrono::milliseconds jittered(std::chrono::milliseconds wait) {
  auto half = static_cast<uint64_t>(std::max<int64_t>(wait.count() / 2, 1));
  return std::chrono::milliseconds(half + random_below(2 * half));
}

// The connection to one node, of the home loop.
struct Link {
  Link(Executor executor, std::string n) : node(std::move(n)), changed(executor) {}
  const std::string node;
  std::shared_ptr<Session> session;  // the one that dials use
  std::string peer;
  Timestamp since{};
  Clock::time_point used = Clock::now(), failed{};
  uint64_t attempts = 0;
  Status last_error{503, "ServiceUnavailable", ""};
  std::string dial_error;  // of the last dial over it that failed
  bool kept_up = false;    // its task runs
  Event changed;           // connected, failed, or wanted
};

class SshTunnelsImpl : public SshTunnels {
 public:
  SshTunnelsImpl(Executor home, SshOptions options, std::shared_ptr<const Trust> trust)
      : home_(home), options_(std::move(options)), scope_(std::make_shared<Scope>(home, "ssh tunnels")), trust_(trust) {
    boost::asio::post(home_, [this] { scope_->spawn(recheck()); });
  }

  Task<Result<net::StreamPtr>> dial(PathId path, Target target, DialOptions options) override {
    RD_CO_TRY(NodeSsh node, options_.node(target.node));
    std::vector<net::Address> ways;
    if (path != PathId::ApiserverKubelet) {
      RD_CO_TRYV(node.allowed.check(target.address.host));
      ways.push_back(target.address);
    }
    // Nobody but the node itself has to reach its kubelet: its port on the node's own address is it all the same.
    bool kubelet = path == PathId::ApiserverKubelet ||
                   (target.address.port == node.kubelet_port && node.allowed.of_node(target.address.host));
    if (kubelet) {
      ways = {{"127.0.0.1", target.address.port}};
      for (const std::string& address : node.addresses) ways.push_back({address, target.address.port});
    }
    co_return co_await dial_across(
        scope_, [this, name = target.node, ways, timeout = options.timeout] { return dial_home(name, ways, timeout); });
  }

  Way way(PathId, const Target& target) const override {
    Way out;
    out.kind = "ssh";
    out.available = out.confidential = false;
    auto node = options_.node(target.node);
    if (!node) {
      out.why_not = node.error().message();
      return out;
    }
    if (node->addresses.empty()) {
      out.why_not = fmt::format("node \"{}\" has no IP address to reach its sshd at", target.node);
      return out;
    }
    if (trust()->of(target.node, node->addresses[0], options_.port, node->published_keys).empty()) {
      out.why_not = fmt::format(
          "no SSH host key is known of node \"{}\" at {}: add it to the file of --ssh-known-hosts, or have the node's "
          "agent publish it (annotation {})",
          target.node, net::Address{node->addresses[0], options_.port}.to_string(), kHostKeysAnnotation);
      return out;
    }
    out.available = out.confidential = true;
    return out;
  }

  std::vector<TunnelInfo> list() const override {
    std::lock_guard lock(mutex_);
    return infos_;
  }

  Task<void> stop() override { return scope_->join(); }

 private:
  std::shared_ptr<const Trust> trust() const {
    std::lock_guard lock(mutex_);
    return trust_;
  }

  // ---- on the home loop ----

  Task<Result<net::StreamPtr>> dial_home(std::string name, std::vector<net::Address> ways,
                                         std::chrono::milliseconds timeout) {
    auto end = Clock::now() + timeout;
    auto left = [end] {
      return std::max(std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()),
                      std::chrono::milliseconds(1));
    };
    auto& entry = links_[name];
    if (!entry) entry = std::make_shared<Link>(home_, name);
    std::shared_ptr<Link> link = entry;
    link->used = Clock::now();
    RD_CO_TRY(auto session, co_await session_of(link, left()));
    Result<net::StreamPtr> outcome = service_unavailable("");
    for (const net::Address& target : ways) {
      outcome = co_await session->open(target, left());
      if (outcome || !session->usable()) break;
    }
    link->used = Clock::now();
    if (!outcome) link->dial_error = outcome.error().message();
    if (!outcome)
      co_return Error(Status(outcome.error().code(), outcome.error().reason(),
                             fmt::format("{} (node \"{}\")", outcome.error().message(), name)));
    co_return outcome;
  }

  Task<Result<std::shared_ptr<Session>>> session_of(std::shared_ptr<Link> link, std::chrono::milliseconds timeout) {
    auto end = Clock::now() + timeout;
    if (link->session && link->session->usable()) co_return link->session;
    // A node that has just failed is not asked again for every dial.
    if (link->attempts > 0 && Clock::now() - link->failed < kRetryAtOnce) co_return Error(link->last_error);
    uint64_t before = link->attempts;
    if (!link->kept_up) {
      link->kept_up = true;
      scope_->spawn(keep_up(link));
    } else {
      link->changed.notify();
    }
    while (!link->session || !link->session->usable()) {
      if (link->attempts != before && Clock::now() - link->failed < kRetryAtOnce) co_return Error(link->last_error);
      auto left = end - Clock::now();
      if (left <= std::chrono::nanoseconds(0))
        co_return service_unavailable(
            fmt::format("the SSH connection to node \"{}\" is not up: {}", link->node,
                        link->last_error.message().empty() ? "it is being made" : link->last_error.message()));
      co_await link->changed.wait_for(left);
    }
    co_return link->session;
  }

  // Connected for as long as somebody uses it.
  Task<void> keep_up(std::shared_ptr<Link> link) {
    struct Done {
      Link& link;
      ~Done() {
        link.kept_up = false;
        link.session.reset();
      }
    } done{*link};
    auto wait = kFirstRetry;
    while (true) {
      auto session = co_await connect(*link);
      if (session) {
        link->session = *session;
        link->since = now();
        link->last_error = Status(503, "ServiceUnavailable", "");
        wait = kFirstRetry;
        link->changed.notify();
        Metrics::get().up.add(1);
        log_info("tunnel is up", {{"path", "tunnel-ssh"},
                                  {"node", link->node},
                                  {"peer", link->peer},
                                  {"hostKey", (*session)->host_key().fingerprint()}});
        // A new key retires it: the next connection is then made while this one serves what it has.
        scope_->spawn(run(*session, link));
        while ((*session)->usable()) {
          co_await link->changed.wait_for(kIdleCheck);
          if ((*session)->info().streams == 0 && Clock::now() - link->used > kIdle) {
            (*session)->close("nobody used it");
            co_return;
          }
        }
        link->session.reset();
        if (Clock::now() - link->used > kIdle) co_return;
        co_await sleep_for(jittered(kFirstRetry));
        continue;
      }
      link->failed = Clock::now();
      ++link->attempts;
      Metrics::get().failures.add(1);
      if (link->last_error.message() != session.error().message())
        log_warning("no tunnel to the node",
                    {{"path", "tunnel-ssh"}, {"node", link->node}, {"error", session.error().message()}});
      link->last_error = session.error();
      link->changed.notify();
      if (Clock::now() - link->used > kIdle) co_return;
      co_await link->changed.wait_for(jittered(wait));
      // A dial wakes it early, but not at once again.
      auto rest = kRetryAtOnce - (Clock::now() - link->failed);
      if (rest > std::chrono::nanoseconds(0)) co_await sleep_for(rest);
      wait = std::min(wait * 2, kLastRetry);
    }
  }

  static Task<void> run(std::shared_ptr<Session> session, std::shared_ptr<Link> link) {
    struct Down {
      std::shared_ptr<Session> session;
      std::shared_ptr<Link> link;
      ~Down() {
        Metrics::get().up.add(-1);
        log_info("tunnel is down",
                 {{"path", "tunnel-ssh"}, {"node", link->node}, {"reason", session->ended_because()}});
        if (link->session == session) link->last_error = Status(503, "ServiceUnavailable", session->ended_because());
        link->changed.notify();
      }
    } down{session, link};
    co_await Session::run(session);
  }

  Task<Result<std::shared_ptr<Session>>> connect(Link& link) {
    Metrics::get().opens.add(1);
    RD_CO_TRY(NodeSsh node, options_.node(link.node));
    if (node.addresses.empty())
      co_return service_unavailable(fmt::format("node \"{}\" has no IP address to reach its sshd at", link.node));
    auto files = trust();
    Result<std::shared_ptr<Session>> outcome = service_unavailable("");
    for (const std::string& address : node.addresses) {
      SessionOptions session;
      session.address = {address, options_.port};
      session.user = options_.user;
      session.private_key = files->private_key;
      session.trusted = files->of(link.node, address, options_.port, node.published_keys);
      link.peer = session.address.to_string();
      outcome = co_await Session::connect(std::move(session));
      if (outcome) break;
    }
    co_return outcome;
  }

  Task<void> recheck() {
    while (true) {
      co_await sleep_for(options_.recheck);
      auto read = co_await run_blocking(
          [key = options_.key_file, hosts = options_.known_hosts_file] { return read_trust(key, hosts); });
      if (!read) {
        if (read_error_ != read.error().message())
          log_error("SSH's files can't be used; what was read before stays",
                    {{"path", "tunnel-ssh"}, {"error", read.error().message()}});
        read_error_ = read.error().message();
      } else {
        read_error_.clear();
        take(std::move(*read));
      }
      publish();
    }
  }

  void take(std::shared_ptr<const Trust> now) {
    auto before = trust();
    bool new_key = *now->private_key != *before->private_key;
    {
      std::lock_guard lock(mutex_);
      trust_ = now;
    }
    if (new_key) log_info("a new SSH key is used from now on", {{"path", "tunnel-ssh"}, {"file", options_.key_file}});
    for (auto& [name, link] : links_) {
      if (!link->session || !link->session->usable()) continue;
      auto node = options_.node(name);
      auto peer = net::parse_address(link->peer);
      bool there = node && peer &&
                   std::find(node->addresses.begin(), node->addresses.end(), peer->host) != node->addresses.end();
      std::vector<HostKey> keys;
      if (there) keys = now->of(name, peer->host, options_.port, node->published_keys);
      if (std::find(keys.begin(), keys.end(), link->session->host_key()) == keys.end()) {
        link->session->close(there ? "its host key is no longer trusted" : "the node is gone or has another address");
      } else if (new_key) {
        link->session->retire();
      } else {
        continue;
      }
      link->changed.notify();
    }
    // Nodes that nobody asks for any more are forgotten.
    std::erase_if(links_,
                  [](const auto& item) { return !item.second->kept_up && Clock::now() - item.second->used > kIdle; });
  }

  void publish() {
    std::vector<TunnelInfo> infos;
    for (const auto& [name, link] : links_) {
      TunnelInfo info;
      info.kind = "ssh";
      info.node = name;
      info.peer = link->peer;
      info.up = false;
      info.last_error = link->last_error.message().empty() ? link->dial_error : link->last_error.message();
      if (link->session) {
        SessionInfo session = link->session->info();
        info.up = link->session->usable();
        info.identity = "host key " + link->session->host_key().fingerprint();
        info.since = link->since;
        info.streams = session.streams;
        info.bytes_to_node = session.sent;
        info.bytes_from_node = session.received;
        info.round_trip = session.round_trip;
      }
      infos.push_back(std::move(info));
    }
    std::lock_guard lock(mutex_);
    infos_ = std::move(infos);
  }

  Executor home_;
  const SshOptions options_;
  std::shared_ptr<Scope> scope_;
  std::map<std::string, std::shared_ptr<Link>> links_;
  std::string read_error_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Trust> trust_;
  std::vector<TunnelInfo> infos_;
};

}  // namespace

Result<std::unique_ptr<SshTunnels>> SshTunnels::make(Executor home, SshOptions options) {
  if (options.user.empty()) return bad_request("--ssh-keyfile goes together with --ssh-user");
  if (options.key_file.empty()) return bad_request("--ssh-user goes together with --ssh-keyfile");
  RD_TRY(auto trust, read_trust(options.key_file, options.known_hosts_file));
  return std::make_unique<SshTunnelsImpl>(home, std::move(options), std::move(trust));
}

}  // namespace redoubt::egress::ssh
