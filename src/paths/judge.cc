#include "paths/judge.h"

#include <algorithm>
#include <ranges>

#include "paths/catalogue.h"
#include "paths/rbac.h"

namespace redoubt::paths {

std::optional<std::string> flag_value(const Facts& facts, const std::string& name, std::string fallback) {
  if (!facts.apiserver_flags) return std::nullopt;
  auto it = facts.apiserver_flags->find(name);
  return it == facts.apiserver_flags->end() ? fallback : it->second;
}

std::optional<int64_t> live_of(const Facts& facts, std::string_view family, std::string_view path) {
  std::optional<int64_t> out;
  std::string label = "path=\"" + std::string(path) + "\"";
  for (const auto& [name, value] : facts.metrics) {
    if (!name.starts_with(std::string(family) + "{") || name.find(label) == std::string::npos) continue;
    out = out.value_or(0) + static_cast<int64_t>(value);
  }
  return out;
}

bool proven(const Facts& facts, std::string_view probe_id, std::string_view node) {
  return std::ranges::any_of(facts.probes, [&](const ProbeResult& p) {
    return p.id == probe_id && (node.empty() || p.node == node) && p.verdict != Verdict::Unknown;
  });
}

Report judge(const Facts& facts) {
  Report report;
  report.cluster = facts.server_url;
  report.server_version = facts.server_version;
  report.at = facts.at;
  report.probed = !facts.probes.empty();
  report.probes = facts.probes;
  std::vector<Observation>& all = report.observations;
  judge_to_control_plane(facts, all);
  judge_nodes(facts, all);
  judge_cluster(facts, all);
  judge_tunnels(facts, all);

  auto first_of = [&](std::string_view path, std::string_view node) -> Observation* {
    for (Observation& o : all) {
      if (o.path == path && (node.empty() || o.node == node)) return &o;
    }
    return nullptr;
  };
  if (facts.grants) {
    for (RbacFinding& found : judge_grants(*facts.grants)) {
      if (Observation* o = first_of(found.path, "")) o->findings.push_back(std::move(found.finding));
    }
  }
  for (const ProbeResult& p : facts.probes) {
    if (p.verdict == Verdict::Unknown) continue;  // not done: it is in the report's list of probes
    if (Observation* o = first_of(p.path, p.node)) o->add(p.verdict, p.id, p.did + ": " + p.saw, p.advice);
  }
  // In the catalogue's order; a path's nodes stay in theirs.
  auto place = [](const Observation& o) {
    auto all_paths = catalogue();
    return std::ranges::find(all_paths, o.path, [](const PathFacts* p) { return p->id; }) - all_paths.begin();
  };
  std::ranges::stable_sort(all, {}, place);
  return report;
}

}  // namespace redoubt::paths
