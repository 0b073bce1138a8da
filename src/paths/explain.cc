#include "paths/explain.h"

#include <fmt/format.h>

#include <algorithm>

namespace redoubt::paths {

namespace {

constexpr size_t kColumns = 140;  // as the other files of docs/

size_t width(std::string_view text) {
  return static_cast<size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

void append_wrapped(std::string& out, std::string_view text, std::string_view first, std::string_view next,
                    size_t columns) {
  std::string line(first);
  bool empty = true;
  for (size_t at = 0; at < text.size();) {
    size_t end = text.find(' ', at);
    std::string_view word = text.substr(at, end == std::string_view::npos ? text.size() - at : end - at);
    if (!empty && width(line) + 1 + width(word) > columns) {
      out += line + "\n";
      line = next;
      empty = true;
    }
    if (!empty) line += ' ';
    line += word;
    empty = false;
    if (end == std::string_view::npos) break;
    at = end + 1;
  }
  out += line + "\n";
}

// [from] --link--> [to], in a box of code.
std::string diagram(const PathFacts& path, Language language) {
  std::string from(path.from.in(language)), to(path.to.in(language)), link(path.link.in(language));
  std::string bar = fmt::format("+{:-<{}}+", "", width(from) + 2);
  std::string bar_to = fmt::format("+{:-<{}}+", "", width(to) + 2);
  std::string gap(width(link) + 4, ' ');
  std::string arrow = fmt::format("{:-<{}}>", "", width(link) + 3);
  return fmt::format("    {0}{1}{2}\n    | {3} |  {4}  | {5} |\n    |{6:{7}}|{8}|{6:{9}}|\n    {0}{1}{2}\n", bar, gap,
                     bar_to, from, link, to, "", width(from) + 2, arrow, width(to) + 2);
}

struct Words {
  std::string_view carries, secured, elsewhere, advice, defaults, flags, shown, claim;
};
constexpr Words kEnglish{
    "Carries", "How it is secured here", "Elsewhere", "What to do there", "Defaults", "Flags", "Shown by", "Claim"};
constexpr Words kGerman{
    "Trägt", "Wie er hier gesichert ist", "Anderswo", "Was dort zu tun ist", "Vorgaben", "Flags", "Gezeigt durch",
    "Zusage"};

std::string section(const PathFacts& path, Language language, std::string_view heading, size_t columns) {
  const Words& w = language == Language::German ? kGerman : kEnglish;
  std::string out = fmt::format("{} `{}`\n\n{}\n", heading, path.id, diagram(path, language));
  auto paragraph = [&](std::string_view title, std::string_view text) {
    append_wrapped(out, fmt::format("**{}**: {}", title, text), "", "", columns);
    out += '\n';
  };
  paragraph(w.carries, path.carries.in(language));
  append_wrapped(out, path.secured.in(language), "", "", columns);
  out += '\n';
  paragraph(w.elsewhere, path.elsewhere.in(language));
  paragraph(w.advice, path.advice.in(language));
  paragraph(w.claim, path.claim.in(language));
  if (!path.defaults.empty()) {
    out += fmt::format("**{}**\n\n", w.defaults);
    for (const Text& text : path.defaults) append_wrapped(out, text.in(language), "- ", "  ", columns);
    out += '\n';
  }
  if (!path.flags.empty()) {
    out += fmt::format("**{}**\n\n", w.flags);
    for (const Flag& flag : path.flags)
      append_wrapped(out, fmt::format("`{}` (`{}`): {}", flag.name, flag.program, flag.meaning.in(language)), "- ",
                     "  ", columns);
    out += '\n';
  }
  if (!path.tests.empty()) {
    out += fmt::format("**{}**\n\n", w.shown);
    for (const Test& test : path.tests)
      append_wrapped(out, fmt::format("`{}` ({}): {}", test.file, test.name, test.shows.in(language)), "- ", "  ",
                     columns);
    out += '\n';
  }
  return out;
}

constexpr Text kTitle{"# The communication paths", "# Die Kommunikationspfade"};
constexpr Text kIntroduction{
    "Kubernetes is hub and spoke: traffic from the cluster ends at the API server's one secure port, traffic to the "
    "cluster starts there. Each path has an "
    "id, which logs, metrics, audit and tests use too. `redoubt paths` shows each of them in a running cluster, this "
    "one or any other, and "
    "`redoubt paths --probe` tries to break in. This file is what `redoubt paths explain` says.",
    "Kubernetes ist Nabe und Speichen: Verkehr aus dem Cluster endet am einen sicheren Port des API-Servers, Verkehr "
    "zum Cluster beginnt dort. Jeder Pfad hat "
    "eine Kennung, die auch Protokolle, Metriken, Audit und Tests verwenden. `redoubt paths` zeigt jeden davon in "
    "einem laufenden Cluster, diesem oder jedem "
    "anderen, und `redoubt paths --probe` versucht einzubrechen. Diese Datei ist, was `redoubt paths explain --lang "
    "de` sagt."};
constexpr Text kVerdicts{
    "Verdicts: **secure**: both ends are proven, what passes is encrypted, and rights are asked for. **weak**: "
    "encrypted, but one end is not proven, or a "
    "credential opens more than it should. **open**: readable on the network, or open to whoever asks. **unknown**: "
    "can't be seen from where one stands; "
    "nothing is assumed. **unused**: the cluster has no such path. The command's exit status is 0 when nothing is "
    "open, 1 when something is, 2 when the "
    "cluster can't be asked; `--fail-on weak` or `unknown` is stricter.",
    "Urteile: **secure** (sicher): beide Enden sind bewiesen, der Inhalt ist verschlüsselt, und nach Rechten wird "
    "gefragt. **weak** (schwach): verschlüsselt, "
    "aber ein Ende ist nicht bewiesen, oder Anmeldedaten öffnen mehr als sie sollten. **open** (offen): im Netz lesbar "
    "oder offen für jeden, der fragt. "
    "**unknown** (unbekannt): von hier aus nicht zu sehen; nichts wird vermutet. **unused** (ungenutzt): der Cluster "
    "hat keinen solchen Pfad. Der Befehl endet mit "
    "0, wenn nichts offen ist, mit 1, wenn etwas offen ist, mit 2, wenn der Cluster nicht zu befragen ist; `--fail-on "
    "weak` oder `unknown` ist strenger."};
constexpr Text kDirections[] = {{"## Cluster to control plane", "## Vom Cluster zur Control Plane"},
                                {"## Control plane to cluster", "## Von der Control Plane zum Cluster"},
                                {"## Tunnels", "## Tunnel"}};

}  // namespace

std::string explain(const PathFacts& path, Language language) {
  std::string out = section(path, language, "#", 96);
  while (out.ends_with("\n\n")) out.pop_back();
  return out;
}

std::string catalogue_document(Language language) {
  std::string out = fmt::format("{}\n\n", kTitle.in(language));
  append_wrapped(out, kIntroduction.in(language), "", "", kColumns);
  out += '\n';
  append_wrapped(out, kVerdicts.in(language), "", "", kColumns);
  for (Direction direction : {Direction::ToControlPlane, Direction::ToCluster, Direction::Tunnel}) {
    out += fmt::format("\n{}\n\n", kDirections[static_cast<size_t>(direction)].in(language));
    for (const PathFacts* path : catalogue()) {
      if (path->direction == direction) out += section(*path, language, "###", kColumns);
    }
    while (out.ends_with("\n\n")) out.pop_back();
  }
  return out;
}

std::string evidence_document() {
  std::string out =
      "# Evidence\n\n"
      "Each claim about a path and the tests that show it. Made from the catalogue of `redoubt paths`; a test checks "
      "that this file is what the\n"
      "catalogue says, and that each test named here exists. A claim without a test is none.\n\n"
      "| path | claim | shown by |\n| --- | --- | --- |\n";
  for (const PathFacts* path : catalogue()) {
    std::string tests;
    for (const Test& test : path->tests)
      tests += fmt::format("{}{}: [`{}`](../{})", tests.empty() ? "" : "<br>", test.shows.en, test.name, test.file);
    out += fmt::format("| `{}` | {} | {} |\n", path->id, path->claim.en, tests.empty() ? "**nothing yet**" : tests);
  }
  return out;
}

}  // namespace redoubt::paths
