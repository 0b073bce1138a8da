#include "egress/ssh/known_hosts.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <optional>

#include "base/encoding.h"
#include "egress/ssh/limits.h"

namespace redoubt::egress::ssh {

namespace {

std::string_view next_field(std::string_view& rest) {
  size_t from = rest.find_first_not_of(" \t");
  rest.remove_prefix(from == std::string_view::npos ? rest.size() : from);
  size_t end = std::min(rest.find_first_of(" \t"), rest.size());
  std::string_view out = rest.substr(0, end);
  rest.remove_prefix(end);
  return out;
}

// The first string of an RFC 4253 blob: the key's type.
std::string_view type_in(std::string_view blob) {
  if (blob.size() < 4) return {};
  size_t size = 0;
  for (int i = 0; i < 4; ++i) size = size << 8 | static_cast<unsigned char>(blob[static_cast<size_t>(i)]);
  return size > blob.size() - 4 ? std::string_view() : blob.substr(4, size);
}

std::optional<HostKey> parse_key(std::string_view& rest) {
  std::string_view type = next_field(rest), text = next_field(rest);
  if (type.empty() || text.empty() || text.size() > kMaxKeyText) return std::nullopt;
  auto blob = base64_decode(text);
  if (!blob || type_in(*blob) != type) return std::nullopt;
  return HostKey{std::string(type), std::move(*blob)};
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

// * and ?, without recursion: a pattern is somebody's text.
bool matches_pattern(std::string_view pattern, std::string_view name) {
  size_t p = 0, n = 0, star = std::string_view::npos, mark = 0;
  while (n < name.size()) {
    if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n]) && pattern[p] != '*') {
      ++p, ++n;
    } else if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      mark = n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++mark;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

bool matches_hashed(std::string_view field, std::string_view name) {
  field.remove_prefix(3);  // "|1|"
  size_t bar = field.find('|');
  if (bar == std::string_view::npos) return false;
  auto salt = base64_decode(field.substr(0, bar)), hash = base64_decode(field.substr(bar + 1));
  if (!salt || !hash || hash->size() != 20) return false;
  unsigned char out[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  HMAC(EVP_sha1(), salt->data(), static_cast<int>(salt->size()), reinterpret_cast<const unsigned char*>(name.data()),
       name.size(), out, &size);
  return size == hash->size() && CRYPTO_memcmp(out, hash->data(), size) == 0;
}

bool matches(std::string_view field, std::string_view name) {
  if (field.starts_with("|1|")) return matches_hashed(field, name);
  std::string all = lower(field);
  std::string_view rest = all;
  bool found = false;
  while (!rest.empty()) {
    size_t comma = std::min(rest.find(','), rest.size());
    std::string_view pattern = rest.substr(0, comma);
    rest.remove_prefix(std::min(comma + 1, rest.size()));
    bool negated = pattern.starts_with('!');
    if (negated) pattern.remove_prefix(1);
    if (!matches_pattern(pattern, name)) continue;
    if (negated) return false;
    found = true;
  }
  return found;
}

template <class Each>
void for_each_line(std::string_view text, Each each) {
  while (!text.empty()) {
    size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    size_t from = line.find_first_not_of(" \t");
    if (from == std::string_view::npos || line[from] == '#') continue;
    each(line);
  }
}

}  // namespace

std::string HostKey::fingerprint() const {
  unsigned char digest[32];
  EVP_Digest(blob.data(), blob.size(), digest, nullptr, EVP_sha256(), nullptr);
  std::string out = base64_encode({reinterpret_cast<char*>(digest), sizeof digest});
  while (out.ends_with('=')) out.pop_back();
  return "SHA256:" + out;
}

std::vector<HostKey> parse_public_keys(std::string_view text) {
  std::vector<HostKey> out;
  for_each_line(text, [&](std::string_view line) {
    auto key = parse_key(line);
    if (key && out.size() < kMaxHostKeys) out.push_back(std::move(*key));
  });
  return out;
}

KnownHosts KnownHosts::parse(std::string_view text) {
  KnownHosts out;
  for_each_line(text, [&](std::string_view line) {
    std::string_view hosts = next_field(line);
    bool revoked = hosts == "@revoked";
    if (revoked) hosts = next_field(line);
    auto key = hosts.starts_with('@') ? std::nullopt : parse_key(line);
    if (!key) {
      ++out.skipped_;
    } else if (revoked) {
      out.revoked_.push_back(std::move(*key));
    } else {
      out.lines_.push_back({std::string(hosts), std::move(*key)});
    }
  });
  return out;
}

std::vector<HostKey> KnownHosts::keys_of(const std::vector<std::string>& names, uint16_t port) const {
  std::vector<HostKey> out;
  for (const Line& line : lines_) {
    bool known = false;
    for (const std::string& name : names) {
      std::string wanted = port == 22 ? lower(name) : fmt::format("[{}]:{}", lower(name), port);
      known = known || matches(line.hosts, wanted);
    }
    if (known && !revoked(line.key) && std::find(out.begin(), out.end(), line.key) == out.end())
      out.push_back(line.key);
  }
  return out;
}

bool KnownHosts::revoked(const HostKey& key) const {
  return std::find(revoked_.begin(), revoked_.end(), key) != revoked_.end();
}

}  // namespace redoubt::egress::ssh
