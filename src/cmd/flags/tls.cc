// Flags of the secure port's certificates, and of how long what the cluster signs is valid.
#include <CLI/CLI.hpp>

#include "base/time.h"
#include "cmd/flags/flags.h"

namespace redoubt::cmd {

void add_duration(CLI::App& command, const std::string& name, std::chrono::seconds& into, const std::string& help) {
  command
      .add_option_function<std::string>(
          name,
          [&into, name](const std::string& text) {
            auto parsed = parse_go_duration(text);
            if (!parsed || *parsed < std::chrono::seconds(1))
              throw CLI::ValidationError(name, "a duration of a second or more is meant, such as 8760h or 90s");
            into = std::chrono::duration_cast<std::chrono::seconds>(*parsed);
          },
          help)
      ->type_name("DURATION")
      ->default_str(format_go_duration(into));
}

void add_tls_flags(CLI::App& command, ServerOptions& options) {
  TlsOptions& tls = options.tls;
  command.add_option("--tls-cert-file", tls.cert_file,
                     "certificate of the secure port, with its chain (default: the server makes its own)");
  command.add_option("--tls-private-key-file", tls.private_key_file, "key of --tls-cert-file");
  command.add_option("--root-ca-file", tls.root_ca_file,
                     "authorities that clients know --tls-cert-file by; told to nodes, pods and kubeconfigs, besides "
                     "the cluster's own");
  command
      .add_option("--tls-sni-cert-key", tls.sni_cert_keys,
                  "CERT,KEY or CERT,KEY:NAME,NAME: a certificate for clients that ask for a name; may be repeated")
      ->allow_extra_args(false);
  command.add_option("--tls-min-version", tls.policy.min_version, "VersionTLS12 or VersionTLS13")
      ->default_str("VersionTLS12");
  command.add_option("--tls-cipher-suites", tls.policy.cipher_suites, "suites offered, by their IANA names")
      ->delimiter(',');
  add_duration(command, "--cluster-signing-duration", tls.cluster_signing_duration,
               "how long a certificate signed for a request is valid, unless it asks for less");
  add_duration(command, "--certificate-duration", tls.certificate_duration,
               "how long the server's own certificates are valid; they are renewed at seven tenths of it");
}

}  // namespace redoubt::cmd
