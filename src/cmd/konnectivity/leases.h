// Leases of proxy servers: each server publishes one and removes dead ones; agents count those that live.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "client/client.h"

namespace redoubt::cmd {

struct LeaseOptions {
  std::string ns;
  std::string label;  // "key=value,key=value": of the Leases published, and the selector
};

// Renews the Lease "konnectivity-proxy-server-ID" every 15 seconds for 30, and deletes expired ones of the label, as
// upstream's controller does. Until cancelled.
Task<void> keep_server_lease(std::shared_ptr<client::Client> api, LeaseOptions options, std::string server_id);
// On the way out.
Task<void> delete_server_lease(std::shared_ptr<client::Client> api, LeaseOptions options, std::string server_id);
// Keeps `count` at the number of live Leases, at least 1; as it was while the API server can't be reached. Until
// cancelled.
Task<void> count_server_leases(std::shared_ptr<client::Client> api, LeaseOptions options,
                               std::shared_ptr<std::optional<int>> count);

}  // namespace redoubt::cmd
