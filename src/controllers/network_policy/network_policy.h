// The controller that writes for the nodes which addresses NetworkPolicies are about.
#pragma once
#include <memory>

#include "controllers/controller.h"

namespace redoubt::controllers {

std::unique_ptr<Controller> make_network_policy(client::Client& api, Informers& informers);

}  // namespace redoubt::controllers
