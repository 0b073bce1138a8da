#include "apiserver/aggregation/aggregator.h"
#include "apiserver/apiserver_state.h"
#include "apiserver/auth/bootstrap_policy.h"
#include "apiserver/default_service_cidr.h"
#include "apiserver/kubernetes_service.h"
#include "base/json_text.h"
#include "base/log.h"

namespace redoubt::apiserver {

namespace {

// What extension API servers read to know their callers: whose client certificates count, and which front proxies (this
// server, and those that flags name) tell them who the user is.
OwnObject extension_authentication(const FrontProxyOptions& proxy, const PublishedAuthorities& authorities) {
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
  add("client-ca-file", authorities.clients);
  if (!authorities.front_proxies.empty() || !authorities.own_front_proxy.empty()) {
    std::vector<std::string> names = proxy.allowed_names;
    // Where flags name an authority but no names, any certificate of it counts already.
    bool any = !authorities.front_proxies.empty() && names.empty();
    if (!any && !authorities.own_front_proxy.empty()) names.emplace_back(kFrontProxyName);
    add("requestheader-client-ca-file", authorities.front_proxies + authorities.own_front_proxy);
    add("requestheader-allowed-names", list(names));
    add("requestheader-username-headers", list(proxy.username_headers));
    add("requestheader-uid-headers", list(proxy.uid_headers));
    add("requestheader-group-headers", list(proxy.group_headers));
    add("requestheader-extra-headers-prefix", list(proxy.extra_headers_prefixes));
  }
  return {"", "configmaps", "kube-system", "extension-apiserver-authentication", out + "}}", true};
}

}  // namespace

Task<Result<void>> ApiServer::publish(PublishedAuthorities authorities) {
  return ensure_object(*state_->rest,
                       extension_authentication(state_->options.authentication.front_proxy, authorities));
}

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
  all.push_back(extension_authentication(s.options.authentication.front_proxy, s.options.authorities));
  // This server's own group versions, as `kubectl get apiservices` shows them.
  if (s.aggregator) {
    std::vector<std::string> known;
    for (const schema::Resource& r : schema::builtin_resources()) {
      std::string name = fmt::format("{}.{}", r.version, r.group);
      if (std::ranges::find(known, name) != known.end()) continue;
      known.push_back(name);
      all.push_back(
          {"apiregistration.k8s.io", "apiservices", "", name,
           fmt::format(
               R"({{"metadata":{{"name":"{}","labels":{{"kube-aggregator.kubernetes.io/automanaged":"onstart"}}}},)"
               R"("spec":{{"group":"{}","version":"{}","groupPriorityMinimum":{},"versionPriority":1}}}})",
               name, r.group, r.version, r.group.empty() ? 18000 : 17000)});
    }
  }
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
  if (s.aggregator) s.aggregator->start(scope.executor());
  s.bootstrapped = true;
  co_return Result<void>{};
}

}  // namespace redoubt::apiserver
