#include "apiserver/apiserver_state.h"
#include "apiserver/auth/bootstrap_policy.h"
#include "base/json_text.h"
#include "base/log.h"

namespace redoubt::apiserver {

namespace {

// Answers nobody: start-up works through the same handlers as requests do.
class NoResponder : public net::Responder {
 public:
  Task<Result<void>> send(int, net::Headers, BytesList) override { co_return Result<void>{}; }
  Task<Result<std::unique_ptr<net::BodyWriter>>> start(int, net::Headers) override {
    co_return internal_error("no client");
  }
  Task<Result<net::StreamPtr>> upgrade(net::Headers) override { co_return internal_error("no client"); }
  bool started() const override { return true; }
};

struct Wanted {
  std::string group, resource, ns, name, json;
  bool keep_current = false;  // brought up to date on every start
  bool optional = false;      // somebody else's choice may stand against it
};

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

Task<Result<void>> ensure(Rest& rest, Wanted wanted) {
  net::Request request;
  NoResponder nobody;
  Context c{request, nobody};
  c.resource = schema::find_resource(wanted.group, "v1", wanted.resource);
  c.info.group = wanted.group;
  c.info.version = "v1";
  c.info.resource = wanted.resource;
  c.info.namespace_ = wanted.ns;
  c.info.name = wanted.name;
  c.info.verb = "create";
  c.user.name = "system:apiserver";
  c.user.groups = {"system:masters"};
  RD_CO_TRY(Value object, rest.decode(c, wanted.json, *c.resource->type, c.resource->api_version(), c.resource->kind));
  auto made = co_await rest.create_object(c, object.clone(c.arena));
  if (made) co_return Result<void>{};
  if (!made.error().is("AlreadyExists"))
    co_return Error(made.error().with_context(wanted.resource + "/" + wanted.name));
  if (!wanted.keep_current) co_return Result<void>{};
  c.info.verb = "update";
  auto changed = co_await rest.modify(
      c,
      [&](Value& there, const Value&) -> Result<void> {
        if (there.get({"metadata", "annotations", "rbac.authorization.kubernetes.io/autoupdate"}).as_string() ==
            "false")
          return {};
        // Missing rules and subjects come back; what an administrator added stays.
        for (const char* list : {"rules", "subjects"}) {
          for (const Value& item : schema::items(object.get({list}))) {
            bool has = false;
            for (const Value& t : schema::items(there.get({list}))) has = has || t.equals(item);
            if (has) continue;
            if (!there.get({list}).is_array()) there.set(c.arena, list, Value::array(c.arena));
            there.find(list)->push_back(c.arena, item);
          }
        }
        for (const char* part : {"subsets", "endpoints", "ports", "addressType", "data"}) {
          if (Value* v = object.find(part)) there.set(c.arena, part, *v);
        }
        return {};
      },
      false);
  if (!changed) co_return Error(changed.error().with_context(wanted.resource + "/" + wanted.name));
  co_return Result<void>{};
}

}  // namespace

Task<Result<void>> ApiServer::bootstrap() {
  pipeline::Services& s = *state_;
  std::vector<Wanted> all;
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
  all.push_back(
      {"", "services", "default", "kubernetes",
       fmt::format(
           R"({{"metadata":{{"name":"kubernetes","labels":{{"component":"apiserver","provider":"kubernetes"}}}},"spec":{{"clusterIP":"{}","ports":[{{"name":"https","port":443,)"
           R"("protocol":"TCP","targetPort":{}}}],"sessionAffinity":"None","type":"ClusterIP"}}}})",
           s.service_ips->first(), s.options.advertise_port)});
  all.push_back(
      {"", "endpoints", "default", "kubernetes",
       fmt::format(
           R"({{"metadata":{{"name":"kubernetes","labels":{{"endpointslice.kubernetes.io/skip-mirror":"true"}}}},"subsets":[{{"addresses":[{{"ip":"{}"}}],)"
           R"("ports":[{{"name":"https","port":{},"protocol":"TCP"}}]}}]}})",
           s.options.advertise_address, s.options.advertise_port),
       true});
  all.push_back(
      {"discovery.k8s.io", "endpointslices", "default", "kubernetes",
       fmt::format(
           R"({{"metadata":{{"name":"kubernetes","labels":{{"kubernetes.io/service-name":"kubernetes"}}}},"addressType":"IPv4","endpoints":[{{"addresses":["{}"],)"
           R"("conditions":{{"ready":true}}}}],"ports":[{{"name":"https","port":{},"protocol":"TCP"}}]}})",
           s.options.advertise_address, s.options.advertise_port),
       true});
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
  for (size_t i = 0; i < 4; ++i) RD_CO_TRYV(co_await ensure(*s.rest, all[i]));
  Scope scope(co_await boost::asio::this_coro::executor, "bootstrap");
  auto failure = std::make_shared<std::optional<Status>>();
  for (size_t i = 4; i < all.size(); ++i) {
    scope.spawn([](Rest& rest, Wanted wanted, std::shared_ptr<std::optional<Status>> out) -> Task<void> {
      bool optional = wanted.optional;
      auto done = co_await ensure(rest, std::move(wanted));
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
