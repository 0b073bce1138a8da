// Who an agent is, by the token that it sends: a TokenReview at the API server.
#pragma once
#include <memory>
#include <string>

#include "client/client.h"
#include "egress/konnectivity/server.h"

namespace redoubt::cmd {

// Agents must be the ServiceAccount `name` in `ns`, with a token for `audience`. `api` belongs to the server's loop.
konnectivity::Server::AuthorizeAgent authorize_by_token(std::shared_ptr<client::Client> api, std::string ns,
                                                        std::string name, std::string audience);

}  // namespace redoubt::cmd
