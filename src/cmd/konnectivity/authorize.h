// Who an agent is: by the token that it sends (a TokenReview at the API server), or by a node's certificate.
#pragma once
#include <memory>
#include <string>

#include "client/client.h"
#include "egress/konnectivity/node_agents.h"
#include "egress/konnectivity/server.h"

namespace redoubt::cmd {

// Agents must be the ServiceAccount `name` in `ns`, with a token for `audience`. `api` belongs to the server's loop.
konnectivity::Server::AuthorizeAgent authorize_by_token(std::shared_ptr<client::Client> api, std::string ns,
                                                        std::string name, std::string audience);

// For the proxy server in the API server's process: agents are nodes, by their certificate (`client_ca_pem` gives the
// authorities of the moment), or the ServiceAccount; in both cases they may stand for their own node only
// (node_agents.h).
struct NodeAgentAuthorization {
  std::function<std::string()> client_ca_pem;
  std::shared_ptr<client::Client> api;
  std::string ns, name, audience;
  konnectivity::AddressesOf addresses;
};
konnectivity::Server::AuthorizeAgent authorize_node_agents(NodeAgentAuthorization how);

}  // namespace redoubt::cmd
