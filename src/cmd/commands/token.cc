// redoubt token: bootstrap tokens, by which nodes join.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/json_text.h"
#include "base/time.h"
#include "client/client.h"
#include "cmd/admin_client.h"
#include "cmd/bootstrap_tokens.h"
#include "cmd/commands/commands.h"
#include "cmd/flags/flags.h"

namespace redoubt::cmd {

namespace {

using Secret = k8s::core::v1::Secret;
using ConfigMap = k8s::core::v1::ConfigMap;

struct TokenCommand {
  std::string kubeconfig, data_dir = "/var/lib/redoubt";
  std::string token;  // create: "id.secret"
  std::string ttl_text;
  BootstrapTokenOptions options;
  bool print_join_command = true;
  std::string output;
  std::vector<std::string> names;  // delete
};

std::string field(const Secret& secret, const char* name) {
  auto it = secret.data.find(name);
  return it == secret.data.end() ? std::string() : it->second.bytes;
}

// The address and the authorities that nodes are told; from the cluster itself, so that the line is right wherever the
// command runs.
Task<Result<client::Config>> cluster_info(client::Client& api) {
  for (int i = 0;; ++i) {
    auto map = co_await api.get<ConfigMap>("kube-public", "cluster-info");
    if (map) co_return client::parse_kubeconfig_cluster(map->data["kubeconfig"]);
    // A cluster that has just started publishes it within a moment.
    if (!map.error().is("NotFound") || i == 50) co_return Error(map.error());
    co_await sleep_for(std::chrono::milliseconds(100));
  }
}

Task<Result<void>> create(client::Client& api, TokenCommand& c) {
  pki::BootstrapToken token = pki::generate_bootstrap_token();
  if (!c.token.empty()) {
    auto given = pki::parse_bootstrap_token(c.token);
    if (!given)
      co_return bad_request(
          "the token is malformed: six characters, a dot and sixteen characters of a-z and 0-9 are meant");
    token = *given;
  }
  RD_CO_TRYV(check_token_options(c.options));
  auto made = co_await api.create(bootstrap_token_secret(token, c.options));
  if (!made && made.error().is("AlreadyExists"))
    co_return bad_request(fmt::format("a token with the id {} is there already", token.id));
  if (!made) co_return Error(made.error());
  RD_CO_TRY(client::Config info, co_await cluster_info(api));
  if (c.output == "json") {
    std::string line;
    append_json_string(line, join_line(info.server, token.text(), info.ca_pem));
    std::printf("{\"token\":\"%s\",\"joinCommand\":%s}\n", token.text().c_str(), line.c_str());
  } else if (c.print_join_command) {
    std::printf("%s\n", join_line(info.server, token.text(), info.ca_pem).c_str());
  } else {
    std::printf("%s\n", token.text().c_str());
  }
  co_return Result<void>{};
}

std::string remaining(const std::string& expiration) {
  if (expiration.empty()) return "<forever>";
  auto ends = parse_rfc3339(expiration);
  if (!ends || *ends <= now()) return "<invalid>";
  auto left = std::chrono::duration_cast<std::chrono::seconds>(*ends - now());
  if (left.count() >= 2 * 3600) return fmt::format("{}h", left.count() / 3600);
  if (left.count() >= 2 * 60) return fmt::format("{}m", left.count() / 60);
  return fmt::format("{}s", left.count());
}

Task<Result<void>> list(client::Client& api, TokenCommand& c) {
  RD_CO_TRY(auto secrets,
            co_await api.list<Secret>("kube-system", {.field_selector = "type=bootstrap.kubernetes.io/token"}));
  if (c.output == "json") {
    std::string out = "[";
    for (const Secret& secret : secrets.items) {
      auto add = [&](const char* key, const std::string& value) {
        if (value.empty()) return;
        out += fmt::format("{}\"{}\":", out.back() == '{' ? "" : ",", key);
        append_json_string(out, value);
      };
      out += out.back() == '[' ? "{" : ",{";
      add("token", field(secret, "token-id") + "." + field(secret, "token-secret"));
      add("expires", field(secret, "expiration"));
      add("description", field(secret, "description"));
      std::string usages;
      for (const char* usage : {"authentication", "signing"}) {
        if (field(secret, (std::string("usage-bootstrap-") + usage).c_str()) == "true")
          usages += (usages.empty() ? "" : ",") + std::string(usage);
      }
      add("usages", usages);
      add("groups", field(secret, "auth-extra-groups"));
      out += '}';
    }
    std::printf("%s]\n", out.c_str());
    co_return Result<void>{};
  }
  if (secrets.items.empty()) co_return Result<void>{};
  std::vector<std::vector<std::string>> rows = {{"TOKEN", "TTL", "EXPIRES", "USAGES", "DESCRIPTION", "EXTRA GROUPS"}};
  for (const Secret& secret : secrets.items) {
    std::string usages;
    for (const char* usage : {"authentication", "signing"}) {
      if (field(secret, (std::string("usage-bootstrap-") + usage).c_str()) == "true")
        usages += (usages.empty() ? "" : ",") + std::string(usage);
    }
    auto or_none = [](std::string text) { return text.empty() ? std::string("<none>") : text; };
    std::string expires = field(secret, "expiration");
    rows.push_back({field(secret, "token-id") + "." + field(secret, "token-secret"), remaining(expires),
                    expires.empty() ? "<never>" : expires, or_none(usages), or_none(field(secret, "description")),
                    or_none(field(secret, "auth-extra-groups"))});
  }
  print_table(rows);
  co_return Result<void>{};
}

Task<Result<void>> remove(client::Client& api, TokenCommand& c) {
  for (const std::string& name : c.names) {
    auto token = pki::parse_bootstrap_token(name);
    std::string id = token ? token->id : name;
    if (!pki::is_bootstrap_token_id(id))
      co_return bad_request("what is given is neither a token nor a token's id ([a-z0-9]{6})");
    auto gone = co_await api.remove<Secret>("kube-system", "bootstrap-token-" + id);
    if (!gone && gone.error().is("NotFound")) co_return bad_request(fmt::format("there is no bootstrap token {}", id));
    if (!gone) co_return Error(gone.error());
    std::printf("bootstrap token \"%s\" deleted\n", id.c_str());
  }
  co_return Result<void>{};
}

}  // namespace

Command make_token_command(CLI::App& program) {
  CLI::App* command = program.add_subcommand("token", "bootstrap tokens, by which nodes join");
  command->require_subcommand(1);
  auto c = std::make_shared<TokenCommand>();
  add_admin_flags(*command, c->kubeconfig, c->data_dir);
  CLI::App* creates = command->add_subcommand("create", "make a token and print the line that a node runs");
  creates->add_option("token", c->token, "the token; default: a random one");
  creates->add_option("--ttl", c->ttl_text, "how long it lives; 0 is for ever")->default_str("24h0m0s");
  creates->add_option("--usages", c->options.usages, "what it is for")->delimiter(',')->capture_default_str();
  creates->add_option("--groups", c->options.groups, "further groups of who comes with it")
      ->delimiter(',')
      ->capture_default_str();
  creates->add_option("--description", c->options.description, "for people");
  creates
      ->add_flag("--print-join-command,!--no-print-join-command", c->print_join_command,
                 "the whole line that a node runs; false: the token alone, as kubeadm prints it")
      ->default_str("true");
  creates->add_option("-o,--output", c->output, "text or json")->check(CLI::IsMember({"text", "json"}));
  CLI::App* lists = command->add_subcommand("list", "the tokens there are");
  lists->add_option("-o,--output", c->output, "text or json")->check(CLI::IsMember({"text", "json"}));
  CLI::App* deletes = command->add_subcommand("delete", "end tokens, by their ids");
  deletes->add_option("token", c->names, "id, or whole token")->required();
  return {command, [c, creates, lists] {
            if (!c->ttl_text.empty()) {
              auto ttl = c->ttl_text == "0" ? std::chrono::nanoseconds(0) : parse_go_duration(c->ttl_text);
              if (!ttl || *ttl < std::chrono::nanoseconds(0))
                return fail(bad_request("--ttl: a duration is meant, such as 24h, 90s, or 0").error());
              c->options.ttl = std::chrono::duration_cast<std::chrono::seconds>(*ttl);
            }
            auto done = with_admin(c->kubeconfig, c->data_dir, [c, creates, lists](client::Client& api) {
              return creates->parsed() ? create(api, *c) : lists->parsed() ? list(api, *c) : remove(api, *c);
            });
            return done ? 0 : fail(done.error());
          }};
}

}  // namespace redoubt::cmd
