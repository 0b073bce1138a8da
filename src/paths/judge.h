// From facts to verdicts.
//
//   secure   both ends are proven, what passes is encrypted, and who asks is asked for its rights
//   weak     encrypted, but one end is not proven, or a credential opens more than it should
//   open     readable on the network, or open to whoever asks
//   unknown  can't be seen from here; the finding says what would show it
//   unused   this cluster has no such path
//
// Pure: the same facts give the same report.
#pragma once
#include "paths/facts.h"
#include "paths/observation.h"

namespace redoubt::paths {

Report judge(const Facts& facts);

// The parts, each in a file of its own: they append the observations of their paths.
void judge_to_control_plane(const Facts& facts, std::vector<Observation>& out);
void judge_nodes(const Facts& facts, std::vector<Observation>& out);
void judge_cluster(const Facts& facts, std::vector<Observation>& out);
void judge_tunnels(const Facts& facts, std::vector<Observation>& out);
// Of a server that does not say itself how it dials: does its proxy to `what` send plain HTTP?
void judge_plaintext(const Facts& facts, std::string_view what, Observation& o);

// The flag's value; `fallback` where the flags can be seen and it isn't set; nothing where they can't.
std::optional<std::string> flag_value(const Facts& facts, const std::string& name, std::string fallback = {});
// Of Redoubt's metrics: the sum of `family` over the series with that path; nothing where there is none.
std::optional<int64_t> live_of(const Facts& facts, std::string_view family, std::string_view path);
// Did a probe of that id give a verdict?
bool proven(const Facts& facts, std::string_view probe_id, std::string_view node = {});

}  // namespace redoubt::paths
