// One SSH connection to a node's sshd, over which direct-tcpip channels are opened, each a Stream.
//
//   RD_CO_TRY(auto session, co_await Session::connect(options));    TCP, key exchange, host key, our key
//   scope.spawn(Session::run(session));                             until it ends; nothing moves without it
//   co_await session->open({"127.0.0.1", 10250}, timeout);
//
// libssh does the protocol, in its non-blocking way: this loop waits for the socket and hands over what is ready. A
// host key that is none of `trusted` ends the handshake before our key is used. Memory is bounded a channel: what its
// reader left unread stops the sender by SSH's own window (2.6 MB at most, libssh's), a writer waits until the socket
// took its bytes. Belongs to one loop.
#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/task.h"
#include "egress/ssh/known_hosts.h"
#include "net/stream.h"
#include "net/tcp.h"

namespace redoubt::egress::ssh {

struct SessionOptions {
  net::Address address;  // an IP literal
  std::string user;
  std::shared_ptr<const std::string> private_key;  // OpenSSH or PEM, without passphrase
  std::vector<HostKey> trusted;                    // at least one
};

struct SessionInfo {
  size_t streams = 0;
  uint64_t sent = 0, received = 0;
  std::chrono::microseconds round_trip{0};
};

class Session {
 public:
  // Unauthorized: our key or user was refused. Forbidden: the host's key is not trusted. ServiceUnavailable: all else.
  static Task<Result<std::shared_ptr<Session>>> connect(SessionOptions options);
  virtual ~Session() = default;

  // Until the connection ends, or close().
  static Task<void> run(std::shared_ptr<Session> session);
  // sshd on the other side connects to `target`. ServiceUnavailable, worded as Go's "dial tcp".
  virtual Task<Result<net::StreamPtr>> open(net::Address target, std::chrono::milliseconds timeout) = 0;
  // Drops it; streams fail with `why`.
  virtual void close(std::string why) = 0;
  // Takes no further streams, and ends with the last one.
  virtual void retire() = 0;
  virtual bool usable() const = 0;
  virtual const HostKey& host_key() const = 0;
  virtual SessionInfo info() const = 0;
  virtual std::string ended_because() const = 0;
};

}  // namespace redoubt::egress::ssh
