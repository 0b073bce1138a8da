// redoubt paths: every path of a cluster, how it is secured right now, and what to do where it isn't.
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstring>

#include "client/client.h"
#include "cmd/admin_client.h"
#include "cmd/commands/commands.h"
#include "net/loop.h"
#include "paths/catalogue.h"
#include "paths/collect.h"
#include "paths/explain.h"
#include "paths/judge.h"
#include "paths/page.h"
#include "paths/probe.h"
#include "paths/report.h"
#include "pki/cluster_pki.h"

namespace redoubt::cmd {

namespace {

constexpr int kUsage = 2;  // and: the cluster can't be asked

struct PathsCommand {
  std::string kubeconfig, data_dir = "/var/lib/redoubt";
  std::string output = "table", node, html, fail_on = "open";
  bool watch = false, probe = false, yes = false;
  int interval_seconds = 5;
  std::string explain_id, language = "en", document;
};

int refuse(const std::string& message) {
  std::fprintf(stderr, "error: %s\n", message.c_str());
  return kUsage;
}

// The authority whose key this machine holds, if it is the one that the cluster's server shows: who has it owns the
// cluster.
pki::KeyPair own_authority(const PathsCommand& c, const paths::Facts& facts) {
  auto pair = pki::load_pair(c.data_dir + "/pki", "ca");
  if (!pair || pair->private_key_pem.empty() || !pki::belongs_together(*pair)) return {};
  auto trust = pki::TrustBundle::from_pem(pair->certificate_pem);
  if (!trust || !facts.handshake.done || !(*trust)->verify(facts.handshake.chain_der, pki::Usage::ServerAuth))
    return {};
  return *pair;
}

bool confirmed(const std::string& cluster) {
  if (isatty(STDIN_FILENO) == 0) return false;
  std::fprintf(stderr,
               "%s is not this machine's own cluster. Probing connects to its ports as an attacker would. Are you "
               "allowed to? [y/N] ",
               cluster.c_str());
  char answer[16] = "";
  return std::fgets(answer, sizeof answer, stdin) != nullptr && (answer[0] == 'y' || answer[0] == 'Y');
}

Task<void> look(client::Config config, PathsCommand& c, Result<paths::Facts>& out) {
  client::Client api(co_await boost::asio::this_coro::executor, config);
  out = co_await paths::collect(api, config, {.node = c.node});
  if (!out || !c.probe) co_return;
  pki::KeyPair authority = own_authority(c, *out);
  if (authority.private_key_pem.empty() && !c.yes) {
    // A terminal's question holds up nothing: this loop has no other work.
    if (!confirmed(out->server_url)) {
      out =
          bad_request(fmt::format("{} is not this machine's own cluster (its authority's key is not in {}/pki): --yes "
                                  "says that you may probe it",
                                  out->server_url, c.data_dir));
      co_return;
    }
    c.yes = true;
  }
  co_await paths::probe(api, config, *out, {.authority = std::move(authority)});
}

Result<paths::Report> observe(PathsCommand& c) {
  RD_TRY(client::Config config, load_admin(c.kubeconfig, c.data_dir));
  Result<paths::Facts> facts;
  net::run_until_done([&] { return look(config, c, facts); });
  if (!facts) return Error(facts.error());
  return paths::judge(*facts);
}

std::string render(const PathsCommand& c, const paths::Report& report, bool colour) {
  if (c.output == "json") return paths::report_json(report) + "\n";
  if (c.output == "yaml") return paths::report_yaml(report);
  paths::TableOptions options{.wide = c.output == "wide", .colour = colour};
  std::string out;
  if (c.probe) out = paths::probes_text(report, options) + "\n";
  return out + paths::report_table(report, options);
}

// False when a signal ended the wait.
bool wait(int seconds) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  timespec limit{seconds, 0};
  return sigtimedwait(&set, nullptr, &limit) < 0;
}

int show(PathsCommand& c) {
  paths::Verdict fail_on = c.fail_on == "weak"      ? paths::Verdict::Weak
                           : c.fail_on == "unknown" ? paths::Verdict::Unknown
                                                    : paths::Verdict::Open;
  bool terminal = isatty(STDOUT_FILENO) != 0;
  const char* plain = std::getenv("NO_COLOR");
  bool colour = terminal && (plain == nullptr || *plain == '\0');
  for (bool first = true;; first = false) {
    auto report = observe(c);
    if (!report && !c.watch) return refuse(report.error().message());
    if (c.watch && terminal) std::fputs("\x1b[H\x1b[2J", stdout);
    if (!report) {
      std::fprintf(stderr, "error: %s\n", report.error().message().c_str());
    } else {
      if (!c.html.empty()) {
        if (auto written = pki::write_file(c.html, paths::report_page(*report, {}), 0644); !written)
          return refuse(written.error().message());
        if (first) std::fprintf(stderr, "%s is written\n", c.html.c_str());
      } else {
        std::fputs(render(c, *report, colour).c_str(), stdout);
      }
      std::fflush(stdout);
    }
    if (!c.watch) return paths::exit_status(*report, fail_on);
    if (!wait(c.interval_seconds)) return report ? paths::exit_status(*report, fail_on) : kUsage;
    if (!terminal && c.output == "table") std::fputs("\n", stdout);
  }
}

int explain(const PathsCommand& c) {
  auto language = c.language == "de" ? paths::Language::German : paths::Language::English;
  if (c.explain_id == "all") {
    std::fputs(paths::catalogue_document(language).c_str(), stdout);
    return 0;
  }
  if (c.explain_id == "evidence") {
    std::fputs(paths::evidence_document().c_str(), stdout);
    return 0;
  }
  const paths::PathFacts* path = paths::find_path(c.explain_id);
  if (path == nullptr) {
    std::string ids;
    for (const paths::PathFacts* p : paths::catalogue()) ids += fmt::format("{}{}", ids.empty() ? "" : ", ", p->id);
    return refuse(fmt::format("there is no path \"{}\"; the paths are {}", c.explain_id, ids));
  }
  std::fputs(paths::explain(*path, language).c_str(), stdout);
  return 0;
}

}  // namespace

Command make_paths_command(CLI::App& program) {
  CLI::App* command = program.add_subcommand("paths", "every path of a cluster: how it is secured now, and what to do");
  auto c = std::make_shared<PathsCommand>();
  add_admin_flags(*command, c->kubeconfig, c->data_dir);
  command->add_option("-o,--output", c->output, "table, wide, json or yaml")
      ->check(CLI::IsMember({"table", "wide", "json", "yaml"}));
  command->add_option("--node", c->node, "paths of this node only");
  command->add_flag("--watch,-w", c->watch, "look again and again, until interrupted");
  command->add_option("--interval", c->interval_seconds, "with --watch: seconds between two looks")
      ->check(CLI::Range(1, 3600))
      ->capture_default_str();
  command->add_flag("--probe", c->probe, "try to break in: active checks, none of which changes the cluster");
  command->add_flag("--yes,-y", c->yes, "with --probe: you may test this cluster, though it is not this machine's own");
  command->add_option("--html", c->html, "write the report as a web page to this file instead");
  command->add_option("--fail-on", c->fail_on, "exit status 1 from this verdict on: open, weak or unknown")
      ->check(CLI::IsMember({"open", "weak", "unknown"}))
      ->capture_default_str();
  CLI::App* explains = command->add_subcommand(
      "explain", "one path in prose; \"all\" for the whole catalogue, \"evidence\" for its tests");
  explains->add_option("id", c->explain_id, "the path's id")->required();
  explains->add_option("--lang", c->language, "en or de")->check(CLI::IsMember({"en", "de"}))->capture_default_str();
  command->footer(
      "Exit status: 0 nothing is open (or as --fail-on says), 1 something is, 2 usage, or the cluster can't be asked.");
  return {command, [c, explains] { return explains->parsed() ? explain(*c) : show(*c); }};
}

}  // namespace redoubt::cmd
