#include "apiserver/kubelet_connect.h"

#include "apiserver/encode.h"
#include "apiserver/proxy/api_proxy.h"
#include "apiserver/proxy/pod_connect.h"

namespace redoubt::apiserver {

namespace {

KubeletAccess::Options access_options(KubeletConnectOptions& o) {
  KubeletAccess::Options out{.dialer = o.dialer,
                             .ca_pem = std::move(o.kubelet_ca_pem),
                             .certificate_pem = std::move(o.certificate_pem),
                             .private_key_pem = std::move(o.private_key_pem)};
  if (o.check_address) out.name_check = KubeletAccess::NameCheck::Address;
  if (!o.preferred_address_types.empty()) out.preferred_address_types = std::move(o.preferred_address_types);
  out.timeout = o.timeout;
  out.guard = AddressGuard(o.apiserver);
  return out;
}

class KubeletConnect : public ClusterConnect {
 public:
  explicit KubeletConnect(KubeletConnectOptions o)
      : store_(o.store),
        kubelets_(access_options(o)),
        pods_(PodConnect::Options{
            .kubelets = kubelets_,
            .pod = [this](std::string_view ns, std::string_view name) { return find("pods", ns, name); },
            .node = [this](std::string_view name) { return find("minions", "", name); }}),
        proxy_(ApiProxy::Options{.dialer = o.dialer,
                                 .kubelets = kubelets_,
                                 .objects = {.find = finder(),
                                             .endpoint_slices =
                                                 [this](std::string_view ns, std::string_view service,
                                                        const std::function<void(const Bytes&)>& visit) {
                                                   endpoint_slices(ns, service, visit);
                                                 }},
                                 .trust = {.find = finder(), .cluster_ca_pem = std::move(o.cluster_ca_pem)},
                                 .guard = AddressGuard(std::move(o.apiserver)),
                                 .policy = o.policy}) {}

  Task<void> connect(Context& c, const schema::Value&) override {
    Result<void> outcome;
    if (c.info.subresource == "proxy") {
      outcome = co_await proxy_.serve(c.request, c.responder,
                                      {c.info.resource, c.info.namespace_, c.info.name,
                                       [&c](std::string_view key, std::string_view value) { c.annotate(key, value); }});
    } else {
      c.annotate("redoubt.io/path", egress::path_name(egress::PathId::ApiserverKubelet));
      outcome = co_await pods_.pod(c.request, c.responder, c.info.subresource, c.info.namespace_, c.info.name, c.query);
    }
    if (!outcome && !c.responder.started()) co_await send_status(c, outcome.error());
  }

  void replace_kubelet_credentials(std::string ca_pem, std::string certificate_pem,
                                   std::string private_key_pem) override {
    kubelets_.replace_credentials(std::move(ca_pem), std::move(certificate_pem), std::move(private_key_pem));
  }

  void clear() override {
    kubelets_.clear();
    proxy_.clear();
  }

 private:
  std::function<Result<Bytes>(std::string_view, std::string_view, std::string_view)> finder() {
    return [this](std::string_view resource, std::string_view ns, std::string_view name) {
      return find(resource, ns, name);
    };
  }
  Result<Bytes> find(std::string_view storage, std::string_view ns, std::string_view name) const {
    std::string key = ns.empty() ? fmt::format("/registry/{}/{}", storage, name)
                                 : fmt::format("/registry/{}/{}/{}", storage, ns, name);
    auto object = store_.snapshot(storage)->find(key);
    if (object) return object->json;
    std::string_view resource = storage == "minions" ? "nodes" : storage == "services/specs" ? "services" : storage;
    return not_found({"", std::string(resource)}, name);
  }
  void endpoint_slices(std::string_view ns, std::string_view service,
                       const std::function<void(const Bytes&)>& visit) const {
    store_.snapshot("endpointslices")
        ->visit(fmt::format("/registry/endpointslices/{}/", ns), {}, [&](const store::ObjectPtr& slice) {
          for (const auto& [key, value] : slice->labels) {
            if (key == "kubernetes.io/service-name" && value == service) visit(slice->json);
          }
          return true;
        });
  }

  const store::Store& store_;
  KubeletAccess kubelets_;
  PodConnect pods_;
  ApiProxy proxy_;
};

}  // namespace

std::unique_ptr<ClusterConnect> make_kubelet_connect(KubeletConnectOptions options) {
  return std::make_unique<KubeletConnect>(std::move(options));
}

}  // namespace redoubt::apiserver
