#include "dns/node_dns.h"

#include "base/blocking.h"
#include "base/log.h"
#include "dns/attachment.h"
#include "net/resolv_conf.h"

namespace redoubt::dns {

namespace {

constexpr std::chrono::seconds kCheckEvery{10};
constexpr std::chrono::milliseconds kGather{100};
constexpr std::string_view kNamespace = "kube-system", kName = "kube-dns";
constexpr uint16_t kDnsPort = 53;

std::string service_of(const k8s::discovery::v1::EndpointSlice& slice) {
  auto it = slice.metadata.labels.find("kubernetes.io/service-name");
  return it == slice.metadata.labels.end() ? "" : it->second;
}

}  // namespace

NodeDns::NodeDns(client::Client& api, client::ServiceWatch& watch, Options options)
    : api_(api),
      watch_(watch),
      options_(std::move(options)),
      records_(options_.domain, options_.pod_cidrs),
      changed_(api.executor()) {
  watch_.services.on_change([this](const auto& before, const auto& after) {
    const auto& metadata = (after ? after : before)->metadata;
    if (after) {
      records_.set_service(*after);
    } else {
      records_.remove_service(metadata.namespace_, metadata.name);
    }
    if (metadata.namespace_ == kNamespace && metadata.name == kName) changed_.notify();
  });
  watch_.slices.on_change([this](const auto& before, const auto& after) {
    if (before && (!after || service_of(*before) != service_of(*after))) records_.remove_slice(*before);
    if (after) records_.set_slice(*after);
    if ((after ? after : before)->metadata.namespace_ == kNamespace) changed_.notify();
  });
}

Task<void> NodeDns::run() {
  Scope scope(api_.executor(), "dns");
  std::exception_ptr stopped;
  try {
    scope.spawn([](NodeDns& self) -> Task<void> {
      co_await self.watch_.wait_synced();
      self.records_.set_ready();
      self.changed_.notify();
    }(*this));
    co_await keep();
  } catch (...) {
    stopped = std::current_exception();
  }
  co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
  co_await scope.join();
  if (server_) co_await server_->stop();
  if (!serving_.empty()) {
    auto gone = co_await run_blocking([addresses = serving_] { return detach(addresses); });
    if (!gone) log_warning("DNS: its address could not be given up", {{"error", gone.error().message()}});
  }
  if (stopped) std::rethrow_exception(stopped);
}

// Where this server should listen now; empty: nowhere.
std::vector<std::string> NodeDns::wanted() const {
  // Until the endpoints are known, an address that somebody else may serve is left alone.
  if (!watch_.slices.synced() || !watch_.services.synced()) return serving_;
  if (records_.has_ready_endpoint(std::string(kNamespace), std::string(kName))) return {};
  if (!options_.address.empty()) return {options_.address};
  auto service = watch_.services.get(kNamespace, kName);
  if (!service || service->spec.clusterIP.empty() || service->spec.clusterIP == "None") return {};
  return service->spec.clusterIPs.empty() ? std::vector<std::string>{service->spec.clusterIP}
                                          : service->spec.clusterIPs;
}

Task<void> NodeDns::read_upstreams() {
  auto conf = co_await run_blocking([path = options_.resolv_conf] { return net::read_resolv_conf(path); });
  // Never ourselves: questions would go round for ever.
  std::erase_if(conf.nameservers, [this](const std::string& a) { return std::ranges::count(serving_, a) > 0; });
  if (server_ && conf.nameservers != upstreams_) {
    upstreams_ = conf.nameservers;
    std::vector<net::Address> addresses;
    for (const std::string& a : upstreams_) addresses.push_back({a, kDnsPort});
    server_->forwarder().set_upstreams(std::move(addresses));
  }
}

Task<bool> NodeDns::change_to(std::vector<std::string> addresses) {
  if (server_) {
    auto gone = co_await run_blocking([old = serving_] { return detach(old); });
    if (!gone) log_warning("DNS: an address could not be given up", {{"error", gone.error().message()}});
    co_await server_->stop();
    server_.reset();
    serving_.clear();
    upstreams_.clear();
    if (addresses.empty()) log_info("DNS stands aside: kube-dns has endpoints of its own or is gone");
  }
  if (addresses.empty()) co_return true;
  auto server = std::make_unique<Server>(api_.executor(), records_);
  Result<void> done = server->listen(addresses, options_.port);
  if (done) {
    server_ = std::move(server);
    serving_ = addresses;
    co_await read_upstreams();
    done = co_await run_blocking([addresses, cidrs = options_.pod_cidrs] { return attach(addresses, cidrs); });
  } else {
    co_await server->stop();
  }
  if (!done) {
    log_error("DNS can't be served on this node", {{"error", done.error().message()}});
    co_return false;
  }
  log_info("DNS serves", {{"address", addresses.front()}, {"domain", records_.domain()}});
  co_return true;
}

Task<void> NodeDns::keep() {
  while (true) {
    std::vector<std::string> addresses = wanted();
    if (addresses != serving_) {
      co_await change_to(addresses);
    } else if (server_) {
      bool right = co_await run_blocking([addresses] { return attached(addresses); });
      if (!right && addresses == serving_) {
        log_warning("DNS: its address or nftables table was taken away: putting it back", {{"table", "redoubt-dns"}});
        auto done = co_await run_blocking([addresses, cidrs = options_.pod_cidrs] { return attach(addresses, cidrs); });
        if (!done) log_error("DNS: its address can't be put back", {{"error", done.error().message()}});
      }
      co_await read_upstreams();
    }
    if (wanted() == serving_ && co_await changed_.wait_for(kCheckEvery))
      co_await sleep_for(kGather);
    else if (wanted() != serving_)
      co_await sleep_for(std::chrono::seconds(1));
  }
}

}  // namespace redoubt::dns
