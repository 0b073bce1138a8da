// The load of `./dev bench api`: the same for Redoubt, for upstream, and, as far as it can serve files, for nghttpd.
//
//   redoubt_bench ready --kubeconfig FILE [--limit SECONDS]    returns when /readyz says ok
//   redoubt_bench api --kubeconfig FILE --out FILE [--bodies FOLDER] [phases]
//   redoubt_bench files --kubeconfig FILE --out FILE           GET /get.json, /list.json, /list.pb of a file server
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <thread>

#include "base/log.h"
#include "objects.h"
#include "target.h"
#include "watchers.h"

namespace {

using namespace redoubt;
using namespace redoubt::bench;

constexpr std::string_view kProtobuf = "application/vnd.kubernetes.protobuf";
constexpr std::string_view kConfigMaps = "/api/v1/namespaces/bench/configmaps";
constexpr std::string_view kPods = "/api/v1/namespaces/bench/pods";

struct Options {
  std::string kubeconfig;
  std::string out;
  std::string bodies;
  std::vector<std::string> phases = {"configmaps", "pods", "gets", "list", "watch"};
  size_t configmaps = 10'000;
  size_t pods = 5'000;
  size_t gets = 100'000;
  size_t lists = 24;
  size_t seconds = 30;  // a phase's limit
  size_t loops = 2;
};

// Figures in order, as a flat JSON object.
class Report {
 public:
  void add(std::string_view name, double value) {
    text_ += fmt::format("{}\"{}\": {:.3f}", text_.empty() ? "" : ",\n  ", name, value);
    std::printf("  %-28s %.6g\n", std::string(name).c_str(), value);
    std::fflush(stdout);
  }
  void add(const std::string& name, const Timing& timing) {
    add(name + "_per_s", timing.per_second());
    add(name + "_p50_ms", timing.percentile(0.5));
    add(name + "_p99_ms", timing.percentile(0.99));
    if (timing.failed > 0) add(name + "_failed", static_cast<double>(timing.failed));
  }
  void write(const std::string& path) const { std::ofstream(path) << "{\n  " << text_ << "\n}\n"; }

 private:
  std::string text_;
};

void save(const Options& options, const char* name, const std::string& body) {
  if (!options.bodies.empty()) std::ofstream(options.bodies + "/" + name) << body;
}

void measure_lists(Target& target, const Options& options, Report& report, const std::string& name,
                   const std::string& path, std::string_view accept) {
  Load load{options.lists, 2, 2, std::chrono::seconds(options.seconds)};
  Timing timing = target.run(load, [&](size_t) { return get(path, std::string(accept)); });
  report.add(name + "_mb_per_s", static_cast<double>(timing.bytes) / 1e6 / timing.seconds);
  report.add(name + "_per_s", timing.per_second());
  report.add(name + "_mb",
             static_cast<double>(timing.bytes) / 1e6 / static_cast<double>(std::max<size_t>(1, timing.done)));
}

void measure_api(Target& target, const Options& options, Report& report) {
  auto chosen = [&](std::string_view phase) {
    return std::ranges::find(options.phases, phase) != options.phases.end();
  };
  std::chrono::seconds limit(options.seconds);
  target.ask(post("/api/v1/namespaces", R"({"apiVersion":"v1","kind":"Namespace","metadata":{"name":"bench"}})"), 409);
  target.ask(post("/api/v1/namespaces/bench/serviceaccounts",
                  R"({"apiVersion":"v1","kind":"ServiceAccount","metadata":{"name":"default"}})"),
             409);
  if (chosen("configmaps")) {
    report.add("create_configmaps", target.run({options.configmaps, 64, 4, limit, 201}, [](size_t i) {
      return post(std::string(kConfigMaps), config_map(fmt::format("cm-{:05}", i)));
    }));
  }
  if (chosen("pods")) {
    report.add("create_pods", target.run({options.pods, 64, 4, limit, 201}, [](size_t i) {
      return post(std::string(kPods), pod(fmt::format("pod-{:05}", i)));
    }));
  }
  if (chosen("gets")) {
    report.add("get", target.run({options.gets, 64, 4, limit}, [&](size_t i) {
      return get(fmt::format("{}/cm-{:05}", kConfigMaps, i % options.configmaps));
    }));
    save(options, "get.json", target.ask(get(std::string(kConfigMaps) + "/cm-00000")).body);
  }
  if (chosen("list")) {
    std::string path(kPods);
    measure_lists(target, options, report, "list_json", path, "application/json");
    measure_lists(target, options, report, "list_protobuf", path, kProtobuf);
    save(options, "list.json", target.ask(get(path)).body);
    save(options, "list.pb", target.ask(get(path, std::string(kProtobuf))).body);
  }
  if (chosen("watch")) {
    report.add("watch", run_watchers(target, {.name = "shared", .limit = limit}));
    report.add("watch_apart", run_watchers(target, {.name = "apart", .connections = 200, .limit = limit}));
  }
}

void measure_files(Target& target, const Options& options, Report& report) {
  report.add("get", target.run({options.gets, 64, 4, std::chrono::seconds(options.seconds)},
                               [](size_t) { return get("/get.json"); }));
  measure_lists(target, options, report, "list_json", "/list.json", "application/json");
  measure_lists(target, options, report, "list_protobuf", "/list.pb", kProtobuf);
}

int wait_ready(net::LoopPool& loops, const Options& options) {
  auto until = std::chrono::steady_clock::now() + std::chrono::seconds(options.seconds);
  while (std::chrono::steady_clock::now() < until) {
    // The kubeconfig may itself only come with the start.
    if (auto config = client::load_kubeconfig(options.kubeconfig)) {
      bool ready = false;
      run_on_all(loops, [&](size_t loop) -> Task<void> {
        if (loop != 0) co_return;
        Connection connection(loops.executor(0), *config);
        auto answer = co_await connection.send(get("/readyz"));
        ready = answer && answer->status == 200;
      });
      if (ready) return 0;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  std::fprintf(stderr, "bench: not ready after %zu s\n", options.seconds);
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app{"load for ./dev bench"};
  app.require_subcommand(1);
  auto add = [&](const char* name, const char* what) {
    CLI::App* command = app.add_subcommand(name, what);
    command->add_option("--kubeconfig", options.kubeconfig)->required();
    command->add_option("--out", options.out, "where the figures go, as JSON");
    command->add_option("--seconds", options.seconds, "limit of each phase")->capture_default_str();
    command->add_option("--gets", options.gets)->capture_default_str();
    command->add_option("--lists", options.lists)->capture_default_str();
    command->add_option("--loops", options.loops, "threads of the client")->capture_default_str();
    return command;
  };
  add("ready", "wait until /readyz says ok");
  add("files", "the machine's ceiling: a file server");
  CLI::App* api = add("api", "an API server");
  api->add_option("--bodies", options.bodies, "folder to keep an answer of each kind in");
  api->add_option("--phases", options.phases)->delimiter(',');
  api->add_option("--configmaps", options.configmaps)->capture_default_str();
  api->add_option("--pods", options.pods)->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  set_log_level(LogLevel::Error);

  net::LoopPool loops(options.loops, "bench");
  if (app.got_subcommand("ready")) return wait_ready(loops, options);
  auto config = client::load_kubeconfig(options.kubeconfig);
  if (!config) {
    std::fprintf(stderr, "bench: %s\n", config.error().message().c_str());
    return 1;
  }
  Target target(loops, std::move(*config));
  Report report;
  if (app.got_subcommand("api")) {
    measure_api(target, options, report);
  } else {
    measure_files(target, options, report);
  }
  if (!options.out.empty()) report.write(options.out);
  return 0;
}
