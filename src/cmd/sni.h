// Certificates by name: the values of --tls-sni-cert-key.
#pragma once
#include <string>
#include <vector>

#include "base/status.h"
#include "net/tls.h"

namespace redoubt::cmd {

struct SniFiles {
  std::string certificate, key;
  std::vector<std::string> names;  // empty: those of the certificate
};

// "cert,key" and "cert,key:name,*.name". BadRequest for anything else.
Result<std::vector<SniFiles>> parse_sni(const std::vector<std::string>& values);
// Blocking; errors name the file.
Result<std::vector<net::TlsServerContext::Options::Sni>> read_sni(const std::vector<SniFiles>& files);

}  // namespace redoubt::cmd
