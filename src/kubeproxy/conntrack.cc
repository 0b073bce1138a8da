#include "kubeproxy/conntrack.h"

#include <arpa/inet.h>
#include <libnetfilter_conntrack/libnetfilter_conntrack.h>

#include <cerrno>
#include <fstream>
#include <memory>
#include <vector>

namespace redoubt::kubeproxy {

namespace {

struct HandleDeleter {
  void operator()(nfct_handle* handle) const { nfct_close(handle); }
};
using Handle = std::unique_ptr<nfct_handle, HandleDeleter>;
struct FlowDeleter {
  void operator()(nf_conntrack* flow) const { nfct_destroy(flow); }
};
using Flow = std::unique_ptr<nf_conntrack, FlowDeleter>;

struct Search {
  const std::function<bool(const UdpFlow&)>& stale;
  std::vector<Flow> found;
};

std::string address(const nf_conntrack* flow, nf_conntrack_attr v4, nf_conntrack_attr v6) {
  char text[INET6_ADDRSTRLEN] = "";
  bool six = nfct_get_attr_u8(flow, ATTR_L3PROTO) == AF_INET6;
  if (const void* raw = nfct_get_attr(flow, six ? v6 : v4)) inet_ntop(six ? AF_INET6 : AF_INET, raw, text, sizeof text);
  return text;
}

int visit(nf_conntrack_msg_type, nf_conntrack* flow, void* data) {
  auto& search = *static_cast<Search*>(data);
  if (nfct_get_attr_u8(flow, ATTR_L4PROTO) != IPPROTO_UDP) return NFCT_CB_CONTINUE;
  UdpFlow seen;
  seen.destination = address(flow, ATTR_ORIG_IPV4_DST, ATTR_ORIG_IPV6_DST);
  seen.port = ntohs(nfct_get_attr_u16(flow, ATTR_ORIG_PORT_DST));
  seen.reply_source = address(flow, ATTR_REPL_IPV4_SRC, ATTR_REPL_IPV6_SRC);
  seen.reply_port = ntohs(nfct_get_attr_u16(flow, ATTR_REPL_PORT_SRC));
  if (search.stale(seen)) search.found.emplace_back(nfct_clone(flow));
  return NFCT_CB_CONTINUE;
}

}  // namespace

Result<size_t> forget_udp_flows(const std::function<bool(const UdpFlow&)>& stale) {
  Handle handle(nfct_open(CONNTRACK, 0));
  if (!handle) return internal_error(fmt::format("conntrack: {}", std::strerror(errno)));
  Search search{stale, {}};
  nfct_callback_register(handle.get(), NFCT_T_ALL, visit, &search);
  for (uint32_t family : {static_cast<uint32_t>(AF_INET), static_cast<uint32_t>(AF_INET6)}) {
    if (nfct_query(handle.get(), NFCT_Q_DUMP, &family) < 0)
      return internal_error(fmt::format("conntrack: listing flows: {}", std::strerror(errno)));
  }
  size_t removed = 0;
  for (const Flow& flow : search.found) {
    // One that has ended meanwhile is as good as removed.
    if (nfct_query(handle.get(), NFCT_Q_DESTROY, flow.get()) == 0 || errno == ENOENT) ++removed;
  }
  return removed;
}

std::optional<TrackedFlows> tracked_flows() {
  TrackedFlows out;
  std::ifstream count("/proc/sys/net/netfilter/nf_conntrack_count"), most("/proc/sys/net/netfilter/nf_conntrack_max");
  if (!(count >> out.count) || !(most >> out.most)) return std::nullopt;
  return out;
}

}  // namespace redoubt::kubeproxy
