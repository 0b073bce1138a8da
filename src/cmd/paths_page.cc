#include "cmd/paths_page.h"

#include <fmt/format.h>

#include <mutex>

#include "base/json_text.h"
#include "base/time.h"
#include "paths/collect.h"
#include "paths/judge.h"
#include "paths/page.h"
#include "paths/report.h"
#include "pki/certificate.h"
#include "schema/codec.h"

namespace redoubt::cmd {

namespace {

std::string quoted(std::string_view text) {
  std::string out;
  append_json_string(out, text);
  return out;
}

std::string policy_name(apiserver::PlaintextPolicy policy) {
  return policy == apiserver::PlaintextPolicy::Allow ? "allow" : "refuse";
}
std::string policy_name(apiserver::UnverifiedTlsPolicy policy) {
  return policy == apiserver::UnverifiedTlsPolicy::Refuse ? "refuse" : "report";
}

std::vector<std::string> authorization_modes(const ServerOptions& o) {
  if (!o.authorization.authorization_config.empty()) return {"AuthorizationConfiguration"};
  return o.authorization.modes.empty() ? std::vector<std::string>{"Node", "RBAC"} : o.authorization.modes;
}

std::string anonymous(const ServerOptions& o) {
  if (!o.authentication.authentication_config.empty()) return "configured";
  if (!o.authentication.anonymous_auth) return "health";
  return *o.authentication.anonymous_auth ? "all" : "none";
}

class PathsPageImpl : public PathsPage {
 public:
  PathsPageImpl(const Server& server, const Egress& egress, const store::Store& store)
      : server_(server), egress_(egress), store_(store) {}

  std::map<std::string, apiserver::DocumentSource, std::less<>> documents() override {
    std::map<std::string, apiserver::DocumentSource, std::less<>> out;
    out["/redoubt/paths"] = [this] { return page(); };
    out["/redoubt/paths/report.json"] = [this] { return report(); };
    out["/redoubt/paths/state"] = [this]() -> Task<Result<apiserver::Document>> {
      co_return apiserver::Document{"application/json", state(), {}};
    };
    return out;
  }

 private:
  // The last report, or a new one. Two at once are made where two ask at once: administrators are few.
  Task<Result<paths::Report>> newest() {
    {
      std::lock_guard lock(mutex_);
      if (last_ && now() - last_->at < paths::kReportLife) co_return *last_;
    }
    client::Config config = server_.client_config(server_.pki().clients.at("admin"), "redoubt/paths");
    client::Client api(co_await boost::asio::this_coro::executor, config);
    // It sees nodes as a client of its own API: what dials towards the cluster is egress and nothing else.
    RD_CO_TRY(paths::Facts facts,
              co_await paths::collect(api, config, {.node = "", .look_at_nodes = false, .read_processes = false}));
    paths::Report made = paths::judge(facts);
    std::lock_guard lock(mutex_);
    last_ = made;
    co_return made;
  }
  Task<Result<apiserver::Document>> page() {
    RD_CO_TRY(paths::Report report, co_await newest());
    net::Headers headers{{"content-security-policy", std::string(paths::kPageContentSecurityPolicy)},
                         {"x-content-type-options", "nosniff"},
                         {"referrer-policy", "no-referrer"}};
    // Relative, so that it works behind `kubectl proxy` and its like.
    co_return apiserver::Document{"text/html; charset=utf-8",
                                  paths::report_page(report, {.live_url = "paths/report.json"}), std::move(headers)};
  }
  Task<Result<apiserver::Document>> report() {
    RD_CO_TRY(paths::Report report, co_await newest());
    co_return apiserver::Document{"application/json", paths::report_json(report), {}};
  }

  std::string state() const {
    const ServerOptions& o = server_.options();
    std::string ca = server_.pki().kubelet_ca_bundle;
    if (!o.connect.kubelet_certificate_authority.empty()) ca.clear();  // its file's, which this need not read
    auto parsed = pki::parse_certificate(ca);
    std::string authority = parsed ? parsed->subject.common_name : o.connect.kubelet_certificate_authority;
    std::string modes;
    for (const std::string& mode : authorization_modes(o)) modes += (modes.empty() ? "" : ",") + quoted(mode);
    // How a pod would be reached if its node had what the configuration asks for.
    std::string way(egress_.dialer->way(egress::PathId::ApiserverPod, {"", {"192.0.2.1", 80}, {}}).kind);
    std::string out = fmt::format(
        R"({{"version":"v1","authorizationModes":[{}],"anonymous":{},"kubelets":{{"verified":true,"authority":{},"caBundle":{}}},)"
        R"("proxy":{{"plaintext":{},"unverifiedTLS":{}}},"nodesWithoutTunnel":{},"store":"embedded","secretsEncrypted":{},"egress":{},)"
        R"("nodeRestriction":true,"extendsTokens":{},"nodes":[)",
        modes, quoted(anonymous(o)), quoted(authority), quoted(ca), quoted(policy_name(o.connect.proxy.plaintext)),
        quoted(policy_name(o.connect.proxy.unverified_tls)), quoted(o.egress.without_tunnel),
        o.encryption_provider_config.empty() ? "true" : "false", quoted(way),
        o.authentication.service_account_extend_token_expiration ? "true" : "false");
    append_nodes(out);
    out += "],\"tunnels\":[";
    append_tunnels(out);
    return out + "]}";
  }

  void append_tunnels(std::string& out) const {
    bool first = true;
    for (const egress::TunnelInfo& t : egress_.list()) {
      out += fmt::format(
          R"({}{{"kind":{},"node":{},"peer":{},"identity":{},"up":{},"since":{},"streams":{},"bytesToNode":{},)"
          R"("bytesFromNode":{},"roundTripMicroseconds":{},"lastError":{}}})",
          first ? "" : ",", quoted(t.kind), quoted(t.node), quoted(t.peer), quoted(t.identity), t.up ? "true" : "false",
          quoted(t.since == Timestamp{} ? "" : format_rfc3339(t.since)), t.streams, t.bytes_to_node, t.bytes_from_node,
          t.round_trip.count(), quoted(t.last_error));
      first = false;
    }
  }

  void append_nodes(std::string& out) const {
    bool first = true;
    store_.snapshot("minions")->visit("", "", [&](const store::ObjectPtr& node) {
      schema::Arena arena;
      auto object = schema::parse_json(node->json.view(), arena);
      std::string address;
      if (object) {
        schema::Value addresses = object->get({"status", "addresses"});
        for (const schema::Value& a : schema::items(addresses)) {
          if (a.get({"type"}).as_string() == "InternalIP" && address.empty()) address = a.get({"address"}).as_string();
        }
      }
      auto way = egress_.dialer->way(egress::PathId::ApiserverNode, {node->name, {address, 10250}, {}});
      out +=
          fmt::format(R"({}{{"name":{},"way":{},"confidential":{},"whyNot":{}}})", first ? "" : ",", quoted(node->name),
                      quoted(way.kind), way.confidential ? "true" : "false", quoted(way.why_not));
      first = false;
      return true;
    });
  }

  const Server& server_;
  const Egress& egress_;
  const store::Store& store_;
  std::mutex mutex_;
  std::optional<paths::Report> last_;
};

}  // namespace

std::unique_ptr<PathsPage> PathsPage::make(const Server& server, const Egress& egress, const store::Store& store) {
  return std::make_unique<PathsPageImpl>(server, egress, store);
}

}  // namespace redoubt::cmd
