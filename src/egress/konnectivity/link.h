// One tunnel between a proxy server and an agent: the packets of many connections over one gRPC stream.
//
// Upstream's protocol knows no window: whoever reads a tunnel must take what comes, or hold up every connection in it.
// Between two ends that both know it, our window extension (header.h) gives each connection a window, so that a Link
// never stops reading, and lets one direction of a connection end alone. With upstream's at the other end, each
// connection has a bound on what its reader may leave unread; over it the tunnel waits for that reader for a moment
// only (limits.h), and if it is not fast enough that connection is closed, with an error that says why.
//
// Sending is fair: connections take turns, a packet each; packets about connections go first.
//
// All of it belongs to one loop. A Connection may outlive its Link and then meets errors only.
#pragma once
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <unordered_map>

#include "base/event.h"
#include "egress/konnectivity/limits.h"
#include "egress/konnectivity/packet.h"
#include "net/grpc.h"
#include "net/stream.h"

namespace redoubt::konnectivity {

class Link;
struct Flow;

// One connection through a tunnel. Dropping it closes it.
class Connection : public net::Stream {
 public:
  explicit Connection(std::shared_ptr<Flow> flow) : flow_(std::move(flow)) {}
  ~Connection() override { abort(); }

  // What came next, without a copy; empty at the end. The end is the peer's close, or (with the extension) of its
  // direction only: closed() tells which.
  Task<Result<Bytes>> read_piece();
  Task<Result<size_t>> read_some(std::span<char> into) override;
  Task<Result<void>> write(BytesList pieces) override;
  // Without the extension: an agent closes the connection; a proxy server waits for the other end to do so, at most
  // kHalfCloseLinger after it last sent something.
  Task<Result<void>> shutdown_write() override;
  void abort() noexcept override { close({}); }
  // What was written goes out first. `error` reaches the peer where the protocol has a place for it.
  void close(std::string error);
  // The peer closed it, or the tunnel is gone: writing is of no use.
  bool closed() const;
  int64_t id() const;

 private:
  std::shared_ptr<Flow> flow_;
  Bytes left_;
};

class Link : public std::enable_shared_from_this<Link> {
 public:
  enum class Side { Server, Agent };
  struct Options {
    Side side = Side::Server;
    // Bytes the peer lets us send on a connection before it gives more; 0: it does not know the extension.
    uint64_t peer_window = 0;
    size_t receive_budget = kReceiveBudgetBytes;  // without the extension
    // DIAL_REQ, DIAL_RSP, DIAL_CLS and DRAIN; must not wait.
    std::function<void(Packet)> on_packet;
    // Each packet, by direction, and each connection that ended with how long it lived: for metrics.
    std::function<void(PacketType, bool sent)> count;
    std::function<void(std::chrono::steady_clock::duration)> on_close;
  };
  Link(Options options, Executor executor);
  ~Link();

  // Carries packets over `stream`, which must outlive the call, until either end ends it. Then all connections fail.
  Task<Result<void>> run(net::GrpcStream& stream);
  // A packet about connections. Order among these is kept.
  void send(Packet packet);
  // Takes up the connection that a dial was answered with. Null when there are too many, or `connect_id` is in use.
  std::unique_ptr<Connection> add(int64_t connect_id);
  // Ends run().
  void abort(std::string why);

  bool ended() const { return ended_; }
  bool extended() const { return options_.peer_window > 0; }
  size_t connections() const { return flows_.size(); }
  // The same, and what was carried since the start. Any thread.
  size_t open_connections() const { return open_; }
  uint64_t bytes_sent() const { return bytes_sent_; }
  uint64_t bytes_received() const { return bytes_received_; }
  // Waits until no connection is left.
  Task<void> wait_empty();

 private:
  friend class Connection;
  Task<void> read_loop(net::GrpcStream& stream);
  Task<void> write_loop(net::GrpcStream& stream);
  // Without the extension: waits a moment for a reader that is behind.
  Task<void> hold_for(int64_t connect_id, size_t bytes);
  void receive(Packet packet);
  void receive_data(Packet packet);
  void schedule(const std::shared_ptr<Flow>& flow);
  // The next packet to send; false when there is none.
  bool next_packet(Packet& out);
  bool next_of(const std::shared_ptr<Flow>& flow, Packet& out);
  void drop(Flow& flow);
  void bury(int64_t id);
  void end_all();

  Options options_;
  Executor executor_;
  std::unordered_map<int64_t, std::shared_ptr<Flow>> flows_;
  std::deque<std::shared_ptr<Flow>> ready_;  // with something to send, in turn
  std::deque<Packet> control_;
  std::unordered_map<int64_t, std::list<int64_t>::iterator> tombstones_;
  std::list<int64_t> tombstone_order_;
  size_t unread_ = 0;  // over all connections
  bool ended_ = false;
  std::string why_;
  std::atomic<size_t> open_{0};  // flows_'s size
  std::atomic<uint64_t> bytes_sent_{0};
  std::atomic<uint64_t> bytes_received_{0};
  Event writable_;
  Event changed_;
};

}  // namespace redoubt::konnectivity
