// For people's commands: a client of the cluster with the administrator's kubeconfig, and tables on the terminal.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "base/status.h"
#include "base/task.h"

namespace CLI {
class App;
}
namespace redoubt::client {
class Client;
struct Config;
}  // namespace redoubt::client

namespace redoubt::cmd {

// --kubeconfig and --data-dir.
void add_admin_flags(CLI::App& command, std::string& kubeconfig, std::string& data_dir);

// Where and who the administrator is: by `kubeconfig`, else $KUBECONFIG, else DATA_DIR/admin.kubeconfig.
Result<client::Config> load_admin(const std::string& kubeconfig, const std::string& data_dir);

// Runs `work` with a client: of load_admin(). Blocking.
Result<void> with_admin(const std::string& kubeconfig, const std::string& data_dir,
                        std::function<Task<Result<void>>(client::Client& api)> work);

// Columns as kubectl prints them: three blanks apart, no trailing blanks. The first row is the head.
void print_table(const std::vector<std::vector<std::string>>& rows);

}  // namespace redoubt::cmd
