#include "apiserver/apiserver_state.h"
#include "apiserver/auth/bootstrap_policy.h"
#include "apiserver/default_service_cidr.h"
#include "apiserver/kubernetes_service.h"
#include "base/json_text.h"
#include "base/log.h"

namespace redoubt::apiserver {

namespace {

// What extension API servers read to know their callers: whose client certificates count, and which front proxy (this
// server) tells them who the user is.
std::string extension_authentication(const ApiServerOptions& options) {
  std::string out = R"({"metadata":{"name":"extension-apiserver-authentication","namespace":"kube-system"},"data":{)";
  auto add = [&](std::string_view key, std::string_view value) {
    if (out.back() != '{') out += ',';
    append_json_string(out, key);
    out += ':';
    append_json_string(out, value);
  };
  auto list = [](const std::vector<std::string>& items) {
    std::string text = "[";
    for (const std::string& item : items) {
      if (text.size() > 1) text += ',';
      append_json_string(text, item);
    }
    return text + "]";
  };
  add("client-ca-file", options.accepted_client_ca_pem);
  if (!options.requestheader_client_ca_pem.empty()) {
    const FrontProxyOptions& proxy = options.authentication.front_proxy;
    add("requestheader-client-ca-file", options.requestheader_client_ca_pem);
    add("requestheader-allowed-names", list(proxy.allowed_names));
    add("requestheader-username-headers", list(proxy.username_headers));
    add("requestheader-uid-headers", list(proxy.uid_headers));
    add("requestheader-group-headers", list(proxy.group_headers));
    add("requestheader-extra-headers-prefix", list(proxy.extra_headers_prefixes));
  }
  return out + "}}";
}

}  // namespace

Task<Result<void>> ApiServer::bootstrap() {
  pipeline::Services& s = *state_;
  std::vector<OwnObject> all;
  for (const char* ns : {"default", "kube-system", "kube-public", "kube-node-lease"}) {
    all.push_back({"", "namespaces", "", ns, fmt::format(R"({{"metadata":{{"name":"{}"}}}})", ns)});
  }
  for (PolicyObject& object : bootstrap_policy()) {
    all.push_back(
        {"rbac.authorization.k8s.io", object.resource, object.namespace_, object.name, std::move(object.json), true});
  }
  all.push_back(
      {"scheduling.k8s.io", "priorityclasses", "", "system-node-critical",
       R"({"metadata":{"name":"system-node-critical"},"value":2000001000,"description":"Used for system critical pods that must not be moved from their current node."})"});
  all.push_back(
      {"scheduling.k8s.io", "priorityclasses", "", "system-cluster-critical",
       R"({"metadata":{"name":"system-cluster-critical"},"value":2000000000,"description":"Used for system critical pods that must run in the cluster, but can be moved to another node if necessary."})"});
  // Without a selector: the nodes' agents answer under its address, unless somebody gives it endpoints (CoreDNS does).
  all.push_back(
      {"", "services", "kube-system", "kube-dns",
       fmt::format(
           R"({{"metadata":{{"name":"kube-dns","labels":{{"k8s-app":"kube-dns","kubernetes.io/cluster-service":"true","kubernetes.io/name":"CoreDNS"}}}},)"
           R"("spec":{{"clusterIP":"{}","type":"ClusterIP","ports":[{{"name":"dns","port":53,"protocol":"UDP","targetPort":53}},)"
           R"({{"name":"dns-tcp","port":53,"protocol":"TCP","targetPort":53}}]}}}})",
           s.service_ips->dns()),
       false, true});
  all.push_back({"", "configmaps", "kube-system", "extension-apiserver-authentication",
                 extension_authentication(s.options), true});
  // The namespaces first; then everything at once, so that one durable transaction carries many.
  for (size_t i = 0; i < 4; ++i) RD_CO_TRYV(co_await ensure_object(*s.rest, all[i]));
  RD_CO_TRYV(co_await sync_default_service_cidr(*s.rest, s.service_ips->cidrs(), true));
  for (OwnObject& object :
       kubernetes_service(s.service_ips->first(), s.options.advertise_address, s.options.advertise_port))
    all.push_back(std::move(object));
  RD_CO_TRYV(co_await fit_address_type(*s.rest, s.options.advertise_address));
  Scope scope(co_await boost::asio::this_coro::executor, "bootstrap");
  auto failure = std::make_shared<std::optional<Status>>();
  for (size_t i = 4; i < all.size(); ++i) {
    scope.spawn([](Rest& rest, OwnObject wanted, std::shared_ptr<std::optional<Status>> out) -> Task<void> {
      bool optional = wanted.optional;
      auto done = co_await ensure_object(rest, std::move(wanted));
      if (done) co_return;
      if (optional) {
        log_warning("a default object could not be made", {{"error", done.error().message()}});
      } else {
        *out = done.error();
      }
    }(*s.rest, all[i], failure));
  }
  co_await scope.wait_idle();
  if (*failure) co_return Error(**failure);
  s.bootstrapped = true;
  co_return Result<void>{};
}

}  // namespace redoubt::apiserver
