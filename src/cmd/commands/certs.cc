// redoubt certs: the server's keys and certificates, for people.
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "base/json_text.h"
#include "client/client.h"
#include "cmd/admin_client.h"
#include "cmd/commands/commands.h"
#include "pki/cluster_pki.h"
#include "pki/rotation.h"
#include "schema/k8s/core_v1.h"

namespace redoubt::cmd {

namespace {

using Node = k8s::core::v1::Node;

// Tokens of pods live an hour and are replaced before; after this long none of an old key is in use.
constexpr std::chrono::minutes kTokensOutlive{65};

struct CertsCommand {
  std::string kubeconfig, data_dir = "/var/lib/redoubt", output;
  std::vector<std::string> names;
  std::string phase, authority = "all";
  bool force = false;
  std::string folder() const { return data_dir + "/pki"; }
};

int64_t days_left(const pki::Certificate& certificate) {
  return std::chrono::floor<std::chrono::days>(certificate.not_after - now()).count();
}

Result<void> list(const CertsCommand& c) {
  RD_TRY(auto entries, pki::list_pki(c.folder()));
  RD_TRY(pki::Given external, pki::recall_given(c.folder()));
  // A node's, where one runs from the same folder.
  for (auto [name, file] : {std::pair("kubelet-client", "kubelet-client-current.pem"),
                            std::pair("kubelet-serving", "kubelet-server-current.pem")}) {
    auto pem = pki::read_file(c.data_dir + "/kubelet/pki/" + file);
    if (!pem) continue;
    auto certificate = pki::parse_certificate(*pem);
    if (!certificate) continue;
    pki::PkiEntry entry{name, "", *certificate, pki::renewal_time(*certificate)};
    for (const char* ca : {"ca", "ca-previous", "kubelet-ca", "kubelet-ca-previous"}) {
      auto authority = pki::read_file(c.folder() + "/" + ca + ".crt");
      if (authority && pki::is_signed_by(*pem, *authority)) entry.authority = ca;
    }
    for (std::string_view signer : {pki::kKubeletClientSigner, pki::kKubeletServingSigner}) {
      const pki::GivenFile* given = pki::find_given(external, signer);
      auto authority = given ? pki::read_file(given->certificate_file) : std::string();
      if (authority && pki::is_signed_by(*pem, *authority)) entry.authority = signer;
    }
    entries.push_back(std::move(entry));
  }
  auto find = [&](std::string_view name) {
    return std::any_of(entries.begin(), entries.end(), [&](const pki::PkiEntry& e) { return e.name == name; });
  };
  auto state = [&](const pki::PkiEntry& e) -> std::string {
    if (!e.external.empty())
      return (e.certificate.not_after <= now() ? "expired, external: " : "external, not renewed here: ") + e.external;
    if (e.certificate.not_after <= now()) return "expired";
    if (e.name == "kubelet-ca" && find(pki::kKubeletServingSigner))
      return fmt::format("trusted, signs nothing: {} does", pki::kKubeletServingSigner);
    if (e.name.ends_with("-next")) return "trusted, signs next";
    if (e.name.ends_with("-previous")) return "trusted, signs no more";
    return e.renew_at <= now() ? "renewal due" : "ok";
  };
  if (c.output == "json") {
    std::string out = "[";
    for (const pki::PkiEntry& e : entries) {
      auto text = [&](const char* key, const std::string& value) {
        out += fmt::format("{}\"{}\":", out.back() == '{' ? "" : ",", key);
        append_json_string(out, value);
      };
      out += out.back() == '[' ? "{" : ",{";
      text("name", e.name);
      text("kind", e.certificate.is_ca ? "authority" : "certificate");
      text("commonName", e.certificate.subject.common_name);
      text("notBefore", format_rfc3339(e.certificate.not_before));
      text("notAfter", format_rfc3339(e.certificate.not_after));
      text("renewAt", format_rfc3339(e.renew_at));
      out += fmt::format(",\"daysLeft\":{}", days_left(e.certificate));
      text("authority", e.authority);
      text("state", state(e));
      text("publicKeyHash", e.certificate.spki_hash);
      if (!e.external.empty()) text("external", e.external);
      out += '}';
    }
    std::printf("%s]\n", out.c_str());
    return {};
  }
  std::vector<std::vector<std::string>> rows = {{"NAME", "COMMON NAME", "AUTHORITY", "EXPIRES", "DAYS LEFT", "STATE"}};
  for (const pki::PkiEntry& e : entries) {
    rows.push_back({e.name, e.certificate.subject.common_name,
                    e.certificate.is_ca   ? "(authority)"
                    : e.authority.empty() ? "(other)"
                                          : e.authority,
                    format_rfc3339(e.certificate.not_after), std::to_string(days_left(e.certificate)), state(e)});
  }
  print_table(rows);
  return {};
}

Result<void> renew(const CertsCommand& c) {
  std::vector<std::string> names = c.names;
  if (names.empty() || names == std::vector<std::string>{"all"}) {
    names.clear();
    RD_TRY(auto entries, pki::list_pki(c.folder()));
    for (const pki::PkiEntry& e : entries) {
      if (!e.external.empty()) {
        std::printf("%s is external (%s): not renewed here\n", e.name.c_str(), e.external.c_str());
      } else if (!e.certificate.is_ca) {
        names.push_back(e.name);
      }
    }
  }
  for (const std::string& name : names) {
    RD_TRYV(pki::reissue_leaf(c.folder(), name));
    std::printf("%s renewed\n", name.c_str());
  }
  std::puts("A running server takes them up within a few seconds.");
  return {};
}

// The hash of an authority's key, as nodes report it.
Result<std::string> hash_of(const CertsCommand& c, const std::string& name) {
  RD_TRY(std::string pem, pki::read_file(c.folder() + "/" + name + ".crt"));
  RD_TRY(pki::Certificate certificate, pki::parse_certificate(pem));
  return certificate.spki_hash;
}

// Nodes that would be cut off by the next phase, each with why.
Task<Result<void>> nodes_ready(client::Client& api, std::string annotation, std::string hash, std::string missing) {
  RD_CO_TRY(auto nodes, co_await api.list<Node>());
  std::string behind;
  for (const Node& node : nodes.items) {
    auto it = node.metadata.annotations.find(annotation);
    bool knows = it != node.metadata.annotations.end() && it->second.find(hash) != std::string::npos;
    if (knows) continue;
    behind += fmt::format(
        "\n  node {}: {}", node.metadata.name,
        it == node.metadata.annotations.end() ? "does not report (no redoubt agent?): see docs/joining.md" : missing);
  }
  if (!behind.empty())
    co_return bad_request(
        fmt::format("not yet, some nodes would be cut off:{}\nWait for them, or say --force.", behind));
  co_return Result<void>{};
}

// Whether the phase that comes after is safe for everybody who is known.
Result<void> safe(const CertsCommand& c, const std::string& name, const std::string& phase) {
  if (c.force) return {};
  if (name == pki::kServiceAccountKey && phase == "finish") {
    struct stat info{};
    if (::stat((c.folder() + "/sa-previous.pub").c_str(), &info) != 0) return {};
    auto age = std::chrono::system_clock::now() - std::chrono::system_clock::from_time_t(info.st_mtim.tv_sec);
    if (age < kTokensOutlive)
      return bad_request(fmt::format(
          "not yet: tokens signed with the old key may be in use for another {} minutes. Wait, or say --force.",
          std::chrono::ceil<std::chrono::minutes>(kTokensOutlive - age).count()));
    return {};
  }
  RD_TRY(pki::Given given, pki::recall_given(c.folder()));
  std::string annotation, hash, missing;
  if (name == "ca" && phase == "advance") {
    annotation = "redoubt.dev/trusted-roots";
    missing = "does not trust the next authority yet";
    RD_TRY(hash, hash_of(c, "ca-next"));
  } else if (name == "ca" && phase == "finish" && !given.contains(pki::kKubeletClientSigner)) {
    annotation = "redoubt.dev/client-certificate-issuer";
    missing = "still shows a client certificate of the previous authority";
    RD_TRY(hash, hash_of(c, "ca"));
  } else if (name == "kubelet-ca" && phase == "finish" && !given.contains(pki::kKubeletServingSigner)) {
    annotation = "redoubt.dev/serving-certificate-issuer";
    missing = "still shows a serving certificate of the previous authority";
    RD_TRY(hash, hash_of(c, "kubelet-ca"));
  } else {
    return {};
  }
  return with_admin(c.kubeconfig, c.data_dir,
                    [&](client::Client& api) { return nodes_ready(api, annotation, hash, missing); });
}

Result<void> rotate(const CertsCommand& c) {
  std::vector<std::string> names;
  if (c.authority == "all") {
    names.assign(std::begin(pki::kAuthorities), std::end(pki::kAuthorities));
  } else {
    names = {c.authority};
  }
  if (c.phase == "status") {
    std::vector<std::vector<std::string>> rows = {{"AUTHORITY", "PHASE", "NEXT"}};
    for (const std::string& name : names) {
      RD_TRY(pki::RotationPhase phase, pki::rotation_phase(c.folder(), name));
      RD_TRY(std::string external, pki::why_external(c.folder(), name));
      if (phase == pki::RotationPhase::None && !external.empty()) {
        rows.push_back({name, external, "(replace the file)"});
        continue;
      }
      rows.push_back({name,
                      phase == pki::RotationPhase::None      ? "none under way"
                      : phase == pki::RotationPhase::Trusted ? "1: the next one is trusted"
                                                             : "2: the new one signs, the old one is trusted",
                      phase == pki::RotationPhase::None      ? "begin"
                      : phase == pki::RotationPhase::Trusted ? "advance (or cancel)"
                                                             : "finish"});
    }
    print_table(rows);
    return {};
  }
  // "all" means all that are ours.
  if (c.authority == "all") {
    std::vector<std::string> ours;
    for (const std::string& name : names) {
      RD_TRY(std::string external, pki::why_external(c.folder(), name));
      RD_TRY(pki::RotationPhase phase, pki::rotation_phase(c.folder(), name));
      // One that was begun before is brought to its end.
      if (external.empty() || phase != pki::RotationPhase::None) {
        ours.push_back(name);
      } else {
        std::printf("%s: %s; it is not rotated here\n", name.c_str(), external.c_str());
      }
    }
    names = std::move(ours);
  }
  // All of them are checked before the first is changed.
  for (const std::string& name : names) {
    RD_TRY(pki::RotationPhase phase, pki::rotation_phase(c.folder(), name));
    bool right = c.phase == "begin"    ? phase == pki::RotationPhase::None
                 : c.phase == "finish" ? phase == pki::RotationPhase::Switched
                                       : phase == pki::RotationPhase::Trusted;
    if (right) RD_TRYV(safe(c, name, c.phase));
  }
  for (const std::string& name : names) {
    RD_TRYV(c.phase == "begin"     ? pki::begin_rotation(c.folder(), name)
            : c.phase == "advance" ? pki::advance_rotation(c.folder(), name)
            : c.phase == "finish"  ? pki::finish_rotation(c.folder(), name)
                                   : pki::cancel_rotation(c.folder(), name));
    std::printf("%s: %s\n", name.c_str(),
                c.phase == "begin"     ? "the next one is made and trusted; say `advance` when every node knows it"
                : c.phase == "advance" ? "the new one signs; say `finish` when nothing of the old one is in use"
                : c.phase == "finish"  ? "the old one is forgotten"
                                       : "the next one is thrown away");
  }
  return {};
}

}  // namespace

Command make_certs_command(CLI::App& program) {
  CLI::App* command = program.add_subcommand("certs", "the server's certificates: list, renew, rotate authorities");
  command->require_subcommand(1);
  auto c = std::make_shared<CertsCommand>();
  add_admin_flags(*command, c->kubeconfig, c->data_dir);
  CLI::App* lists = command->add_subcommand("list", "what there is, and for how long");
  lists->add_option("-o,--output", c->output, "table or json")->check(CLI::IsMember({"table", "json"}));
  CLI::App* renews = command->add_subcommand("renew", "make certificates anew, before their time");
  renews->add_option("name", c->names, "which, by name (default: all)");
  CLI::App* rotates = command->add_subcommand("rotate-ca", "replace an authority, in phases, while the cluster runs");
  rotates->add_option("phase", c->phase, "status, begin, advance, finish or cancel")
      ->default_str("status")
      ->check(CLI::IsMember({"status", "begin", "advance", "finish", "cancel"}));
  rotates->add_option("--authority", c->authority, "ca, kubelet-ca, front-proxy-ca, sa (the token key), or all")
      ->check(CLI::IsMember({"ca", "kubelet-ca", "front-proxy-ca", "sa", "all"}))
      ->capture_default_str();
  rotates->add_flag("--force", c->force, "don't ask whether every node is ready");
  return {command, [c, lists, renews] {
            if (c->phase.empty()) c->phase = "status";
            auto done = lists->parsed() ? list(*c) : renews->parsed() ? renew(*c) : rotate(*c);
            return done ? 0 : fail(done.error());
          }};
}

}  // namespace redoubt::cmd
