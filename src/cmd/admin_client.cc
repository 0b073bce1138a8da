#include "cmd/admin_client.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "client/client.h"
#include "net/loop.h"

namespace redoubt::cmd {

void add_admin_flags(CLI::App& command, std::string& kubeconfig, std::string& data_dir) {
  command.add_option("--kubeconfig", kubeconfig,
                     "the administrator's kubeconfig (default: $KUBECONFIG, else DATA-DIR/admin.kubeconfig)");
  command.add_option("--data-dir", data_dir, "the server's data folder")->capture_default_str();
}

Result<client::Config> load_admin(const std::string& kubeconfig, const std::string& data_dir) {
  const char* environment = std::getenv("KUBECONFIG");
  std::string path = !kubeconfig.empty()                                ? kubeconfig
                     : environment != nullptr && environment[0] != '\0' ? std::string(environment)
                                                                        : data_dir + "/admin.kubeconfig";
  auto config = client::load_kubeconfig(path);
  if (!config)
    return Error(config.error().with_context(
        "no administrator's kubeconfig (run this on the server, or name one with --kubeconfig)"));
  config->user_agent = "redoubt/cli";
  return config;
}

Result<void> with_admin(const std::string& kubeconfig, const std::string& data_dir,
                        std::function<Task<Result<void>>(client::Client& api)> work) {
  auto config = load_admin(kubeconfig, data_dir);
  if (!config) return Error(config.error());
  Result<void> outcome;
  net::run_until_done([&]() -> Task<void> {
    return
        [](client::Config c, std::function<Task<Result<void>>(client::Client&)> run, Result<void>& out) -> Task<void> {
          client::Client api(co_await boost::asio::this_coro::executor, std::move(c));
          out = co_await run(api);
        }(*config, work, outcome);
  });
  return outcome;
}

void print_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line.append(widths[i] - row[i].size() + 3, ' ');
    }
    std::printf("%s\n", line.c_str());
  }
}

}  // namespace redoubt::cmd
