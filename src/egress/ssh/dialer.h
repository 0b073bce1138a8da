// The path tunnel-ssh: dials by way of the sshd of the node concerned, as one of egress' implementations.
//
//   auto ssh = SshTunnels::make(executor, options);     the executor of a loop that only this uses
//   ssh->dial(path, {node, address})                    any loop
//   co_await ssh->stop();                               on its loop, before that ends
//
// A connection to a node is made when it is first dialled, kept while it is used, made again when it is lost, and
// carries only what NodeAddresses of that node allows. Kubelets are asked for on the node's loopback, then at its
// address. Key, known hosts and Nodes are read anew every few seconds: with a new key the old connections take no more
// streams; a host key that is no longer trusted ends its connection at once.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/task.h"
#include "egress/dialer.h"
#include "egress/reverse/addresses.h"
#include "egress/tunnel_info.h"
#include "net/tcp.h"

namespace redoubt::egress::ssh {

// Of a Node: public keys of its sshd, as lines "TYPE BASE64". Its agent writes it.
inline constexpr std::string_view kHostKeysAnnotation = "redoubt.dev/ssh-host-keys";

// What is needed of a Node object.
struct NodeSsh {
  reverse::NodeAddresses allowed;
  std::vector<std::string> addresses;  // IP addresses, best first
  std::string published_keys;          // the annotation
  uint16_t kubelet_port = 10250;
};

struct SshOptions {
  std::string user;
  std::string key_file;
  std::string known_hosts_file;  // empty: published keys alone
  uint16_t port = 22;
  std::chrono::milliseconds recheck{5'000};  // how often files and Nodes are looked at for changes
  // NotFound when there is none. Any thread, doesn't wait.
  std::function<Result<NodeSsh>(const std::string& node)> node;
};

class SshTunnels : public Dialer {
 public:
  // Reads both files: blocking. BadRequest names the file that can't be used.
  static Result<std::unique_ptr<SshTunnels>> make(Executor home, SshOptions options);
  // All there are, sorted by node; the identity is the host key's fingerprint. Any thread; as of the last few seconds.
  virtual std::vector<TunnelInfo> list() const = 0;
  virtual Task<void> stop() = 0;
};

}  // namespace redoubt::egress::ssh
