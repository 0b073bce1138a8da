#include "egress/ssh/session.h"

#include <fcntl.h>
#include <libssh/callbacks.h>
#include <libssh/libssh.h>
#include <libssh/server.h>
#include <netinet/tcp.h>

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "base/blocking.h"
#include "base/deadline.h"
#include "base/encoding.h"
#include "base/event.h"
#include "egress/ssh/limits.h"
#include "net/pieces.h"

namespace redoubt::egress::ssh {

namespace {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* p) const {
    Free(p);
  }
};
using SshPtr = std::unique_ptr<ssh_session_struct, Freed<ssh_free>>;
using KeyPtr = std::unique_ptr<ssh_key_struct, Freed<ssh_key_free>>;
using EventPtr = std::unique_ptr<ssh_event_struct, Freed<ssh_event_free>>;

// As the peer sent it, fit for a log.
std::string printable(std::string_view text) {
  std::string out(text.substr(0, 300));
  for (char& c : out) c = c < ' ' || c > '~' ? '?' : c;
  return out;
}

// What a channel and its Stream share with the session. Reached from libssh's callbacks.
struct Channel {
  explicit Channel(Executor executor) : changed(executor) {}
  ssh_channel handle = nullptr;
  ssh_channel_callbacks_struct callbacks{};
  Event changed;
};

class SessionImpl : public Session, public std::enable_shared_from_this<SessionImpl> {
 public:
  SessionImpl(Executor executor, SessionOptions options)
      : options_(std::move(options)), executor_(executor), socket_(executor), moved_(executor), writable_(executor) {}
  ~SessionImpl() override {
    for (ssh_channel c : orphans_) ssh_channel_free(c);
    if (event_ && ssh_) ssh_event_remove_session(event_.get(), ssh_.get());
  }

  Task<Result<void>> start() {
    RD_CO_TRYV(co_await connect_socket());
    RD_CO_TRYV(prepare());
    int rc = SSH_AGAIN;
    while ((rc = ssh_connect(ssh_.get())) == SSH_AGAIN) RD_CO_TRYV(co_await socket_moves());
    if (rc != SSH_OK) co_return failed("the key exchange failed");
    RD_CO_TRYV(check_host_key());
    co_return co_await authenticate();
  }

  Task<void> pump() {
    auto self = shared_from_this();
    Scope scope(executor_, "ssh connection");
    scope.spawn(write_loop());
    scope.spawn(ping_loop());
    std::exception_ptr cancelled;
    try {
      while (!ended_) {
        boost::system::error_code error;
        co_await socket_.async_wait(asio::ip::tcp::socket::wait_read, asio::redirect_error(asio::use_awaitable, error));
        if (error && !ended_) end(error.message());
        process();
      }
    } catch (...) {
      cancelled = std::current_exception();
    }
    end("the connection was given up");
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    co_await scope.join();
    // Streams may live on for a while, and with them libssh's end of the socket.
    boost::system::error_code ignored;
    socket_.shutdown(asio::socket_base::shutdown_both, ignored);
    socket_.close(ignored);
    if (cancelled) std::rethrow_exception(cancelled);
  }

  Task<Result<net::StreamPtr>> open(net::Address target, std::chrono::milliseconds timeout) override;

  void close(std::string why) override {
    end(std::move(why));
    boost::system::error_code ignored;
    socket_.cancel(ignored);
  }

  void retire() override {
    retired_ = true;
    if (streams_ == 0 && opening_ == 0) close("it was replaced");
  }
  bool usable() const override { return !ended_ && !retired_; }
  const HostKey& host_key() const override { return host_key_; }
  SessionInfo info() const override { return {streams_, sent_, received_, round_trip_}; }
  std::string ended_because() const override { return ended_because_; }

  // ---- for the channels' streams ----

  bool ended() const { return ended_; }
  Error broken() const {
    return service_unavailable(fmt::format("ssh: {}: {}", options_.address.to_string(), ended_because_));
  }
  // Bytes taken, 0 when the channel's or the socket's way is full.
  Result<size_t> write(Channel& channel, std::string_view bytes) {
    if (ended_) return broken();
    int n = ssh_channel_write(channel.handle, bytes.data(), static_cast<uint32_t>(bytes.size()));
    after();
    if (n < 0 && ended_) return broken();
    if (n < 0) return service_unavailable("write: broken pipe");
    sent_ += static_cast<uint64_t>(n);
    return static_cast<size_t>(n);
  }
  // Until the socket took what was written.
  Task<Result<void>> drained() {
    while (!ended_ && write_pending()) co_await writable_.wait();
    if (ended_) co_return broken();
    co_return Result<void>{};
  }
  // All that has come, so that libssh's window never opens beyond what it holds; empty: nothing yet.
  Result<std::string> read(Channel& channel, bool& at_end) {
    int there = ended_ ? 0 : ssh_channel_poll(channel.handle, 0);
    if (!ended_) after();
    if (there == SSH_EOF) {
      at_end = true;
      return std::string();
    }
    if (there < 0 || ended_) {
      if (ended_) return broken();
      return service_unavailable("read: connection reset by peer");
    }
    if (there == 0) {
      if (ssh_channel_is_closed(channel.handle)) return service_unavailable("read: connection reset by peer");
      return std::string();
    }
    std::string out(static_cast<size_t>(there), '\0');
    int n = ssh_channel_read_nonblocking(channel.handle, out.data(), static_cast<uint32_t>(out.size()), 0);
    after();
    if (n < 0) return service_unavailable("read: connection reset by peer");
    out.resize(static_cast<size_t>(n));
    received_ += out.size();
    return out;
  }
  void shutdown_write(Channel& channel) {
    if (ended_) return;
    ssh_channel_send_eof(channel.handle);
    after();
  }
  void drop(Channel& channel) noexcept {
    if (channel.handle == nullptr) return;
    ssh_remove_channel_callbacks(channel.handle, &channel.callbacks);
    ssh_channel_free(std::exchange(channel.handle, nullptr));
    if (!ended_) after();
  }
  void stream_gone(Channel& channel) {
    channels_.erase(&channel);
    --streams_;
    if (retired_ && streams_ == 0 && opening_ == 0) close("it was replaced");
  }

 private:
  std::string refusal(const net::Address& target, std::string_view why) const;

  Task<Result<void>> connect_socket() {
    boost::system::error_code error;
    auto ip = asio::ip::make_address(options_.address.host, error);
    if (error) co_return bad_request(fmt::format("ssh: \"{}\" is no IP address", options_.address.host));
    co_await socket_.async_connect({ip, options_.address.port}, asio::redirect_error(asio::use_awaitable, error));
    if (error)
      co_return service_unavailable(
          fmt::format("dial tcp {}: connect: {}", options_.address.to_string(), lower_first(error.message())));
    socket_.set_option(asio::ip::tcp::no_delay(true), error);
    socket_.set_option(asio::socket_base::keep_alive(true), error);
    socket_.native_non_blocking(true, error);
    ::setsockopt(socket_.native_handle(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, &kUnsentBytes, sizeof kUnsentBytes);
    co_return Result<void>{};
  }

  static std::string lower_first(std::string text) {
    if (!text.empty()) text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
    return text;
  }

  // The algorithms that the host's known keys can be shown by: any other key would be a stranger's.
  std::string host_key_algorithms() const {
    std::string out;
    auto add = [&out](std::string_view name) { out += fmt::format("{}{}", out.empty() ? "" : ",", name); };
    for (std::string_view type : {"ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"}) {
      if (trusts_type(type)) add(type);
    }
    if (trusts_type("ssh-rsa")) add("rsa-sha2-512,rsa-sha2-256");
    return out;
  }
  bool trusts_type(std::string_view type) const {
    return std::any_of(options_.trusted.begin(), options_.trusted.end(),
                       [type](const HostKey& key) { return key.type == type; });
  }

  Result<void> prepare() {
    ssh_.reset(ssh_new());
    if (!ssh_) return internal_error("ssh: no memory for a session");
    std::string algorithms = host_key_algorithms();
    if (algorithms.empty())
      return Error(Status(403, "Forbidden",
                          fmt::format("ssh: no usable host key is known for {}; known hosts and the Node name none of "
                                      "ssh-ed25519, ecdsa-sha2-nistp*, ssh-rsa",
                                      options_.address.to_string())));
    // libssh closes its own.
    int fd = ::fcntl(socket_.native_handle(), F_DUPFD_CLOEXEC, 3);
    if (fd < 0) return service_unavailable("ssh: no file descriptor is left");
    int no = 0;
    ssh_options_set(ssh_.get(), SSH_OPTIONS_PROCESS_CONFIG, &no);
    ssh_options_set(ssh_.get(), SSH_OPTIONS_HOST, options_.address.host.c_str());
    ssh_options_set(ssh_.get(), SSH_OPTIONS_USER, options_.user.c_str());
    // Trust is this program's to decide, not a file's that happens to be there.
    ssh_options_set(ssh_.get(), SSH_OPTIONS_KNOWNHOSTS, "/dev/null");
    ssh_options_set(ssh_.get(), SSH_OPTIONS_GLOBAL_KNOWNHOSTS, "/dev/null");
    ssh_options_set(ssh_.get(), SSH_OPTIONS_HOSTKEYS, algorithms.c_str());
    // Authenticated ciphers, the fast ones first.
    const char* ciphers = "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-ctr";
    ssh_options_set(ssh_.get(), SSH_OPTIONS_CIPHERS_C_S, ciphers);
    ssh_options_set(ssh_.get(), SSH_OPTIONS_CIPHERS_S_C, ciphers);
    ssh_options_set(ssh_.get(), SSH_OPTIONS_FD, &fd);
    ssh_set_blocking(ssh_.get(), 0);
    ssh_set_counters(ssh_.get(), nullptr, &packets_);
    return {};
  }

  Result<void> check_host_key() {
    ssh_key raw = nullptr;
    if (ssh_get_server_publickey(ssh_.get(), &raw) != SSH_OK) return failed("the host showed no key");
    KeyPtr key(raw);
    char* text = nullptr;
    if (ssh_pki_export_pubkey_base64(key.get(), &text) != SSH_OK) return failed("the host's key can't be read");
    auto blob = base64_decode(text);
    ssh_string_free_char(text);
    if (!blob) return failed("the host's key can't be read");
    host_key_ = {ssh_key_type_to_char(ssh_key_type(key.get())), std::move(*blob)};
    for (const HostKey& trusted : options_.trusted) {
      if (trusted.blob == host_key_.blob) return {};
    }
    return Error(Status(403, "Forbidden",
                        fmt::format("ssh: {} shows the {} key {}, which is none of those known for it: somebody may be "
                                    "in its place, or its key was changed; put the right one into the known-hosts file",
                                    options_.address.to_string(), host_key_.type, host_key_.fingerprint())));
  }

  Task<Result<void>> authenticate() {
    ssh_key raw = nullptr;
    if (ssh_pki_import_privkey_base64(options_.private_key->c_str(), nullptr, nullptr, nullptr, &raw) != SSH_OK)
      co_return Error(
          Status(401, "Unauthorized", "ssh: --ssh-keyfile holds no private key that can be read without a passphrase"));
    KeyPtr key(raw);
    int rc = SSH_AUTH_AGAIN;
    while ((rc = ssh_userauth_publickey(ssh_.get(), nullptr, key.get())) == SSH_AUTH_AGAIN)
      RD_CO_TRYV(co_await socket_moves());
    if (rc == SSH_AUTH_SUCCESS) {
      event_.reset(ssh_event_new());
      if (!event_ || ssh_event_add_session(event_.get(), ssh_.get()) != SSH_OK)
        co_return internal_error("ssh: no memory for a connection");
      co_return Result<void>{};
    }
    if (rc == SSH_AUTH_DENIED || rc == SSH_AUTH_PARTIAL)
      co_return Error(Status(401, "Unauthorized",
                             fmt::format("ssh: {} does not accept the key of --ssh-keyfile for user \"{}\"",
                                         options_.address.to_string(), options_.user)));
    co_return failed("authentication failed");
  }

  // Of a step before run().
  Task<Result<void>> socket_moves() {
    boost::system::error_code error;
    auto kind = ssh_get_poll_flags(ssh_.get()) & SSH_WRITE_PENDING ? asio::ip::tcp::socket::wait_write
                                                                   : asio::ip::tcp::socket::wait_read;
    co_await socket_.async_wait(kind, asio::redirect_error(asio::use_awaitable, error));
    if (error) co_return service_unavailable(fmt::format("ssh: {}", error.message()));
    co_return Result<void>{};
  }

  Error failed(std::string_view what) const {
    return service_unavailable(
        fmt::format("ssh: {}: {}: {}", options_.address.to_string(), what, printable(ssh_get_error(ssh_.get()))));
  }

  bool write_pending() const { return (ssh_get_poll_flags(ssh_.get()) & SSH_WRITE_PENDING) != 0; }

  // Takes in what has come. Callbacks wake the channels concerned.
  void process() {
    if (ended_) return;
    for (int i = 0; i < kReadTurns && !ended_; ++i) {
      int rc = ssh_event_dopoll(event_.get(), 0);
      if (rc == SSH_ERROR) end(printable(ssh_get_error(ssh_.get())));
      if (rc != SSH_OK) break;
    }
    after();
  }

  // After every call of libssh: any of them may have taken in packets, or left some for the socket.
  void after() {
    if (!ended_ && !ssh_is_connected(ssh_.get())) {
      std::string why = printable(ssh_get_error(ssh_.get()));
      end(why.empty() ? "connection reset by peer" : why);
    }
    if (!ended_) (write_pending() ? to_write_ : writable_).notify();
    if (!ended_ && std::exchange(seen_packets_, packets_.in_packets) == packets_.in_packets) return;
    note_refusal();
    moved_.notify();
    bool look = ended_ || std::exchange(refusals_of_orphans_, refusals_) != refusals_;
    std::erase_if(orphans_, [this, look](ssh_channel channel) {
      if (!ended_ && !ssh_channel_is_open(channel) &&
          (!look || ssh_channel_open_forward(channel, "", 0, "127.0.0.1", 0) == SSH_AGAIN))
        return false;
      ssh_channel_free(channel);  // closes one that opened after its dial had given up
      return true;
    });
  }

  // Whether the last packets refused a channel. Which one it was only the text says, by a number that libssh keeps to
  // itself: whoever is opening one then asks libssh. Not for every packet: with a thousand dials under way, each would
  // cost a thousand questions.
  void note_refusal() {
    if (ended_ || ssh_get_error_code(ssh_.get()) != SSH_REQUEST_DENIED) return;
    std::string_view text = ssh_get_error(ssh_.get());
    if (text == refusal_text_) return;
    refusal_text_ = text;
    ++refusals_;
  }

  Task<void> write_loop() {
    while (!ended_) {
      if (!write_pending()) {
        co_await to_write_.wait();
        continue;
      }
      boost::system::error_code error;
      co_await socket_.async_wait(asio::ip::tcp::socket::wait_write, asio::redirect_error(asio::use_awaitable, error));
      if (error) co_return;
      process();
    }
  }

  Task<void> ping_loop() {
    while (!ended_) {
      co_await sleep_for(kPingInterval);
      if (ended_) co_return;
      auto sent = Clock::now();
      uint64_t before = packets_.in_packets;
      send_ping();
      // Any packet is a sign of life; on a quiet connection it is the answer.
      while (!ended_ && packets_.in_packets == before) {
        auto left = kPingTimeout - (Clock::now() - sent);
        if (left <= std::chrono::nanoseconds(0)) {
          close(fmt::format("no answer within {} s", kPingTimeout.count()));
          co_return;
        }
        co_await moved_.wait_for(left);
      }
      round_trip_ = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - sent);
    }
  }

  // libssh has one request under way at a time: a call may only take the answer of the last one.
  void send_ping() {
    uint64_t before = packets_.out_packets;
    for (int i = 0; i < 2 && packets_.out_packets == before && ssh_is_connected(ssh_.get()); ++i)
      ssh_send_keepalive(ssh_.get());
    after();
  }

  void end(std::string why) {
    if (ended_) return;
    ended_ = true;
    ended_because_ = std::move(why);
    moved_.notify();
    writable_.notify();
    to_write_.notify();
    for (Channel* channel : channels_) channel->changed.notify();
    boost::system::error_code ignored;
    socket_.cancel(ignored);
  }

  SessionOptions options_;
  Executor executor_;
  asio::ip::tcp::socket socket_;
  SshPtr ssh_;
  EventPtr event_;
  HostKey host_key_;
  Event moved_;     // packets came, or it ended
  Event writable_;  // the socket took everything
  Event to_write_{executor_};
  std::set<Channel*> channels_;
  std::vector<ssh_channel> orphans_;  // still opening, nobody waits
  size_t streams_ = 0, opening_ = 0;
  uint64_t sent_ = 0, received_ = 0;
  ssh_counter_struct packets_{};
  uint64_t seen_packets_ = 0;
  uint64_t refusals_ = 0, refusals_of_orphans_ = 0;  // of channels, so far; and when orphans were last looked at
  std::string refusal_text_;
  std::chrono::microseconds round_trip_{0};
  bool ended_ = false, retired_ = false;
  std::string ended_because_;
};

int on_data(ssh_session, ssh_channel, void*, uint32_t, int, void* channel) {
  static_cast<Channel*>(channel)->changed.notify();
  return 0;  // it stays in libssh until it is read
}
void on_event(ssh_session, ssh_channel, void* channel) {
  static_cast<Channel*>(channel)->changed.notify();
}
int on_writable(ssh_session, ssh_channel, uint32_t, void* channel) {
  static_cast<Channel*>(channel)->changed.notify();
  return 0;
}

class ChannelStream : public net::PieceStream {
 public:
  ChannelStream(std::shared_ptr<SessionImpl> session, std::unique_ptr<Channel> channel)
      : session_(std::move(session)), channel_(std::move(channel)) {}
  ~ChannelStream() override {
    abort();
    session_->stream_gone(*channel_);
  }

  Task<Result<size_t>> read_some(std::span<char> into) override {
    RD_CO_TRYV(co_await fill());
    size_t n = std::min(into.size(), unread_.size() - used_);
    std::memcpy(into.data(), unread_.data() + used_, n);
    used_ += n;
    co_return n;
  }

  Task<Result<BytesList>> read_pieces(size_t) override {
    RD_CO_TRYV(co_await fill());
    BytesList out;
    if (used_ < unread_.size()) {
      Bytes all = Bytes::take(std::exchange(unread_, {}));
      out.push_back(all.slice(std::exchange(used_, 0)));
    }
    co_return out;
  }

  Task<Result<void>> write(BytesList pieces) override {
    for (const Bytes& piece : pieces) {
      std::string_view rest = piece.view();
      while (!rest.empty()) {
        if (aborted_) co_return service_unavailable("write: the stream was aborted");
        RD_CO_TRY(size_t n, session_->write(*channel_, rest.substr(0, kWriteTurn)));
        rest.remove_prefix(n);
        RD_CO_TRYV(co_await session_->drained());
        // The other side's window is full: its reader is slow. Or keys are being changed, of which nothing tells.
        if (n == 0 && !rest.empty()) co_await channel_->changed.wait_for(kRekeyCheck);
      }
    }
    co_return Result<void>{};
  }

  Task<Result<void>> shutdown_write() override {
    if (!aborted_) session_->shutdown_write(*channel_);
    return session_->drained();
  }

  void abort() noexcept override {
    if (std::exchange(aborted_, true)) return;
    session_->drop(*channel_);
    channel_->changed.notify();
  }

 private:
  Task<Result<void>> fill() {
    if (used_ == unread_.size()) unread_.clear(), used_ = 0;
    while (unread_.empty() && !at_end_) {
      if (aborted_) co_return service_unavailable("read: the stream was aborted");
      RD_CO_TRY(unread_, session_->read(*channel_, at_end_));
      if (unread_.empty() && !at_end_) co_await channel_->changed.wait();
    }
    co_return Result<void>{};
  }

  std::shared_ptr<SessionImpl> session_;
  std::unique_ptr<Channel> channel_;
  std::string unread_;
  size_t used_ = 0;
  bool at_end_ = false, aborted_ = false;
};

Task<Result<net::StreamPtr>> SessionImpl::open(net::Address target, std::chrono::milliseconds timeout) {
  auto self = shared_from_this();
  if (!usable()) co_return broken();
  if (streams_ + opening_ + orphans_.size() >= kMaxChannels)
    co_return too_many_requests(fmt::format("the SSH connection to {} has {} streams; no more are taken",
                                            options_.address.to_string(), streams_),
                                1);
  // What is opening belongs to nobody else; it is left to after() where the dial gives up first.
  struct Opening {
    SessionImpl& self;
    ssh_channel handle;
    ~Opening() {
      --self.opening_;
      if (handle != nullptr) self.orphans_.push_back(handle);
      if (self.retired_ && self.streams_ == 0 && self.opening_ == 0) self.close("it was replaced");
    }
  } opening{*this, ssh_channel_new(ssh_.get())};
  ++opening_;
  if (opening.handle == nullptr) co_return internal_error("ssh: no memory for a channel");
  auto end = Clock::now() + timeout;
  int rc = SSH_AGAIN;
  while (true) {
    rc = ssh_channel_open_forward(opening.handle, target.host.c_str(), target.port, "127.0.0.1", 0);
    uint64_t refusals = refusals_;
    // Before anything else is taken in, which may hold its data already.
    std::string why = rc == SSH_ERROR ? printable(ssh_get_error(ssh_.get())) : "";
    if (rc != SSH_AGAIN) {
      ssh_channel handle = std::exchange(opening.handle, nullptr);
      if (rc != SSH_OK) {
        ssh_channel_free(handle);
        after();
        if (ended_) co_return broken();
        co_return service_unavailable(refusal(target, why));
      }
      auto channel = std::make_unique<Channel>(executor_);
      channel->handle = handle;
      channel->callbacks.userdata = channel.get();
      channel->callbacks.channel_data_function = on_data;
      channel->callbacks.channel_eof_function = on_event;
      channel->callbacks.channel_close_function = on_event;
      channel->callbacks.channel_write_wontblock_function = on_writable;
      ssh_callbacks_init(&channel->callbacks);
      ssh_set_channel_callbacks(handle, &channel->callbacks);
      channels_.insert(channel.get());
      ++streams_;
      net::StreamPtr out = std::make_unique<ChannelStream>(self, std::move(channel));
      after();
      co_return out;
    }
    after();
    do {
      if (ended_) co_return broken();
      auto left = end - Clock::now();
      if (left <= std::chrono::nanoseconds(0))
        co_return service_unavailable(
            fmt::format("dial tcp {} by SSH to {}: i/o timeout", target.to_string(), options_.address.to_string()));
      co_await moved_.wait_for(left);
    } while (!ssh_channel_is_open(opening.handle) && refusals_ == refusals);
  }
}

// sshd's answer, as a user reads it. libssh keeps the session's last error only: with several dials refused at once it
// may be another's, so nothing but the kind of refusal is taken from it.
std::string SessionImpl::refusal(const net::Address& target, std::string_view why) const {
  std::string out = fmt::format("dial tcp {} by SSH to {}: ", target.to_string(), options_.address.to_string());
  if (why.find("error (1)") != std::string_view::npos)
    return out + "sshd forbids it: see AllowTcpForwarding and PermitOpen in its sshd_config";
  if (opening_ == 1 && why.find("Connection refused") != std::string_view::npos)
    return out + "connect: connection refused";
  if (opening_ == 1 && why.find("No route to host") != std::string_view::npos) return out + "connect: no route to host";
  return out + "connect failed";
}

Task<void> start_into(std::shared_ptr<SessionImpl> session, Result<void>& outcome) {
  outcome = co_await session->start();
}

}  // namespace

Task<Result<std::shared_ptr<Session>>> Session::connect(SessionOptions options) {
  auto executor = co_await asio::this_coro::executor;
  std::string where = options.address.to_string();
  auto session = std::make_shared<SessionImpl>(executor, std::move(options));
  Result<void> outcome =
      service_unavailable(fmt::format("ssh: {}: no connection within {} s", where, kConnectTimeout.count()));
  co_await finish_within(kConnectTimeout, start_into(session, outcome));
  RD_CO_TRYV(std::move(outcome));
  co_return std::shared_ptr<Session>(session);
}

Task<void> Session::run(std::shared_ptr<Session> session) {
  auto& impl = static_cast<SessionImpl&>(*session);
  co_await impl.pump();
}

}  // namespace redoubt::egress::ssh
