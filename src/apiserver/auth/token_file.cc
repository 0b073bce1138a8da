#include "apiserver/auth/token_file.h"

#include <fmt/format.h>

#include "pki/jwt.h"

namespace redoubt::apiserver {

Attempt StaticTokens::authenticate(std::string_view token, const std::vector<std::string>& audiences) const {
  const StaticToken* known = nullptr;
  for (const StaticToken& one : tokens_) {
    if (pki::equal_secrets(one.token, token)) known = &one;  // no early end: the time tells nothing of the place
  }
  if (known == nullptr) return {};
  auto matched = common_audiences(audiences, api_audiences_);
  if (!matched) return Error(matched.error());
  return Authentication{known->user, std::move(*matched), ""};
}

Result<std::vector<StaticToken>> parse_token_file(std::string_view csv) {
  std::vector<StaticToken> out;
  size_t number = 0;
  while (!csv.empty()) {
    size_t end = csv.find('\n');
    std::string_view line = csv.substr(0, end);
    csv = end == std::string_view::npos ? std::string_view() : csv.substr(end + 1);
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (trimmed(line).empty() || line.starts_with('#')) continue;
    // Cells, of which one may be quoted to hold commas; a quote in it is written twice.
    std::vector<std::string> cells(1);
    bool quoted = false;
    for (size_t i = 0; i < line.size(); ++i) {
      if (line[i] == '"' && quoted && i + 1 < line.size() && line[i + 1] == '"') {
        cells.back() += '"';
        ++i;
      } else if (line[i] == '"') {
        quoted = !quoted;
      } else if (line[i] == ',' && !quoted) {
        cells.emplace_back();
      } else {
        cells.back() += line[i];
      }
    }
    if (quoted || cells.size() < 3 || trimmed(cells[0]).empty() || trimmed(cells[1]).empty())
      return bad_request(fmt::format("token file, line {}: token,user,uid[,\"group,group\"] is wanted", number));
    StaticToken entry;
    entry.token = trimmed(cells[0]);
    entry.user.name = trimmed(cells[1]);
    entry.user.uid = trimmed(cells[2]);
    std::string_view groups = cells.size() > 3 ? std::string_view(cells[3]) : std::string_view();
    while (!groups.empty()) {
      size_t comma = groups.find(',');
      if (std::string_view group = trimmed(groups.substr(0, comma)); !group.empty())
        entry.user.groups.emplace_back(group);
      groups = comma == std::string_view::npos ? std::string_view() : groups.substr(comma + 1);
    }
    entry.user.groups.emplace_back(kAuthenticated);
    out.push_back(std::move(entry));
  }
  return out;
}

}  // namespace redoubt::apiserver
