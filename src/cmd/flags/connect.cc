// Flags of the API server's way to nodes, pods and Services.
#include <CLI/CLI.hpp>

#include "base/time.h"
#include "cmd/flags/flags.h"

namespace redoubt::cmd {

namespace {

template <class Policy>
void add_policy(CLI::App& command, const char* name, Policy& policy, std::map<std::string, Policy> words,
                const char* help) {
  command.add_option(name, policy, help)->transform(CLI::CheckedTransformer(std::move(words)));
}

}  // namespace

void add_connect_flags(CLI::App& command, ConnectOptions& options) {
  using namespace apiserver;
  command.add_option("--kubelet-certificate-authority", options.kubelet_certificate_authority,
                     "file of the authorities of kubelets' serving certificates; these must then carry the address "
                     "dialled (default: the cluster's own kubelet authority, and the certificate must name the node)");
  command.add_option("--kubelet-client-certificate", options.kubelet_client_certificate,
                     "file of the certificate shown to kubelets (default: one of the cluster's authority)");
  command.add_option("--kubelet-client-key", options.kubelet_client_key, "file of its key");
  command.add_option("--proxy-client-cert-file", options.proxy_client_cert_file,
                     "file of the certificate by which aggregated API servers know this one (default: one of the "
                     "cluster's front-proxy authority)");
  command.add_option("--proxy-client-key-file", options.proxy_client_key_file, "file of its key");
  command
      .add_option("--kubelet-preferred-address-types", options.kubelet_preferred_address_types,
                  "types of a node's addresses, the one to take first in front")
      ->delimiter(',')
      ->check(CLI::IsMember({"Hostname", "InternalDNS", "InternalIP", "ExternalDNS", "ExternalIP"}))
      ->capture_default_str();
  command.add_option_function<std::string>(
      "--kubelet-timeout",
      [&options](const std::string& text) {
        auto value = parse_go_duration(text);
        if (!value || value->count() <= 0) throw CLI::ValidationError("--kubelet-timeout", "is no duration like 5s");
        options.kubelet_timeout = std::chrono::ceil<std::chrono::milliseconds>(*value);
      },
      "how long connecting to a kubelet may take (default: 5s)");
  add_policy<PlaintextPolicy>(command, "--proxy-plaintext", options.proxy.plaintext,
                              {{"refuse", PlaintextPolicy::Refuse}, {"allow", PlaintextPolicy::Allow}},
                              "proxied requests that would cross the network unencrypted: refuse (default) or allow");
  add_policy<UnverifiedTlsPolicy>(
      command, "--proxy-unverified-tls", options.proxy.unverified_tls,
      {{"refuse", UnverifiedTlsPolicy::Refuse}, {"report", UnverifiedTlsPolicy::Report}},
      "proxied https to what names no authority: report it in the answer (default) or refuse");
  add_policy<CookiePolicy>(
      command, "--proxy-cookies", options.proxy.cookies,
      {{"scoped", CookiePolicy::Scoped}, {"drop", CookiePolicy::Drop}, {"forward", CookiePolicy::Forward}},
      "cookies of proxied backends: scoped to each (default), drop, or forward as they are");
}

}  // namespace redoubt::cmd
