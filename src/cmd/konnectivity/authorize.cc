#include "cmd/konnectivity/authorize.h"

#include <algorithm>

#include "egress/konnectivity/header.h"
#include "pki/certificate.h"
#include "schema/k8s/authentication_v1.h"

namespace redoubt::cmd {

namespace {

// Anybody who reaches the port can make us ask; more at once are turned away.
constexpr size_t kMaxReviews = 64;

struct Wanted {
  std::string ns, name, audience;
  mutable size_t under_way = 0;  // of the server's loop
};

struct UnderWay {
  explicit UnderWay(size_t& c) : count(c) { ++count; }
  ~UnderWay() { --count; }
  UnderWay(const UnderWay&) = delete;
  UnderWay& operator=(const UnderWay&) = delete;
  size_t& count;
};

// Whom a token stands for, and the node that it is bound to, if any.
struct Reviewed {
  std::string username, node;
};

Task<Result<Reviewed>> review(std::shared_ptr<client::Client> api, std::shared_ptr<const Wanted> wanted,
                              std::string authorization) {
  constexpr std::string_view kScheme = "Bearer ";
  if (!authorization.starts_with(kScheme)) co_return unauthorized("received token does not have \"Bearer \" prefix");
  if (wanted->under_way >= kMaxReviews)
    co_return too_many_requests(fmt::format("{} token reviews are under way; try again", kMaxReviews), 1);
  UnderWay counted(wanted->under_way);
  k8s::authentication::v1::TokenReview request;
  request.spec.token = authorization.substr(kScheme.size());
  request.spec.audiences = {wanted->audience};
  auto answer = co_await api->create(std::move(request));
  if (!answer)
    co_return service_unavailable(fmt::format("failed to authenticate request: {}", answer.error().message()));
  const auto& status = answer->status;
  if (!status.error.empty()) co_return unauthorized("lookup failed: " + status.error);
  if (!status.authenticated) co_return unauthorized("lookup failed: service account jwt not valid");
  // An API server that knows no audiences would let a token for anybody pass.
  if (std::find(status.audiences.begin(), status.audiences.end(), wanted->audience) == status.audiences.end())
    co_return unauthorized(fmt::format("lookup failed: the token is not for audience {}", wanted->audience));
  std::string expected = fmt::format("system:serviceaccount:{}:{}", wanted->ns, wanted->name);
  if (status.user.username != expected) {
    co_return unauthorized(
        fmt::format("lookup failed: incoming request from \"{}\". Expected \"{}\"", status.user.username, expected));
  }
  Reviewed out{status.user.username, {}};
  auto node = status.user.extra.find("authentication.kubernetes.io/node-name");
  if (node != status.user.extra.end() && node->second.items.size() == 1) out.node = std::string(node->second.items[0]);
  co_return out;
}

// The node whose certificate this is.
Result<std::string> node_of(const std::vector<std::string>& chain_der, const std::string& client_ca_pem) {
  RD_TRY(auto bundle, pki::TrustBundle::from_pem(client_ca_pem));
  RD_TRY(pki::Certificate certificate, bundle->verify(chain_der, pki::Usage::ClientAuth));
  constexpr std::string_view kNode = "system:node:";
  const auto& groups = certificate.subject.organizations;
  bool node = std::find(groups.begin(), groups.end(), "system:nodes") != groups.end();
  if (!node || !certificate.subject.common_name.starts_with(kNode))
    return unauthorized(fmt::format("\"{}\" is no node: agents show a node's certificate or a ServiceAccount's token",
                                    certificate.subject.common_name));
  return certificate.subject.common_name.substr(kNode.size());
}

Task<Result<konnectivity::AgentIdentity>> authorize_node_agent(std::shared_ptr<const NodeAgentAuthorization> how,
                                                               std::shared_ptr<const Wanted> wanted,
                                                               std::string agent_id, std::string authorization,
                                                               std::vector<std::string> chain,
                                                               konnectivity::Identifiers identifiers) {
  std::string who, node;
  if (!chain.empty()) {
    RD_CO_TRY(node, node_of(chain, how->client_ca_pem()));
    who = "system:node:" + node;
  } else {
    RD_CO_TRY(Reviewed reviewed, co_await review(how->api, wanted, std::move(authorization)));
    who = reviewed.username;
    node = reviewed.node;
  }
  RD_CO_TRYV(konnectivity::check_node_agent(node, agent_id, identifiers, how->addresses));
  co_return konnectivity::AgentIdentity{who, node};
}

// Without the node: what such an agent says of itself is believed, as upstream does.
Task<Result<konnectivity::AgentIdentity>> name_of(Task<Result<Reviewed>> reviewing) {
  RD_CO_TRY(Reviewed reviewed, co_await std::move(reviewing));
  co_return konnectivity::AgentIdentity{reviewed.username, {}};
}

}  // namespace

konnectivity::Server::AuthorizeAgent authorize_by_token(std::shared_ptr<client::Client> api, std::string ns,
                                                        std::string name, std::string audience) {
  auto wanted = std::make_shared<const Wanted>(Wanted{std::move(ns), std::move(name), std::move(audience)});
  return [api, wanted](const net::Headers& metadata, const net::ConnectionInfo&,
                       const konnectivity::Identifiers&) -> Task<Result<konnectivity::AgentIdentity>> {
    auto tokens = metadata.get_all(konnectivity::kAuthorization);
    return name_of(review(api, wanted, tokens.size() == 1 ? std::string(tokens[0]) : std::string()));
  };
}

konnectivity::Server::AuthorizeAgent authorize_node_agents(NodeAgentAuthorization how) {
  auto wanted = std::make_shared<const Wanted>(Wanted{how.ns, how.name, how.audience});
  auto shared = std::make_shared<const NodeAgentAuthorization>(std::move(how));
  return [shared, wanted](const net::Headers& metadata, const net::ConnectionInfo& connection,
                          const konnectivity::Identifiers& identifiers) -> Task<Result<konnectivity::AgentIdentity>> {
    auto tokens = metadata.get_all(konnectivity::kAuthorization);
    return authorize_node_agent(shared, wanted, std::string(metadata.get(konnectivity::kAgentId).value_or("")),
                                tokens.size() == 1 ? std::string(tokens[0]) : std::string(),
                                connection.peer_certificates, identifiers);
  };
}

}  // namespace redoubt::cmd
