#include "apiserver/apiserver.h"

#include "apiserver/auth/bootstrap_policy.h"
#include "apiserver/conversion.h"
#include "apiserver/discovery/discovery.h"
#include "apiserver/reviews.h"
#include "apiserver/subresources.h"
#include "base/log.h"
#include "base/metrics.h"
#include "schema/openapi.h"

namespace redoubt::apiserver {

struct ApiServer::State {
  explicit State(ApiServerOptions o)
      : options(std::move(o)),
        authenticator(options.authentication),
        authorizer(*options.store),
        admission(*options.store, authorizer) {}
  ApiServerOptions options;
  Authenticator authenticator;
  Authorizer authorizer;
  Admission admission;
  std::unique_ptr<ServiceIps> service_ips;
  std::unique_ptr<Rest> rest;
  std::unique_ptr<Reviews> reviews;
  std::unique_ptr<Subresources> subresources;
  std::atomic<bool> bootstrapped{false};
  std::atomic<size_t> reading{0}, writing{0};
  std::mutex documents_mutex;
  std::map<std::string, std::string> documents;  // OpenAPI, made when first asked for

  // ---- the pipeline's steps, in their order (serve() is the table) ----
  Result<void> impersonate(Context& c);
  Result<void> authorize(Context& c);
  Task<void> serve(net::Request request, net::Responder& responder);
  Task<void> serve_path(Context& c);
  Task<void> serve_resource(Context& c);
  Task<void> health(Context& c);
  std::string openapi(const std::string& path);
};

namespace {

BytesList one(std::string text) {
  BytesList out;
  out.push_back(Bytes::take(std::move(text)));
  return out;
}

// A place among the requests under way; gives itself back.
class InFlight {
 public:
  InFlight(std::atomic<size_t>& count, size_t limit) : count_(count), taken_(count.fetch_add(1) < limit) {}
  ~InFlight() { count_.fetch_sub(1); }
  bool taken() const { return taken_; }

 private:
  std::atomic<size_t>& count_;
  bool taken_;
};

bool is_long_running(const RequestInfo& info) {
  return info.verb == "watch" || info.subresource == "log" || info.subresource == "exec" ||
         info.subresource == "attach" || info.subresource == "portforward" || info.subresource == "proxy";
}

void count_request(const Context& c, std::chrono::steady_clock::time_point began) {
  // One series a verb and resource; what is no resource counts together.
  static std::mutex mutex;
  static std::map<std::pair<std::string, std::string>, std::pair<Counter*, Histogram*>> known;
  std::pair<std::string, std::string> key{c.info.verb,
                                          c.resource != nullptr ? std::string(c.resource->name) : std::string()};
  std::pair<Counter*, Histogram*> metrics;
  {
    std::lock_guard lock(mutex);
    auto [it, added] = known.try_emplace(key);
    if (added) {
      MetricLabels labels{{"verb", key.first}, {"resource", key.second}};
      it->second = {
          &counter("apiserver_request_total", "Requests answered, by verb and resource.", labels),
          &histogram("apiserver_request_duration_seconds", "How long requests took, watches and connections left out.",
                     {0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 30}, labels)};
    }
    metrics = it->second;
  }
  metrics.first->add();
  if (!is_long_running(c.info))
    metrics.second->observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
}

}  // namespace

// Impersonate-User and its companions: allowed by the verb "impersonate" on users, groups, uids and extras.
Result<void> ApiServer::State::impersonate(Context& c) {
  auto wanted = c.request.headers.get("impersonate-user");
  if (!wanted) {
    if (c.request.headers.has("impersonate-group") || c.request.headers.has("impersonate-uid")) {
      return bad_request("requested impersonation without impersonating a user");
    }
    return {};
  }
  UserInfo as;
  auto allowed = [&](std::string_view group, std::string_view resource, std::string_view subresource,
                     std::string_view ns, std::string_view name) -> Result<void> {
    Attributes a;
    a.verb = "impersonate";
    a.api_group = group;
    a.api_version = "v1";
    a.resource = resource;
    a.subresource = subresource;
    a.namespace_ = ns;
    a.name = name;
    if (authorizer.authorize(c.user, a).allowed) return {};
    return forbidden({std::string(group), std::string(resource)}, name, denial(c.user, a));
  };
  constexpr std::string_view kAccount = "system:serviceaccount:";
  as.name = *wanted;
  if (wanted->starts_with(kAccount)) {
    std::string_view rest = wanted->substr(kAccount.size());
    size_t colon = rest.find(':');
    if (colon == std::string_view::npos) return bad_request("malformed service account name to impersonate");
    RD_TRYV(allowed("", "serviceaccounts", "", rest.substr(0, colon), rest.substr(colon + 1)));
    as.groups = {"system:serviceaccounts", "system:serviceaccounts:" + std::string(rest.substr(0, colon))};
  } else {
    RD_TRYV(allowed("", "users", "", "", *wanted));
  }
  for (std::string_view group : c.request.headers.get_all("impersonate-group")) {
    RD_TRYV(allowed("", "groups", "", "", group));
    as.groups.emplace_back(group);
  }
  if (auto uid = c.request.headers.get("impersonate-uid")) {
    RD_TRYV(allowed("authentication.k8s.io", "uids", "", "", *uid));
    as.uid = *uid;
  }
  constexpr std::string_view kExtra = "impersonate-extra-";
  for (const auto& [name, value] : c.request.headers) {
    if (!name.starts_with(kExtra)) continue;
    std::string key = net::percent_decode(std::string_view(name).substr(kExtra.size())).value_or("");
    RD_TRYV(allowed("authentication.k8s.io", "userextras", key, "", value));
    as.extra[key].push_back(value);
  }
  if (as.name == "system:anonymous") {
    if (as.groups.empty()) as.groups.emplace_back("system:unauthenticated");
  } else if (!as.in_group("system:unauthenticated") && !as.in_group("system:authenticated")) {
    as.groups.emplace_back("system:authenticated");
  }
  log_info("impersonation", {{"user", c.user.name}, {"as", as.name}});
  c.user = std::move(as);
  return {};
}

Result<void> ApiServer::State::authorize(Context& c) {
  Attributes a = attributes_of(c.info, c.request);
  if (authorizer.authorize(c.user, a).allowed) return {};
  GroupResource resource;
  if (a.resource_request) resource = {a.api_group, a.resource};
  return forbidden(resource, a.name, denial(c.user, a));
}

Task<void> ApiServer::State::serve(net::Request request, net::Responder& responder) {
  auto began = std::chrono::steady_clock::now();
  Context c{request, responder};
  if (auto query = net::parse_query(request.query)) {
    c.query = std::move(*query);
  } else {
    co_return co_await send_status(c, bad_request("the query holds a malformed percent escape").error());
  }
  auto info = parse_request_info(request, c.query);
  if (!info) co_return co_await send_status(c, info.error());
  c.info = std::move(*info);
  if (auto ok = negotiate(c); !ok && c.info.resource_request) co_return co_await send_status(c, ok.error());
  auto user = authenticator.authenticate(request);
  if (!user) {
    log_debug("authentication failed", {{"from", request.connection ? request.connection->remote_address : ""},
                                        {"error", user.error().message()}});
    co_return co_await send_status(c, unauthorized().error());
  }
  c.user = std::move(*user);
  if (auto ok = impersonate(c); !ok) co_return co_await send_status(c, ok.error());
  bool writes = c.info.verb != "get" && c.info.verb != "list" && c.info.verb != "watch";
  bool exempt = is_long_running(c.info) || c.user.in_group("system:masters");
  InFlight place(writes ? writing : reading,
                 writes ? options.max_mutating_requests_inflight : options.max_requests_inflight);
  if (!place.taken() && !exempt)
    co_return co_await send_status(c, too_many_requests("too many requests, please try again later.", 1).error());
  if (auto ok = authorize(c); !ok) co_return co_await send_status(c, ok.error());
  if (c.info.resource_request) {
    co_await serve_resource(c);
  } else {
    co_await serve_path(c);
  }
  count_request(c, began);
}

Task<void> ApiServer::State::serve_resource(Context& c) {
  c.resource = schema::find_resource(c.info.group, c.info.version, c.info.resource);
  if (c.resource == nullptr) co_return co_await send_status(c, page_not_found().error());
  const schema::Resource& r = *c.resource;
  if (r.namespaced
          ? c.info.namespace_.empty() && !(c.info.name.empty() && (c.info.verb == "list" || c.info.verb == "watch")) &&
                !r.storage_prefix.empty() && c.info.verb != "deletecollection" && c.param("fieldSelector").empty()
          : !c.info.namespace_.empty() && r.name != "namespaces") {
    co_return co_await send_status(c, page_not_found().error());
  }
  uint32_t verb = 0;
  static const std::map<std::string_view, uint32_t> kVerbs = {
      {"get", schema::kVerbGet},       {"list", schema::kVerbList},
      {"watch", schema::kVerbWatch},   {"create", schema::kVerbCreate},
      {"update", schema::kVerbUpdate}, {"patch", schema::kVerbPatch},
      {"delete", schema::kVerbDelete}, {"deletecollection", schema::kVerbDeleteCollection}};
  if (auto it = kVerbs.find(c.info.verb); it != kVerbs.end()) verb = it->second;
  if (!c.info.subresource.empty()) {
    for (const auto& sub : r.subresources) {
      if (sub.name == c.info.subresource) c.subresource = &sub;
    }
    if (c.subresource == nullptr) co_return co_await send_status(c, page_not_found().error());
    if ((c.subresource->verbs & verb) == 0)
      co_return co_await send_status(c, method_not_allowed(c.group_resource(), c.request.method).error());
    if (c.subresource->name == "token") co_return co_await reviews->token(c);
    co_return co_await subresources->serve(c);
  }
  if ((r.verbs & verb) == 0 || verb == 0)
    co_return co_await send_status(c, method_not_allowed(c.group_resource(), c.request.method).error());
  if (r.storage_prefix.empty()) {
    if (r.name == "bindings") {
      Context& binding = c;
      co_return co_await subresources->serve((binding.info.subresource = "binding", binding));
    }
    if (r.name == "componentstatuses") {
      if (c.info.verb == "get") co_return co_await send_status(c, not_found(c.group_resource(), c.info.name).error());
      auto encoded = encode_list(c, {}, {});
      if (encoded) co_return co_await send_encoded(c, 200, std::move(*encoded));
      co_return co_await send_status(c, encoded.error());
    }
    co_return co_await reviews->create(c);
  }
  switch (verb) {
    case schema::kVerbGet:
      co_return co_await rest->get(c);
    case schema::kVerbList:
      co_return co_await rest->list(c);
    case schema::kVerbWatch:
      co_return co_await rest->watch(c);
    case schema::kVerbCreate:
      co_return co_await rest->create(c);
    case schema::kVerbUpdate:
      co_return co_await rest->update(c);
    case schema::kVerbPatch:
      co_return co_await rest->patch(c);
    case schema::kVerbDelete:
      co_return co_await rest->remove(c);
    default:
      co_return co_await rest->remove_collection(c);
  }
}

Task<void> ApiServer::State::health(Context& c) {
  struct Check {
    const char* name;
    Result<void> outcome;
  };
  bool ready = c.request.path.starts_with("/readyz");
  std::vector<Check> checks;
  checks.push_back({"ping", {}});
  checks.push_back({"store", options.store->healthy()});
  if (ready)
    checks.push_back(
        {"poststarthook/bootstrap", bootstrapped ? Result<void>{} : Result<void>(service_unavailable("not finished"))});
  std::string path = c.request.path;
  size_t slash = path.find('/', 1);
  std::string only = slash == std::string::npos ? "" : path.substr(slash + 1);
  std::string text;
  bool ok = true, found = only.empty();
  for (const Check& check : checks) {
    if (!only.empty() && only != check.name) continue;
    found = true;
    bool excluded = false;
    for (const auto& [key, value] : c.query) excluded = excluded || (key == "exclude" && value == check.name);
    bool good = check.outcome.has_value() || excluded;
    ok = ok && good;
    text += fmt::format("[{}]{} {}\n", good ? "+" : "-", check.name,
                        excluded ? "excluded: ok"
                        : good   ? "ok"
                                 : "failed: reason withheld");
  }
  if (!found) co_return co_await send_status(c, page_not_found().error());
  std::string name = path.substr(1, slash == std::string::npos ? slash : slash - 1);
  bool verbose = c.query.size() > 0 && !c.param("verbose").empty();
  for (const auto& [key, value] : c.query) verbose = verbose || key == "verbose";
  std::string body = ok ? (verbose ? text + name + " check passed\n" : "ok") : text + name + " check failed\n";
  co_await c.responder.send(ok ? 200 : 500,
                            {{"content-type", "text/plain; charset=utf-8"}, {"x-content-type-options", "nosniff"}},
                            one(std::move(body)));
}

std::string ApiServer::State::openapi(const std::string& path) {
  std::lock_guard lock(documents_mutex);
  auto it = documents.find(path);
  if (it != documents.end()) return it->second;
  std::vector<const schema::Resource*> all;
  for (const schema::Resource& r : schema::builtin_resources()) all.push_back(&r);
  std::string out;
  if (path == "/openapi/v2") {
    out = schema::openapi_v2(all);
  } else {
    std::set<std::pair<std::string, std::string>> versions;
    for (const schema::Resource* r : all) versions.emplace(r->group, r->version);
    for (const auto& [group, version] : versions) {
      std::string below = group.empty() ? "api/" + version : "apis/" + group + "/" + version;
      if (path != "/openapi/v3/" + below) continue;
      std::vector<const schema::Resource*> mine;
      for (const schema::Resource* r : all) {
        if (r->group == group && r->version == version) mine.push_back(r);
      }
      out = schema::openapi_v3(group, version, mine);
    }
    if (path == "/openapi/v3") {
      out = "{\"paths\":{";
      for (const auto& [group, version] : versions) {
        std::string below = group.empty() ? "api/" + version : "apis/" + group + "/" + version;
        out += fmt::format(R"({}"{}":{{"serverRelativeURL":"/openapi/v3/{}?hash=REDOUBT1354"}})",
                           out.back() == '{' ? "" : ",", below, below);
      }
      out += "}}";
    }
  }
  if (!out.empty()) documents[path] = out;
  return out;
}

Task<void> ApiServer::State::serve_path(Context& c) {
  std::string path = c.request.path;
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  auto send = [&](std::string type, std::string body) {
    return c.responder.send(200, {{"content-type", std::move(type)}}, one(std::move(body)));
  };
  if (c.request.method != "GET" && c.request.method != "HEAD")
    co_return co_await send_status(c, method_not_allowed({}, c.request.method).error());
  for (const char* name : {"/livez", "/readyz", "/healthz"}) {
    if (path == name || path.starts_with(std::string(name) + "/")) co_return co_await health(c);
  }
  if (path == "/version") {
    co_await send("application/json", version_json());
  } else if (path == "/metrics") {
    co_await send("text/plain; version=0.0.4; charset=utf-8", render_metrics());
  } else if (path == "/.well-known/openid-configuration") {
    const std::string& issuer = options.authentication.service_account_issuer;
    co_await send(
        "application/json",
        fmt::format(
            R"({{"issuer":"{}","jwks_uri":"https://{}:{}/openid/v1/jwks","response_types_supported":["id_token"],)"
            R"("subject_types_supported":["public"],"id_token_signing_alg_values_supported":["ES256","RS256"]}})",
            issuer, options.advertise_address, options.advertise_port));
  } else if (path == "/openid/v1/jwks") {
    co_await send("application/jwk-set+json", options.authentication.service_account_keys->jwks());
  } else if (path == "/openapi/v2" || path == "/openapi/v3" || path.starts_with("/openapi/v3/")) {
    std::string document = openapi(path);
    if (document.empty()) co_return co_await send_status(c, page_not_found().error());
    co_await send("application/json", std::move(document));
  } else if (auto document = discovery(path, c.request.headers.get("accept").value_or(""))) {
    if (c.request.headers.get("if-none-match") == document->etag) {
      co_await c.responder.send(304, {{"etag", document->etag}}, {});
    } else {
      co_await c.responder.send(
          200, {{"content-type", document->content_type}, {"etag", document->etag}, {"vary", "Accept"}},
          one(std::move(document->body)));
    }
  } else if (path == "/") {
    co_await send(
        "application/json",
        R"({"paths":["/api","/apis","/healthz","/livez","/metrics","/openapi/v2","/openapi/v3","/openid/v1/jwks","/readyz","/version"]})");
  } else {
    co_await send_status(c, page_not_found().error());
  }
}

ApiServer::ApiServer(ApiServerOptions options) : state_(std::make_unique<State>(std::move(options))) {}
ApiServer::~ApiServer() = default;

Result<std::unique_ptr<ApiServer>> ApiServer::make(ApiServerOptions options) {
  std::unique_ptr<ApiServer> out(new ApiServer(std::move(options)));
  State& s = *out->state_;
  RD_TRY(s.service_ips, ServiceIps::make(*s.options.store, s.options.service_cluster_ip_range));
  s.rest = std::make_unique<Rest>(*s.options.store, s.authorizer, s.admission, *s.service_ips);
  s.reviews = std::make_unique<Reviews>(*s.rest, s.authenticator, s.authorizer);
  s.subresources = std::make_unique<Subresources>(*s.rest, s.options.connect);
  return out;
}

net::Handler ApiServer::handler() {
  return [state = state_.get()](net::Request request, net::Responder& responder) {
    return state->serve(std::move(request), responder);
  };
}

std::string ApiServer::service_ip() const {
  return state_->service_ips->first();
}
const Authenticator& ApiServer::authenticator() const {
  return state_->authenticator;
}

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
};

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
        for (const char* part : {"subsets", "endpoints", "ports", "addressType"}) {
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
  State& s = *state_;
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
  // The namespaces first; then everything at once, so that one durable transaction carries many.
  for (size_t i = 0; i < 4; ++i) RD_CO_TRYV(co_await ensure(*s.rest, all[i]));
  Scope scope(co_await boost::asio::this_coro::executor, "bootstrap");
  auto failure = std::make_shared<std::optional<Status>>();
  for (size_t i = 4; i < all.size(); ++i) {
    scope.spawn([](Rest& rest, Wanted wanted, std::shared_ptr<std::optional<Status>> out) -> Task<void> {
      auto done = co_await ensure(rest, std::move(wanted));
      if (!done) *out = done.error();
    }(*s.rest, all[i], failure));
  }
  co_await scope.wait_idle();
  if (*failure) co_return Error(**failure);
  s.bootstrapped = true;
  co_return Result<void>{};
}

}  // namespace redoubt::apiserver
