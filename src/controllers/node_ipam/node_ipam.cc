#include <arpa/inet.h>

#include <charconv>

#include "base/log.h"
#include "controllers/controllers.h"

namespace redoubt::controllers {

namespace {

constexpr int kNodeBits = 24;  // a /24 a node, upstream's default

class NodeIpamController : public Controller {
 public:
  NodeIpamController(client::Client& api, Informers& informers, std::string cidr)
      : api_(api),
        informers_(informers),
        queue_(api.executor(), "nodeipam", [this](std::string key) { return reconcile(std::move(key)); }, 1) {
    size_t slash = cidr.find('/');
    in_addr raw{};
    inet_pton(AF_INET, cidr.substr(0, slash).c_str(), &raw);
    network_ = ntohl(raw.s_addr);
    int bits = 16;
    if (slash != std::string::npos) std::from_chars(cidr.data() + slash + 1, cidr.data() + cidr.size(), bits);
    count_ = bits >= kNodeBits ? 1 : 1U << (kNodeBits - bits);
    informers.nodes.on_change([this](const auto&, const auto& after) {
      if (after && after->spec.podCIDR.empty()) queue_.add(after->metadata.name);
    });
  }
  Task<void> run() override { co_await queue_.run(); }

 private:
  Task<Result<client::WorkQueue::Outcome>> reconcile(std::string name) {
    co_await informers_.nodes.wait_synced();
    auto node = informers_.nodes.get("", name);
    if (!node || !node->spec.podCIDR.empty()) co_return client::WorkQueue::Outcome{};
    std::set<std::string> taken = given_;
    for (const auto& [key, other] : informers_.nodes.objects()) taken.insert(other->spec.podCIDR);
    for (uint32_t i = 0; i < count_; ++i) {
      uint32_t at = network_ + (i << (32 - kNodeBits));
      std::string cidr = fmt::format("{}.{}.{}.{}/{}", at >> 24, at >> 16 & 255, at >> 8 & 255, at & 255, kNodeBits);
      if (taken.contains(cidr)) continue;
      std::string patch = fmt::format(R"({{"spec":{{"podCIDR":"{}","podCIDRs":["{}"]}}}})", cidr, cidr);
      auto written = co_await api_.patch<core::Node>("", name, client::PatchType::Merge, patch);
      if (!written) co_return Error(written.error());
      given_.insert(cidr);
      co_return client::WorkQueue::Outcome{};
    }
    co_return service_unavailable("the cluster CIDR has no room for another node");
  }
  client::Client& api_;
  Informers& informers_;
  client::WorkQueue queue_;
  uint32_t network_ = 0;
  uint32_t count_ = 1;
  std::set<std::string> given_;  // by this process; the informer may not show them yet
};

}  // namespace

std::unique_ptr<Controller> make_node_ipam(client::Client& api, Informers& informers, std::string cluster_cidr) {
  return std::make_unique<NodeIpamController>(api, informers, std::move(cluster_cidr));
}

}  // namespace redoubt::controllers
