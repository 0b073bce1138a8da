#include <boost/asio/ip/address.hpp>

#include "egress/dialer.h"
#include "egress/local_route.h"
#include "net/tcp.h"

namespace redoubt::egress {

namespace {

struct Literal {
  bool of_this_machine = false;  // loopback, link-local, unspecified
};

Literal literal_of(const std::string& host) {
  boost::system::error_code error;
  auto address = boost::asio::ip::make_address(host, error);
  Literal out;
  if (error) return out;
  if (address.is_v6() && address.to_v6().is_v4_mapped())
    address = boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, address.to_v6());
  bool link_local = address.is_v6() ? address.to_v6().is_link_local()
                                    : (address.to_v4().to_uint() & 0xffff0000U) == 0xa9fe0000U;  // 169.254.0.0/16
  out.of_this_machine = address.is_loopback() || link_local || address.is_unspecified();
  return out;
}

class DirectDialer : public Dialer {
 public:
  Task<Result<net::StreamPtr>> dial(PathId path, Target target, DialOptions options) override {
    Network network = network_of(path, target);
    // The kubelet proves who it is by its certificate, wherever it is.
    if ((network == Network::Node || network == Network::Cluster) && path != PathId::ApiserverKubelet &&
        literal_of(target.address.host).of_this_machine)
      co_return Error(Status(403, "Forbidden",
                             fmt::format("{}: address {} is this server's own or link-local: not allowed",
                                         path_name(path), target.address.to_string())));
    if (options.require_confidential) {
      Way w = way(path, target);
      if (!w.confidential) co_return not_confidential(path, target, w);
    }
    co_return co_await net::tcp_connect(std::move(target.address), options.timeout);
  }

  Way way(PathId, const Target& target) const override {
    Way out;
    out.kind = "direct";
    out.confidential = stays_on_this_machine(target.address.host);
    if (!out.confidential)
      out.why_not = target.node.empty() ? "it would cross the network unencrypted; use https"
                                        : "it would cross the network unencrypted, since the node has no tunnel; run "
                                          "`redoubt agent` there with its tunnel on, or use https";
    return out;
  }
};

}  // namespace

std::unique_ptr<Dialer> make_direct_dialer() {
  return std::make_unique<DirectDialer>();
}

}  // namespace redoubt::egress
