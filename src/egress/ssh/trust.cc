#include "egress/ssh/trust.h"

#include <openssl/crypto.h>
#include <sys/stat.h>

#include <fstream>

#include "base/log.h"
#include "egress/ssh/limits.h"

namespace redoubt::egress::ssh {

namespace {

Result<std::string> read_file(const std::string& path, std::string_view flag) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return bad_request(fmt::format("{}: {} can't be read", flag, path));
  std::string out;
  char piece[4096];
  while (file.read(piece, sizeof piece), file.gcount() > 0) {
    out.append(piece, static_cast<size_t>(file.gcount()));
    if (out.size() > kMaxFileBytes)
      return bad_request(fmt::format("{}: {} is larger than {} bytes", flag, path, kMaxFileBytes));
  }
  OPENSSL_cleanse(piece, sizeof piece);
  return out;
}

}  // namespace

std::vector<HostKey> Trust::of(const std::string& node, const std::string& address, uint16_t port,
                               const std::string& published) const {
  std::vector<HostKey> out = known_hosts.keys_of({address, node}, port);
  // Who keeps a file decides by it: what a node says of itself can't add to that.
  if (!out.empty()) return out;
  out = parse_public_keys(published);
  std::erase_if(out, [this](const HostKey& key) { return known_hosts.revoked(key); });
  return out;
}

Result<std::shared_ptr<const Trust>> read_trust(const std::string& key_file, const std::string& known_hosts_file) {
  struct stat info{};
  if (::stat(key_file.c_str(), &info) == 0 && (info.st_mode & 077) != 0)
    return bad_request(fmt::format("--ssh-keyfile: {} may be read by others (mode {:04o}); chmod it to 0600", key_file,
                                   info.st_mode & 07777));
  auto out = std::make_shared<Trust>();
  RD_TRY(std::string key, read_file(key_file, "--ssh-keyfile"));
  if (key.find("PRIVATE KEY-----") == std::string::npos)
    return bad_request(fmt::format("--ssh-keyfile: {} holds no private key", key_file));
  out->private_key = std::shared_ptr<const std::string>(new std::string(std::move(key)), [](std::string* secret) {
    OPENSSL_cleanse(secret->data(), secret->size());
    delete secret;
  });
  if (!known_hosts_file.empty()) {
    RD_TRY(std::string text, read_file(known_hosts_file, "--ssh-known-hosts"));
    out->known_hosts = KnownHosts::parse(text);
    out->known_hosts_file = known_hosts_file;
    if (out->known_hosts.skipped() > 0)
      log_warning("lines of the known-hosts file are left out",
                  {{"path", "tunnel-ssh"}, {"file", known_hosts_file}, {"lines", out->known_hosts.skipped()}});
  }
  return out;
}

}  // namespace redoubt::egress::ssh
