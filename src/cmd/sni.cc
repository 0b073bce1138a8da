#include "cmd/sni.h"

#include <cctype>

#include "pki/certificate.h"

namespace redoubt::cmd {

namespace {

std::vector<std::string> split(std::string_view text, char at) {
  std::vector<std::string> out;
  while (true) {
    size_t end = text.find(at);
    out.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return out;
    text.remove_prefix(end + 1);
  }
}

}  // namespace

Result<std::vector<SniFiles>> parse_sni(const std::vector<std::string>& values) {
  std::vector<SniFiles> out;
  for (const std::string& value : values) {
    size_t colon = value.find(':');
    std::vector<std::string> files = split(std::string_view(value).substr(0, colon), ',');
    if (files.size() != 2 || files[0].empty() || files[1].empty())
      return bad_request(
          fmt::format("--tls-sni-cert-key: \"{}\" is not of the form CERT,KEY or CERT,KEY:NAME,NAME", value));
    SniFiles one{files[0], files[1], {}};
    if (colon != std::string::npos) {
      one.names = split(std::string_view(value).substr(colon + 1), ',');
      for (std::string& name : one.names) {
        if (name.empty()) return bad_request(fmt::format("--tls-sni-cert-key: \"{}\" has an empty name", value));
        for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
      }
    }
    out.push_back(std::move(one));
  }
  return out;
}

Result<std::vector<net::TlsServerContext::Options::Sni>> read_sni(const std::vector<SniFiles>& files) {
  std::vector<net::TlsServerContext::Options::Sni> out;
  for (const SniFiles& one : files) {
    RD_TRY(std::string certificate, pki::read_file(one.certificate));
    RD_TRY(std::string key, pki::read_file(one.key));
    if (!pki::belongs_together({certificate, key}))
      return bad_request(
          fmt::format("{} is not the certificate of the key {} (--tls-sni-cert-key)", one.certificate, one.key));
    out.push_back({std::move(certificate), std::move(key), one.names});
  }
  return out;
}

}  // namespace redoubt::cmd
