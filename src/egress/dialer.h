// Egress is one interface: every connection from the server towards the cluster is a dial, under the id of its path.
//
// A Dialer gives a transport; TLS on top of it, end to end, is the caller's. Any loop: the stream belongs to the loop
// that dialled. Dials and bytes are counted by path.
#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/task.h"
#include "net/stream.h"
#include "net/tcp.h"

namespace redoubt::egress {

enum class PathId { ApiserverKubelet, ApiserverNode, ApiserverPod, ApiserverService, ApiserverWebhook };
// "apiserver-kubelet", as code, logs and metrics name it.
std::string_view path_name(PathId path);

struct Target {
  std::string node;  // the node that this is, or that it runs on; empty where it belongs to none
  net::Address address;
};

class Dialer {
 public:
  virtual ~Dialer() = default;
  // Errors read as users know them: "dial tcp 10.0.0.7:10250: connect: connection refused".
  virtual Task<Result<net::StreamPtr>> dial(PathId path, Target target) = 0;
};

// Straight over the network.
std::unique_ptr<Dialer> make_direct_dialer(std::chrono::milliseconds timeout = std::chrono::seconds(10));

}  // namespace redoubt::egress
