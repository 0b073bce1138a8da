// redoubt kube-proxy: the service proxy as a component of its own, under upstream's name and flags.
#include <CLI/CLI.hpp>
#include <future>

#include "base/metrics.h"
#include "cmd/commands/commands.h"
#include "cmd/flags/flags.h"
#include "kubeproxy/configuration.h"
#include "net/http_server.h"
#include "pki/certificate.h"

namespace redoubt::cmd {

namespace {

struct KubeProxyOptions {
  std::string config, kubeconfig, hostname_override, healthz, metrics;
  std::vector<std::string> cluster_cidrs, node_port_addresses;
  std::string mode;
  bool masquerade_all = false, cleanup = false;
};

Result<kubeproxy::Configuration> configuration(const KubeProxyOptions& flags) {
  kubeproxy::Configuration out;
  if (!flags.config.empty()) {
    RD_TRY(std::string text, pki::read_file(flags.config));
    auto parsed = kubeproxy::parse_configuration(text);
    if (!parsed) return Error(parsed.error().with_context("--config " + flags.config));
    out = std::move(*parsed);
  }
  if (!flags.mode.empty() && flags.mode != "nftables")
    return bad_request(fmt::format("--proxy-mode {}: this proxy uses nftables", flags.mode));
  if (!flags.kubeconfig.empty()) out.kubeconfig = flags.kubeconfig;
  if (!flags.hostname_override.empty()) out.proxy.node_name = flags.hostname_override;
  if (!flags.cluster_cidrs.empty()) out.proxy.rules.cluster_cidrs = flags.cluster_cidrs;
  if (!flags.node_port_addresses.empty()) out.proxy.rules.node_port_addresses = flags.node_port_addresses;
  if (!flags.healthz.empty()) out.healthz_bind_address = flags.healthz;
  if (!flags.metrics.empty()) out.metrics_bind_address = flags.metrics;
  out.proxy.rules.masquerade_all = out.proxy.rules.masquerade_all || flags.masquerade_all;
  if (out.proxy.node_name.empty()) {
    kubelet::Options host;
    complete_agent_options(host, "", "");
    out.proxy.node_name = host.node_name;
  }
  if (out.kubeconfig.empty())
    return bad_request("--kubeconfig (or clientConnection.kubeconfig in --config) is required");
  return out;
}

// A small plain-text page on a port of its own, as upstream's /healthz and /metrics are.
Result<std::unique_ptr<net::HttpServer>> serve_page(net::LoopPool& loops, const std::string& address, std::string path,
                                                    std::function<std::pair<int, std::string>()> page) {
  RD_TRY(net::Address at, net::parse_address(address));
  net::HttpServerOptions options;
  options.address = at.host;
  options.port = at.port;
  options.max_connections = 100;
  options.handler = [path, page](net::Request request, net::Responder& responder) -> Task<void> {
    auto [code, text] = request.path == path ? page() : std::pair<int, std::string>{404, "404 page not found\n"};
    BytesList body;
    body.push_back(Bytes::take(std::move(text)));
    co_await responder.send(code, {{"content-type", "text/plain; charset=utf-8"}}, std::move(body));
  };
  return net::HttpServer::start(loops, std::move(options));
}

Result<void> run(const KubeProxyOptions& flags) {
  if (flags.cleanup) return kubeproxy::remove_rules();
  RD_TRY(kubeproxy::Configuration config, configuration(flags));
  RD_TRY(client::Config api, client::load_kubeconfig(config.kubeconfig));
  api.user_agent = "redoubt/kube-proxy";
  net::LoopPool loops(1, "kube-proxy");
  auto healthy = std::make_shared<std::atomic<bool>>(false);
  std::unique_ptr<net::HttpServer> healthz, metrics;
  if (!config.healthz_bind_address.empty()) {
    RD_TRY(healthz, serve_page(loops, config.healthz_bind_address, "/healthz", [healthy] {
             return *healthy ? std::pair<int, std::string>{200, "ok"}
                             : std::pair<int, std::string>{503, "rules not up to date"};
           }));
  }
  if (!config.metrics_bind_address.empty()) {
    RD_TRY(metrics, serve_page(loops, config.metrics_bind_address, "/metrics",
                               [] { return std::pair<int, std::string>{200, render_metrics()}; }));
  }
  std::unique_ptr<Scope> scope;
  Executor executor = loops.executor(0);
  boost::asio::post(executor, [&] {
    scope = std::make_unique<Scope>(executor, "kube-proxy");
    scope->spawn([](client::Config api, net::LoopPool& loops, kubeproxy::Options options,
                    std::shared_ptr<std::atomic<bool>> healthy) -> Task<void> {
      client::Client client(co_await boost::asio::this_coro::executor, std::move(api));
      client::ServiceWatch watch(client);
      kubeproxy::Proxier proxier(client, watch, loops, std::move(options));
      Scope watching(client.executor(), "kube-proxy watch and health");
      watch.start(watching);
      watching.spawn([](kubeproxy::Proxier& p, std::shared_ptr<std::atomic<bool>> out) -> Task<void> {
        while (true) {
          *out = p.healthy();
          co_await sleep_for(std::chrono::milliseconds(500));
        }
      }(proxier, healthy));
      std::exception_ptr stopped;
      try {
        co_await proxier.run();
      } catch (...) {
        stopped = std::current_exception();
      }
      co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
      co_await watching.join();
      if (stopped) std::rethrow_exception(stopped);
    }(std::move(api), loops, config.proxy, healthy));
  });
  wait_for_signal();
  std::promise<void> done;
  std::unique_ptr<Scope> stopping;
  boost::asio::post(executor, [&] {
    stopping = std::make_unique<Scope>(executor, "stopping");
    stopping->spawn([](Scope& running, std::promise<void>& out) -> Task<void> {
      co_await running.join();
      out.set_value();
    }(*scope, done));
  });
  done.get_future().wait_for(std::chrono::seconds(5));
  loops.stop();
  return {};
}

}  // namespace

Command make_kube_proxy_command(CLI::App& program) {
  CLI::App* command = program.add_subcommand("kube-proxy", "the service proxy alone: Services by nftables");
  auto options = std::make_shared<KubeProxyOptions>();
  command->add_option("--config", options->config, "a KubeProxyConfiguration file; flags win over it");
  command->add_option("--kubeconfig", options->kubeconfig, "how to reach the API server");
  command->add_option("--hostname-override", options->hostname_override, "the node's name (default: the host's)");
  command->add_option("--cluster-cidr", options->cluster_cidrs, "network of pods' addresses")->delimiter(',');
  command
      ->add_option("--nodeport-addresses", options->node_port_addresses,
                   "addresses that node ports are open on (default: the Node's InternalIPs)")
      ->delimiter(',');
  command->add_option("--proxy-mode", options->mode, "nftables");
  command->add_flag("--masquerade-all", options->masquerade_all, "give all traffic to Services the node's address");
  command->add_option("--healthz-bind-address", options->healthz, "where /healthz is served (default 0.0.0.0:10256)");
  command->add_option("--metrics-bind-address", options->metrics, "where /metrics is served (default 127.0.0.1:10249)");
  command->add_flag("--cleanup", options->cleanup, "remove the rules and end");
  return {command, [options] {
            auto done = run(*options);
            return done ? 0 : fail(done.error());
          }};
}

}  // namespace redoubt::cmd
