// Egress is one interface: every connection from the server towards the cluster is a dial, under the id of its path.
//
// A Dialer gives a transport; TLS on top of it, end to end, is the caller's. Any loop: the stream belongs to the loop
// that dialled. Whoever is about to send plain text sets DialOptions::require_confidential, so that it can't leave the
// machine in the clear.
#pragma once
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/task.h"
#include "net/stream.h"
#include "net/tcp.h"

namespace redoubt::egress {

// Which of the catalogue's paths a connection is (docs/paths.md).
enum class PathId { ApiserverKubelet, ApiserverNode, ApiserverPod, ApiserverService, ApiserverWebhook, ApiserverStore };
inline constexpr size_t kPathCount = 6;
// "apiserver-kubelet", as code, logs and metrics name it.
std::string_view path_name(PathId path);

// What kind of network a target is in: the names of an EgressSelectorConfiguration ("cluster", "controlplane", "etcd"),
// and "node", which goes as "cluster" does where it isn't configured.
enum class Network { Node, Cluster, ControlPlane, Etcd };
std::string_view network_name(Network network);

struct Target {
  std::string node;  // the node that this is, or that it runs on; empty where it belongs to none
  net::Address address;
  // Where it differs from the path's own: a webhook that is named by URL is in the control plane's network.
  std::optional<Network> network = {};
};
// The target's, else the path's own: kubelets and nodes are Node, pods, Services and webhooks Cluster, the store Etcd.
Network network_of(PathId path, const Target& target);

struct DialOptions {
  // What will be sent is not encrypted by the sender: refuse (Forbidden, naming path, node and remedy) unless every
  // byte is encrypted on its way to the target's own machine, or never leaves this one.
  bool require_confidential = false;
  std::chrono::milliseconds timeout{10'000};
};

// How a dial would go, asked before it is made. A tunnel may come or go in between: DialOptions is what binds.
struct Way {
  std::string_view kind;  // "direct", "reverse", "konnectivity", "httpconnect", "ssh"
  bool available = true;
  bool confidential = false;  // as require_confidential means it
  std::string why_not;        // where one of the two is false: what is missing, and the remedy
};

class Dialer {
 public:
  virtual ~Dialer() = default;
  // Errors read as users know them: "dial tcp 10.0.0.7:10250: connect: connection refused".
  virtual Task<Result<net::StreamPtr>> dial(PathId path, Target target, DialOptions options) = 0;
  Task<Result<net::StreamPtr>> dial(PathId path, Target target) { return dial(path, std::move(target), DialOptions{}); }
  // Any thread; never waits.
  virtual Way way(PathId path, const Target& target) const = 0;
};

// The refusal of a dial that must be confidential and can't be.
Error not_confidential(PathId path, const Target& target, const Way& way);

// Straight over the network. Confidential only where nothing leaves the machine (local_route.h). Pods, Services and
// nodes' ports are dialled at no loopback, link-local or unspecified address, whatever an object says of itself: those
// are the server's own (CVE-2020-8562, CVE-2022-3294).
std::unique_ptr<Dialer> make_direct_dialer();

}  // namespace redoubt::egress
