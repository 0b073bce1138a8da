// Flags of external authorities, under kube-controller-manager's names, and everything else that is given by files.
#include <CLI/CLI.hpp>

#include "cmd/flags/flags.h"

namespace redoubt::cmd {

namespace {

// A pair of files; nothing where neither was given.
Result<void> add_pair(pki::Given& out, std::initializer_list<std::string_view> names, const std::string& cert_flag,
                      const std::string& cert_file, const std::string& key_flag, const std::string& key_file) {
  if (cert_file.empty() && key_file.empty()) return {};
  if (cert_file.empty())
    return bad_request(fmt::format("{} is given without {}: they go together", key_flag, cert_flag));
  if (key_file.empty())
    return bad_request(fmt::format("{} is given without {}: they go together", cert_flag, key_flag));
  for (std::string_view name : names) out[std::string(name)] = {cert_flag, cert_file, key_flag, key_file};
  return {};
}

std::string signing_flag(std::string_view signer, std::string_view what) {
  return fmt::format("--cluster-signing-{}{}{}-file", signer, signer.empty() ? "" : "-", what);
}

}  // namespace

void add_signing_flags(CLI::App& command, SigningOptions& options) {
  auto add = [&](const char* signer, SigningOptions::Pair& into, const std::string& what) {
    command.add_option(signing_flag(signer, "cert"), into.cert_file, "authority that signs " + what);
    command.add_option(signing_flag(signer, "key"), into.key_file, "its key");
  };
  add("", options.all_clients, "client certificates of kubelets, people and programs (default: the cluster's own)");
  add("kube-apiserver-client", options.client, "client certificates of people and programs only");
  add("kubelet-client", options.kubelet_client, "client certificates of kubelets only");
  add("kubelet-serving", options.kubelet_serving,
      "kubelets' serving certificates; it must be none that clients know the API server by");
}

Result<pki::Given> given_files(const ServerOptions& o) {
  pki::Given out;
  const SigningOptions& s = o.signing;
  auto any = [](const SigningOptions::Pair& pair) { return !pair.cert_file.empty() || !pair.key_file.empty(); };
  // Upstream's rule.
  if (any(s.all_clients) && (any(s.client) || any(s.kubelet_client) || any(s.kubelet_serving)))
    return bad_request(
        "cannot specify --cluster-signing-{cert,key}-file and other --cluster-signing-*-file flags at the same time");
  auto signer = [&](std::string_view flag, const SigningOptions::Pair& pair,
                    std::initializer_list<std::string_view> names) {
    return add_pair(out, names, signing_flag(flag, "cert"), pair.cert_file, signing_flag(flag, "key"), pair.key_file);
  };
  RD_TRYV(signer("", s.all_clients, {pki::kClientSigner, pki::kKubeletClientSigner}));
  RD_TRYV(signer("kube-apiserver-client", s.client, {pki::kClientSigner}));
  RD_TRYV(signer("kubelet-client", s.kubelet_client, {pki::kKubeletClientSigner}));
  RD_TRYV(signer("kubelet-serving", s.kubelet_serving, {pki::kKubeletServingSigner}));
  RD_TRYV(add_pair(out, {"apiserver"}, "--tls-cert-file", o.tls.cert_file, "--tls-private-key-file",
                   o.tls.private_key_file));
  RD_TRYV(add_pair(out, {"apiserver-kubelet-client"}, "--kubelet-client-certificate",
                   o.connect.kubelet_client_certificate, "--kubelet-client-key", o.connect.kubelet_client_key));
  RD_TRYV(add_pair(out, {"front-proxy-client"}, "--proxy-client-cert-file", o.connect.proxy_client_cert_file,
                   "--proxy-client-key-file", o.connect.proxy_client_key_file));
  if (!o.tls.root_ca_file.empty()) out[std::string(pki::kRootCa)] = {"--root-ca-file", o.tls.root_ca_file, "", ""};
  if (!o.authentication.service_account_signing_key_file.empty())
    out["sa"] = {"", "", "--service-account-signing-key-file", o.authentication.service_account_signing_key_file};
  return out;
}

}  // namespace redoubt::cmd
