#include "paths/observation.h"

#include <algorithm>

namespace redoubt::paths {

std::string_view verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::Unused:
      return "unused";
    case Verdict::Secure:
      return "secure";
    case Verdict::Unknown:
      return "unknown";
    case Verdict::Weak:
      return "weak";
    case Verdict::Open:
      return "open";
  }
  return "unknown";
}

const Finding* Observation::worst() const {
  auto it = std::max_element(findings.begin(), findings.end(),
                             [](const Finding& a, const Finding& b) { return a.verdict < b.verdict; });
  return it == findings.end() ? nullptr : &*it;
}

Verdict Observation::verdict() const {
  const Finding* found = worst();
  return found == nullptr ? Verdict::Unknown : found->verdict;
}

void Observation::add(Verdict verdict, std::string id, std::string saw, std::string advice) {
  findings.push_back({verdict, std::move(id), std::move(saw), std::move(advice)});
}

Verdict Report::worst() const {
  Verdict out = Verdict::Unused;
  for (const Observation& o : observations) out = std::max(out, o.verdict());
  return out;
}

size_t Report::count(Verdict verdict) const {
  return static_cast<size_t>(
      std::ranges::count_if(observations, [&](const Observation& o) { return o.verdict() == verdict; }));
}

}  // namespace redoubt::paths
