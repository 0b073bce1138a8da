// Which key a host may show: OpenSSH's known_hosts, and the keys that a Node object publishes.
//
// Values; nothing here reads a file. Lines: https://man.openbsd.org/sshd.8#SSH_KNOWN_HOSTS_FILE_FORMAT. Host names may
// be patterns (*, ?, !) or hashed (|1|salt|hash). @cert-authority is not supported: such lines are left out, and what
// they would vouch for is refused.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace redoubt::egress::ssh {

struct HostKey {
  std::string type;  // "ssh-ed25519"
  std::string blob;  // the public key as RFC 4253 has it, raw bytes
  bool operator==(const HostKey&) const = default;
  // "SHA256:...", as ssh-keygen -l shows it.
  std::string fingerprint() const;
};

// Lines of "TYPE BASE64 [COMMENT]", as in a .pub file and in the annotation. What doesn't parse, or contradicts itself
// (the blob names another type), is left out.
std::vector<HostKey> parse_public_keys(std::string_view text);

class KnownHosts {
 public:
  static KnownHosts parse(std::string_view text);
  // What any of these names, at that port, may show; revoked keys are left out. Names are compared without case.
  std::vector<HostKey> keys_of(const std::vector<std::string>& names, uint16_t port) const;
  bool revoked(const HostKey& key) const;
  // Lines that were no known host: not understood, or @cert-authority.
  size_t skipped() const { return skipped_; }

 private:
  struct Line {
    std::string hosts;  // the field as it is
    HostKey key;
  };
  std::vector<Line> lines_;
  std::vector<HostKey> revoked_;
  size_t skipped_ = 0;
};

}  // namespace redoubt::egress::ssh
