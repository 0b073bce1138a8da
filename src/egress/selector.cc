#include "egress/selector.h"

#include "egress/counted.h"
#include "egress/http_connect.h"
#include "pki/certificate.h"

namespace redoubt::egress {

namespace {

Result<std::unique_ptr<Dialer>> http_connect_dialer(const Connection& c) {
  HttpConnectOptions options;
  options.unix_path = c.uds_name;
  if (options.unix_path.empty()) {
    bool https = c.tcp_url.starts_with("https://");
    std::string rest = c.tcp_url.substr(https ? 8 : 7);
    rest = rest.substr(0, rest.find('/'));
    if (rest.rfind(':') == std::string::npos || rest.ends_with(']')) rest += https ? ":443" : ":80";
    RD_TRY(options.address, net::parse_address(rest));
    if (https) {
      net::TlsClientContext::Options tls;
      if (!c.ca_bundle_file.empty()) {
        RD_TRY(tls.ca_pem, pki::read_file(c.ca_bundle_file));
      }
      RD_TRY(tls.certificate_pem, pki::read_file(c.client_cert_file));
      RD_TRY(tls.private_key_pem, pki::read_file(c.client_key_file));
      RD_TRY(options.tls, net::TlsClientContext::make(std::move(tls)));
    }
  }
  return make_http_connect_dialer(std::move(options));
}

class Selector : public Dialer {
 public:
  explicit Selector(SelectorOptions options) : options_(std::move(options)), direct_(make_direct_dialer()) {}

  Result<void> prepare() {
    for (Network network : {Network::Node, Network::Cluster, Network::ControlPlane, Network::Etcd}) {
      const Connection& c = options_.configuration.of(network);
      RD_TRY(ways_[static_cast<size_t>(network)], dialer_of(c));
    }
    return {};
  }

  Task<Result<net::StreamPtr>> dial(PathId path, Target target, DialOptions options) override {
    auto began = std::chrono::steady_clock::now();
    auto [dialer, way] = choose(path, target, options.require_confidential);
    DialMetrics& metrics = dial_metrics(path, way.kind);
    if (!way.available || (options.require_confidential && !way.confidential)) {
      Error refused = !way.available ? service_unavailable(fmt::format("{}: {}", path_name(path), way.why_not))
                                     : not_confidential(path, target, way);
      co_return counted(Result<net::StreamPtr>(std::move(refused)), metrics, {});
    }
    bool instead = dialer == direct_.get() && chosen(path, target).tunnel;
    std::string node = target.node;
    auto stream = co_await dialer->dial(path, std::move(target), options);
    if (!stream && instead)
      stream = Error(Status(
          stream.error().code(), stream.error().reason(),
          fmt::format("{} (node \"{}\" has no tunnel, so it was dialled directly)", stream.error().message(), node)));
    co_return counted(std::move(stream), metrics, std::chrono::steady_clock::now() - began);
  }

  Way way(PathId path, const Target& target) const override { return choose(path, target, false).second; }

 private:
  struct Chosen {
    Dialer* dialer = nullptr;
    bool tunnel = false;  // one that a node may lack
  };

  const Chosen& chosen(PathId path, const Target& target) const {
    return ways_[static_cast<size_t>(network_of(path, target))];
  }

  std::pair<Dialer*, Way> choose(PathId path, const Target& target, bool plain) const {
    const Chosen& c = chosen(path, target);
    // What runs on no node (a webhook named by URL) has no tunnel to go by.
    if (c.tunnel && target.node.empty()) return {direct_.get(), direct_->way(path, target)};
    Way way = c.dialer->way(path, target);
    if (way.available || !c.tunnel || options_.without_tunnel == WithoutTunnel::Refuse) return {c.dialer, way};
    Way direct = direct_->way(path, target);
    if (plain && !direct.confidential) return {c.dialer, way};
    return {direct_.get(), direct};
  }

  Result<Chosen> dialer_of(const Connection& c) {
    switch (c.protocol) {
      case Protocol::Direct:
        return Chosen{direct_.get(), false};
      case Protocol::Reverse:
        if (options_.reverse == nullptr) return bad_request("egress: no reverse tunnels are served by this program");
        return Chosen{options_.reverse, true};
      case Protocol::Ssh:
        if (options_.ssh == nullptr)
          return bad_request("egress: SSH is configured, but no --ssh-keyfile says with which key");
        return Chosen{options_.ssh, true};
      case Protocol::Konnectivity:
        if (options_.konnectivity == nullptr)
          return bad_request("egress: Konnectivity is configured, but no --konnectivity-agent-port serves its agents");
        return Chosen{options_.konnectivity, true};
      case Protocol::HttpConnect: {
        RD_TRY(auto made, http_connect_dialer(c));
        owned_.push_back(std::move(made));
        return Chosen{owned_.back().get(), false};
      }
      case Protocol::Grpc: {
        if (!options_.make_grpc) return bad_request("egress: GRPC is not served by this program");
        RD_TRY(auto made, options_.make_grpc(c.uds_name));
        owned_.push_back(std::move(made));
        return Chosen{owned_.back().get(), false};
      }
    }
    return internal_error("egress: unknown protocol");
  }

  SelectorOptions options_;
  std::unique_ptr<Dialer> direct_;
  std::vector<std::unique_ptr<Dialer>> owned_;
  Chosen ways_[4];
};

}  // namespace

Result<std::unique_ptr<Dialer>> make_selector(SelectorOptions options) {
  auto out = std::make_unique<Selector>(std::move(options));
  RD_TRYV(out->prepare());
  return out;
}

}  // namespace redoubt::egress
