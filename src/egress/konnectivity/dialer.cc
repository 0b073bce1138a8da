#include "egress/konnectivity/dialer.h"

#include "base/deadline.h"
#include "egress/konnectivity/in_process.h"

namespace redoubt::konnectivity {

namespace {

using egress::DialOptions;
using egress::PathId;
using egress::Target;
using egress::Way;

class RemoteDialer : public egress::Dialer {
 public:
  explicit RemoteDialer(ProxyClient::Options options)
      : private_(options.tls != nullptr || !options.uds_name.empty()), client_(std::move(options)) {}

  Task<Result<net::StreamPtr>> dial(PathId path, Target target, DialOptions options) override {
    if (options.require_confidential && !private_) co_return not_confidential(path, target, way(path, target));
    co_return co_await client_.dial(target.address.to_string(), options.timeout);
  }

  Way way(PathId, const Target&) const override {
    Way out;
    out.kind = "konnectivity";
    out.confidential = private_;
    if (!private_) out.why_not = "the way to the proxy server is plain; use a unix socket or TLS";
    return out;
  }

 private:
  bool private_;
  ProxyClient client_;
};

Task<void> dial_into(std::shared_ptr<Server> server, Target target, bool only_there, Result<net::StreamPtr>& outcome) {
  outcome = co_await dial_in_process(server, target.address.to_string(), target.node, only_there);
}

class InProcessDialer : public egress::Dialer {
 public:
  explicit InProcessDialer(std::shared_ptr<Server> server) : server_(std::move(server)) {}

  Task<Result<net::StreamPtr>> dial(PathId path, Target target, DialOptions options) override {
    if (options.require_confidential && !server_->has_agent_on(target.node))
      co_return not_confidential(path, target, way(path, target));
    Result<net::StreamPtr> outcome = timeout(fmt::format("dial tcp {}: no agent connected within {} ms",
                                                         target.address.to_string(), options.timeout.count()));
    co_await finish_within(options.timeout, dial_into(server_, target, options.require_confidential, outcome));
    co_return outcome;
  }

  Way way(PathId, const Target& target) const override {
    Way out;
    out.kind = "konnectivity";
    out.available = server_->has_agent();
    out.confidential = out.available && !target.node.empty() && server_->has_agent_on(target.node);
    if (!out.available) {
      out.why_not = "no konnectivity-agent is connected";
    } else if (!out.confidential) {
      out.why_not = fmt::format(
          "node \"{}\" has no konnectivity-agent of its own (--agent-id or --agent-identifiers=host={}), and from "
          "another "
          "node's the way is plain",
          target.node, target.node);
    }
    return out;
  }

 private:
  std::shared_ptr<Server> server_;
};

}  // namespace

std::unique_ptr<egress::Dialer> make_konnectivity_dialer(ProxyClient::Options options) {
  return std::make_unique<RemoteDialer>(std::move(options));
}

std::unique_ptr<egress::Dialer> make_konnectivity_dialer(std::shared_ptr<Server> server) {
  return std::make_unique<InProcessDialer>(std::move(server));
}

}  // namespace redoubt::konnectivity
