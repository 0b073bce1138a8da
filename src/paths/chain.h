// A shown chain of certificates, judged after the handshake: by whom it is signed, for which name, for how long.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"

namespace redoubt::paths {

struct ChainFacts {
  bool verified = false;           // for server use, by one of the authorities given, now
  std::string problem;             // why not, in Go's words
  bool self_signed = false;        // the leaf names itself, or an authority of the same host, as issuer
  std::string subject;             // the leaf's common name
  std::string authority;           // who signed: the CA's name, or the last of the chain
  std::vector<std::string> names;  // its DNS names and addresses
  std::optional<int64_t> days_left;
  bool names_host(std::string_view host) const;
};
// `ca_pem` empty: nothing verifies. Any thread.
ChainFacts judge_chain(const std::vector<std::string>& chain_der, const std::string& ca_pem, Timestamp at);

}  // namespace redoubt::paths
