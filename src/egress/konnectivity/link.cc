#include "egress/konnectivity/link.h"

#include "base/log.h"

namespace redoubt::konnectivity {

namespace asio = boost::asio;

// A connection's state, shared by its Link and its Connection.
struct Flow {
  Flow(Executor executor, int64_t i, Link* l)
      : id(i), link(l), readable(executor), writable(executor), drained(executor) {}
  int64_t id;
  Link* link;  // null once the link has no more to do with it

  std::deque<Bytes> in;
  size_t in_cost = 0;        // bytes and overhead of what is unread
  size_t uncredited = 0;     // read, and not yet told the peer
  bool in_ended = false;     // the peer ended its direction
  bool peer_closed = false;  // the peer closed the connection, or the link is gone
  std::string error;

  std::deque<Bytes> out;
  size_t out_bytes = 0;
  uint64_t credit = 0;  // what may be sent, with the extension
  bool out_ended = false;
  bool end_sent = false;
  bool closing = false;  // a close goes out after what is queued
  std::string close_error;
  bool scheduled = false;
  bool too_slow = false;  // did not take enough while the tunnel waited for it
  std::chrono::steady_clock::time_point since = std::chrono::steady_clock::now();

  Event readable, writable, drained;
};

Link::Link(Options options, Executor executor)
    : options_(std::move(options)), executor_(executor), writable_(executor), changed_(executor) {}

Link::~Link() {
  end_all();
}

std::unique_ptr<Connection> Link::add(int64_t connect_id) {
  if (ended_ || connect_id == 0 || flows_.size() >= kMaxConnections || flows_.contains(connect_id)) return nullptr;
  auto flow = std::make_shared<Flow>(executor_, connect_id, this);
  flow->credit = options_.peer_window;
  flows_[connect_id] = flow;
  open_ = flows_.size();
  return std::make_unique<Connection>(std::move(flow));
}

void Link::send(Packet packet) {
  if (ended_) return;
  if (control_.size() >= kMaxControlPackets) {
    abort("the peer does not read its tunnel");
    return;
  }
  control_.push_back(std::move(packet));
  writable_.notify();
}

void Link::abort(std::string why) {
  if (ended_) return;
  ended_ = true;
  why_ = std::move(why);
  changed_.notify();
}

Task<Result<void>> Link::run(net::GrpcStream& stream) {
  auto self = shared_from_this();
  std::exception_ptr cancelled;
  {
    Scope scope(executor_, "konnectivity link");
    scope.spawn(read_loop(stream));
    scope.spawn(write_loop(stream));
    try {
      while (!ended_) co_await changed_.wait();
      end_all();
      co_await scope.join();
    } catch (...) {
      cancelled = std::current_exception();
    }
    if (cancelled) {
      ended_ = true;
      end_all();
      co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
      co_await scope.join();
      std::rethrow_exception(cancelled);
    }
  }
  if (!why_.empty()) co_return service_unavailable(why_);
  co_return Result<void>{};
}

Task<void> Link::wait_empty() {
  auto self = shared_from_this();
  while (!flows_.empty()) co_await changed_.wait();
}

void Link::end_all() {
  ended_ = true;
  auto flows = std::exchange(flows_, {});
  open_ = 0;
  ready_.clear();
  control_.clear();
  for (auto& [id, flow] : flows) {
    flow->link = nullptr;
    if (options_.on_close) options_.on_close(std::chrono::steady_clock::now() - flow->since);
    flow->peer_closed = flow->in_ended = true;
    if (flow->error.empty() && !flow->closing) flow->error = "the tunnel to the agent was lost";
    flow->readable.notify();
    flow->writable.notify();
  }
  changed_.notify();
}

// ---- receiving ----

Task<void> Link::read_loop(net::GrpcStream& stream) {
  while (!ended_) {
    auto message = co_await stream.next();
    if (!message) {
      abort(message.error().message());
      co_return;
    }
    if (!*message) {
      abort("");
      co_return;
    }
    auto packet = decode_packet(**message);
    if (!packet) {
      abort(packet.error().message());
      co_return;
    }
    if (options_.count) options_.count(packet->type, false);
    if (packet->type == PacketType::Data && !extended()) co_await hold_for(packet->connect_id, packet->data.size());
    receive(std::move(*packet));
  }
}

Task<void> Link::hold_for(int64_t connect_id, size_t bytes) {
  auto found = flows_.find(connect_id);
  if (found == flows_.end()) co_return;
  std::shared_ptr<Flow> flow = found->second;
  size_t budget = options_.receive_budget;
  if (flow->in_cost + bytes + kPieceOverheadBytes <= budget) co_return;
  size_t enough = budget - std::min(budget / 2, kHoldBytes + bytes);
  auto end = std::chrono::steady_clock::now() + kHoldTime;
  while (flow->link != nullptr && !flow->closing && flow->in_cost > enough) {
    auto left = end - std::chrono::steady_clock::now();
    if (left.count() <= 0) {
      flow->too_slow = true;
      co_return;
    }
    co_await flow->drained.wait_for(left);
  }
}

void Link::receive(Packet packet) {
  switch (packet.type) {
    case PacketType::DialReq:
    case PacketType::DialRsp:
    case PacketType::DialCls:
    case PacketType::Drain:
      if (options_.on_packet) options_.on_packet(std::move(packet));
      return;
    case PacketType::Data:
      receive_data(std::move(packet));
      return;
    case PacketType::CloseReq:
    case PacketType::CloseRsp: {
      if (auto buried = tombstones_.find(packet.connect_id); buried != tombstones_.end()) {
        tombstone_order_.erase(buried->second);
        tombstones_.erase(buried);
        return;
      }
      auto found = flows_.find(packet.connect_id);
      bool asked = packet.type == PacketType::CloseReq;
      if (asked && options_.side == Side::Agent) {
        Packet answer{.type = PacketType::CloseRsp, .connect_id = packet.connect_id};
        if (found == flows_.end()) answer.error = "Unknown connectID";
        send(std::move(answer));
      }
      if (found == flows_.end()) return;
      std::shared_ptr<Flow> flow = found->second;
      flow->in_ended = flow->peer_closed = true;
      flow->error = std::move(packet.error);
      drop(*flow);
      return;
    }
    case PacketType::End:
      if (auto found = flows_.find(packet.connect_id); extended() && found != flows_.end()) {
        found->second->in_ended = true;
        found->second->readable.notify();
      }
      return;
    case PacketType::Window:
      if (auto found = flows_.find(packet.connect_id); extended() && found != flows_.end()) {
        found->second->credit += std::min<uint64_t>(packet.window, UINT32_MAX);
        schedule(found->second);
      }
      return;
  }
}

void Link::receive_data(Packet packet) {
  if (packet.connect_id == 0) return;
  auto found = flows_.find(packet.connect_id);
  if (found == flows_.end()) {
    if (tombstones_.contains(packet.connect_id)) return;
    if (options_.side == Side::Agent) {
      send({.type = PacketType::CloseRsp, .connect_id = packet.connect_id, .error = "unrecognized connectID"});
    } else {
      send({.type = PacketType::CloseReq, .connect_id = packet.connect_id});
      bury(packet.connect_id);
    }
    return;
  }
  std::shared_ptr<Flow> flow = found->second;
  bytes_received_ += packet.data.size();
  if (packet.data.empty() || flow->closing || flow->in_ended) return;
  size_t cost = packet.data.size() + kPieceOverheadBytes;
  // With the extension the sender counts bytes alone; the overhead of its pieces comes on top.
  size_t limit = extended() ? 2 * kReceiveWindowBytes : options_.receive_budget;
  if (flow->too_slow || flow->in_cost + cost > limit || unread_ + cost > kTunnelBudgetBytes) {
    std::string why = fmt::format(
        "konnectivity: the reader is too slow: {} bytes wait for it, and the protocol has no window to stop the sender",
        flow->in_cost);
    log_warning("konnectivity connection closed", {{"connectionID", flow->id}, {"error", why}});
    flow->error = why;
    flow->in_ended = flow->peer_closed = true;
    unread_ -= flow->in_cost;
    flow->in_cost = 0;
    flow->in.clear();
    send({.type = options_.side == Side::Agent ? PacketType::CloseRsp : PacketType::CloseReq,
          .connect_id = flow->id,
          .error = options_.side == Side::Agent ? why : std::string()});
    bury(flow->id);
    drop(*flow);
    return;
  }
  flow->in_cost += cost;
  unread_ += cost;
  flow->in.push_back(std::move(packet.data));
  flow->readable.notify();
}

// The link has no more to do with it; what came stays readable.
void Link::drop(Flow& dropped) {
  auto found = flows_.find(dropped.id);
  if (found == flows_.end()) return;
  std::shared_ptr<Flow> flow = std::move(found->second);
  flows_.erase(found);
  open_ = flows_.size();
  unread_ -= flow->in_cost;
  flow->link = nullptr;
  flow->out.clear();
  flow->out_bytes = 0;
  if (options_.on_close) options_.on_close(std::chrono::steady_clock::now() - flow->since);
  flow->readable.notify();
  flow->writable.notify();
  if (flows_.empty()) changed_.notify();
}

void Link::bury(int64_t id) {
  if (tombstones_.contains(id)) return;
  if (tombstones_.size() >= kMaxTombstones) {
    tombstones_.erase(tombstone_order_.front());
    tombstone_order_.pop_front();
  }
  tombstones_[id] = tombstone_order_.insert(tombstone_order_.end(), id);
}

// ---- sending ----

void Link::schedule(const std::shared_ptr<Flow>& flow) {
  if (ended_ || flow->scheduled) return;
  flow->scheduled = true;
  ready_.push_back(flow);
  writable_.notify();
}

bool Link::next_of(const std::shared_ptr<Flow>& flow, Packet& out) {
  if (!flow->out.empty()) {
    size_t limit = kPacketDataBytes;
    if (extended()) limit = std::min<uint64_t>(limit, flow->credit);
    if (limit == 0 && flow->closing) {
      // Nobody reads what is left.
      flow->out.clear();
      flow->out_bytes = 0;
    } else if (limit == 0) {
      return false;
    } else {
      Bytes& front = flow->out.front();
      size_t n = std::min(front.size(), limit);
      out = {.type = PacketType::Data, .connect_id = flow->id, .data = front.slice(0, n)};
      if (n == front.size()) {
        flow->out.pop_front();
      } else {
        front = front.slice(n);
      }
      flow->out_bytes -= n;
      if (extended()) flow->credit -= n;
      bytes_sent_ += n;
      if (flow->out_bytes < kSendQueueBytes) flow->writable.notify();
      return true;
    }
  }
  if (flow->closing) {
    bool server = options_.side == Side::Server;
    out = {.type = server ? PacketType::CloseReq : PacketType::CloseRsp,
           .connect_id = flow->id,
           .error = server ? std::string() : flow->close_error};
    bury(flow->id);
    drop(*flow);
    return true;
  }
  if (flow->out_ended && !flow->end_sent && extended()) {
    flow->end_sent = true;
    out = {.type = PacketType::End, .connect_id = flow->id};
    return true;
  }
  return false;
}

bool Link::next_packet(Packet& out) {
  if (!control_.empty()) {
    out = std::move(control_.front());
    control_.pop_front();
    return true;
  }
  while (!ready_.empty()) {
    std::shared_ptr<Flow> flow = std::move(ready_.front());
    ready_.pop_front();
    flow->scheduled = false;
    if (flow->link == nullptr || !next_of(flow, out)) continue;
    // Behind all others again; one with nothing left to send is found out then.
    if (flow->link != nullptr) {
      flow->scheduled = true;
      ready_.push_back(std::move(flow));
    }
    return true;
  }
  return false;
}

Task<void> Link::write_loop(net::GrpcStream& stream) {
  while (!ended_) {
    Packet packet;
    if (!next_packet(packet)) {
      co_await writable_.wait();
      continue;
    }
    if (options_.count) options_.count(packet.type, true);
    auto sent = co_await stream.write(encode_packet(packet));
    if (!sent) {
      abort(sent.error().message());
      co_return;
    }
  }
}

// ---- the connection ----

Task<Result<Bytes>> Connection::read_piece() {
  auto flow = flow_;
  while (true) {
    if (!flow->in.empty()) {
      Bytes piece = std::move(flow->in.front());
      flow->in.pop_front();
      size_t cost = piece.size() + kPieceOverheadBytes;
      flow->in_cost -= cost;
      flow->drained.notify();
      if (flow->link != nullptr) {
        flow->link->unread_ -= cost;
        flow->uncredited += piece.size();
        if (flow->link->extended() && flow->uncredited >= kReceiveWindowBytes / 4) {
          flow->link->send(
              {.type = PacketType::Window, .connect_id = flow->id, .window = std::exchange(flow->uncredited, 0)});
        }
      }
      co_return piece;
    }
    if (flow->in_ended) {
      if (!flow->error.empty()) co_return service_unavailable(flow->error);
      co_return Bytes();
    }
    if (flow->closing || flow->link == nullptr) co_return service_unavailable("the connection was closed on this side");
    if (flow->out_ended && !flow->link->extended()) {
      if (!co_await flow->readable.wait_for(kHalfCloseLinger) && flow->in.empty() && !flow->in_ended) {
        flow->in_ended = true;
        close({});
      }
    } else {
      co_await flow->readable.wait();
    }
  }
}

Task<Result<size_t>> Connection::read_some(std::span<char> into) {
  if (left_.empty()) {
    RD_CO_TRY(left_, co_await read_piece());
    if (left_.empty()) co_return size_t{0};
  }
  size_t n = std::min(into.size(), left_.size());
  std::memcpy(into.data(), left_.data(), n);
  left_ = left_.slice(n);
  co_return n;
}

Task<Result<void>> Connection::write(BytesList pieces) {
  auto flow = flow_;
  for (Bytes& piece : pieces) {
    if (piece.empty()) continue;
    piece = piece.kept();
    while (flow->link != nullptr && !flow->closing && flow->out_bytes >= kSendQueueBytes)
      co_await flow->writable.wait();
    if (flow->link == nullptr || flow->closing || flow->out_ended) {
      co_return service_unavailable(flow->error.empty() ? "the connection was closed" : flow->error);
    }
    flow->out_bytes += piece.size();
    flow->out.push_back(std::move(piece));
    flow->link->schedule(flow);
  }
  // Done when the tunnel has taken all but the bound, so that a writer goes at the tunnel's pace.
  co_return Result<void>{};
}

Task<Result<void>> Connection::shutdown_write() {
  auto flow = flow_;
  if (flow->link == nullptr || flow->closing) co_return Result<void>{};
  if (!flow->link->extended() && flow->link->options_.side == Link::Side::Agent) {
    close({});
    co_return Result<void>{};
  }
  flow->out_ended = true;
  flow->readable.notify();  // a reader now waits with a limit
  flow->link->schedule(flow);
  co_return Result<void>{};
}

void Connection::close(std::string error) {
  auto flow = flow_;
  if (flow->closing) return;
  flow->closing = true;
  flow->close_error = std::move(error);
  if (flow->link == nullptr) return;
  flow->link->unread_ -= flow->in_cost;
  flow->in_cost = 0;
  flow->in.clear();
  flow->readable.notify();
  flow->writable.notify();
  flow->drained.notify();
  flow->link->schedule(flow);
}

bool Connection::closed() const {
  return flow_->peer_closed || flow_->closing;
}
int64_t Connection::id() const {
  return flow_->id;
}

}  // namespace redoubt::konnectivity
