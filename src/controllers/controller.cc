#include "controllers/controller.h"

#include <algorithm>

namespace redoubt::controllers {

std::pair<std::string, std::string> split_key(const std::string& key) {
  size_t slash = key.find('/');
  if (slash == std::string::npos) return {"", key};
  return {key.substr(0, slash), key.substr(slash + 1)};
}

bool matches(const meta::LabelSelector& selector, const std::map<std::string, std::string>& labels) {
  for (const auto& [key, value] : selector.matchLabels) {
    auto it = labels.find(key);
    if (it == labels.end() || it->second != value) return false;
  }
  for (const auto& e : selector.matchExpressions) {
    auto it = labels.find(e.key);
    bool there = it != labels.end();
    bool in = there && std::find(e.values.begin(), e.values.end(), it->second) != e.values.end();
    bool ok = e.operator_ == "In" ? in : e.operator_ == "NotIn" ? !in : e.operator_ == "Exists" ? there : !there;
    if (!ok) return false;
  }
  return true;
}

}  // namespace redoubt::controllers
