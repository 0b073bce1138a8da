// --tls-min-version and --tls-cipher-suites: upstream's names, of what is strong enough to be offered at all.
#include <openssl/ssl.h>

#include "net/tls_context.h"

namespace redoubt::net {

namespace {

// TLS 1.2 with forward secrecy and AEAD only; every suite of TLS 1.3 has both.
constexpr std::string_view kSuites[] = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",       "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",       "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
};
constexpr std::string_view kSuites13[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                          "TLS_CHACHA20_POLY1305_SHA256"};

template <size_t N>
bool among(const std::string_view (&list)[N], std::string_view name) {
  return std::find(std::begin(list), std::end(list), name) != std::end(list);
}

// The older names of two suites, which upstream takes too.
std::string modern(std::string_view name) {
  if (name == "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305" || name == "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305")
    return std::string(name) + "_SHA256";
  return std::string(name);
}

}  // namespace

Result<void> check_policy(const TlsPolicy& policy) {
  if (!policy.min_version.empty() && policy.min_version != "VersionTLS12" && policy.min_version != "VersionTLS13") {
    return bad_request(
        fmt::format("TLS version \"{}\" is not offered: VersionTLS12 or VersionTLS13 is meant", policy.min_version));
  }
  bool has12 = policy.cipher_suites.empty();
  for (const std::string& name : policy.cipher_suites) {
    std::string suite = modern(name);
    has12 = has12 || among(kSuites, suite);
    if (!among(kSuites, suite) && !among(kSuites13, suite)) {
      return bad_request(
          fmt::format("cipher suite \"{}\" is unknown, or has no forward secrecy or no AEAD; "
                      "offered are {}, {}",
                      name, fmt::join(kSuites, ", "), fmt::join(kSuites13, ", ")));
    }
  }
  if (!has12 && policy.min_version != "VersionTLS13")
    return bad_request("the cipher suites name none of TLS 1.2: add one, or ask for VersionTLS13 at least");
  return {};
}

void apply_policy(SSL_CTX* context, const TlsPolicy& policy) {
  if (policy.min_version == "VersionTLS13") SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  std::string suites12, suites13;
  for (const std::string& name : policy.cipher_suites) {
    std::string suite = modern(name);
    if (among(kSuites13, suite)) {
      suites13 += (suites13.empty() ? "" : ":") + suite;
    } else {
      suites12 += (suites12.empty() ? "" : ":") + std::string(OPENSSL_cipher_name(suite.c_str()));
    }
  }
  if (!suites12.empty()) SSL_CTX_set_cipher_list(context, suites12.c_str());
  if (!suites13.empty()) SSL_CTX_set_ciphersuites(context, suites13.c_str());
}

}  // namespace redoubt::net
