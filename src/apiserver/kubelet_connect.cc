#include "apiserver/kubelet_connect.h"

#include "apiserver/encode.h"
#include "apiserver/proxy/pod_connect.h"

namespace redoubt::apiserver {

namespace {

class KubeletConnect : public ConnectHandler {
 public:
  explicit KubeletConnect(KubeletConnectOptions o)
      : store_(o.store),
        kubelets_(KubeletAccess::Options{.dialer = o.dialer,
                                         .ca_pem = std::move(o.kubelet_ca_pem),
                                         .certificate_pem = std::move(o.certificate_pem),
                                         .private_key_pem = std::move(o.private_key_pem)}),
        pods_(
            PodConnect::Options{.kubelets = kubelets_,
                                .pod =
                                    [this](std::string_view ns, std::string_view name) {
                                      return find("pods", "pods", fmt::format("/registry/pods/{}/{}", ns, name), name);
                                    },
                                .node =
                                    [this](std::string_view name) {
                                      return find("minions", "nodes", fmt::format("/registry/minions/{}", name), name);
                                    }}) {}

  Task<void> connect(Context& c, const schema::Value&) override {
    Result<void> outcome;
    if (c.info.resource == "pods" && PodConnect::serves(c.info.subresource)) {
      outcome = co_await pods_.pod(c.request, c.responder, c.info.subresource, c.info.namespace_, c.info.name, c.query);
    } else if (c.info.resource == "nodes" && c.info.subresource == "proxy") {
      std::string path;
      for (const std::string& segment : c.info.rest) path += "/" + net::percent_encode(segment);
      outcome = co_await pods_.node_proxy(c.request, c.responder, c.info.name, path.empty() ? "/" : path);
    } else {
      outcome = service_unavailable("the proxy to pods and services is not built yet");
    }
    if (!outcome && !c.responder.started()) co_await send_status(c, outcome.error());
  }

  void replace_kubelet_credentials(std::string ca_pem, std::string certificate_pem,
                                   std::string private_key_pem) override {
    kubelets_.replace_credentials(std::move(ca_pem), std::move(certificate_pem), std::move(private_key_pem));
  }

 private:
  Result<Bytes> find(std::string_view storage, std::string_view resource, const std::string& key,
                     std::string_view name) const {
    auto object = store_.snapshot(storage)->find(key);
    if (!object) return not_found({"", std::string(resource)}, name);
    return object->json;
  }
  const store::Store& store_;
  KubeletAccess kubelets_;
  PodConnect pods_;
};

}  // namespace

std::unique_ptr<ConnectHandler> make_kubelet_connect(KubeletConnectOptions options) {
  return std::make_unique<KubeletConnect>(std::move(options));
}

}  // namespace redoubt::apiserver
