#include "kubelet/node/identity.h"

#include "base/json_text.h"
#include "base/time.h"
#include "client/client.h"

namespace redoubt::kubelet {

namespace {

std::string pki_folder(const Options& options) {
  return options.root_dir + "/pki";
}

// One file holds both: PEM readers take the block of their kind.
Result<pki::KeyPair> split(std::string_view text) {
  pki::KeyPair out;
  constexpr std::string_view kBegin = "-----BEGIN ", kEnd = "-----END ";
  size_t at = 0;
  while ((at = text.find(kBegin, at)) != std::string_view::npos) {
    size_t end = text.find(kEnd, at);
    if (end == std::string_view::npos) break;
    end = text.find('\n', end);
    size_t next = end == std::string_view::npos ? text.size() : end + 1;
    std::string_view block = text.substr(at, next - at);
    bool certificate = block.substr(kBegin.size()).starts_with("CERTIFICATE-----");
    (certificate ? out.certificate_pem : out.private_key_pem) += block;
    at = next;
  }
  if (out.certificate_pem.empty() || out.private_key_pem.empty())
    return bad_request("a certificate and a key were looked for");
  return out;
}

}  // namespace

std::string certificate_path(const Options& options, NodeCertificate which) {
  return pki_folder(options) +
         (which == NodeCertificate::Client ? "/kubelet-client-current.pem" : "/kubelet-server-current.pem");
}

std::string kubeconfig_path(const Options& options) {
  return options.kubeconfig.empty() ? options.root_dir + "/kubeconfig" : options.kubeconfig;
}

std::optional<pki::KeyPair> load_certificate(const Options& options, NodeCertificate which) {
  auto text = pki::read_file(certificate_path(options, which));
  if (!text) return std::nullopt;
  auto pair = split(*text);
  if (!pair || !pki::belongs_together(*pair)) return std::nullopt;
  return *pair;
}

Result<void> save_certificate(const Options& options, NodeCertificate which, const pki::KeyPair& pair) {
  return pki::write_file(certificate_path(options, which), pair.certificate_pem + pair.private_key_pem, 0600);
}

Result<void> save_roots(const Options& options, const std::string& ca_pem) {
  return pki::write_file(pki_folder(options) + "/ca.crt", ca_pem, 0644);
}

std::optional<NodeIdentity> load_identity(const Options& options, std::string& why) {
  NodeIdentity out;
  auto kept = load_certificate(options, NodeCertificate::Client);
  auto config = client::load_kubeconfig(kubeconfig_path(options));
  if (config) {
    out.server = config->server;
    out.ca_pem = config->ca_pem;
    // A kubeconfig that was given may bring its own certificate.
    if (!kept && !config->certificate_pem.empty()) kept = {config->certificate_pem, config->private_key_pem};
  }
  if (!kept || !config) return std::nullopt;
  auto certificate = pki::parse_certificate(kept->certificate_pem);
  if (!certificate || certificate->not_after <= now()) {
    why =
        fmt::format("the node's client certificate {} ended at {}", certificate_path(options, NodeCertificate::Client),
                    certificate ? format_rfc3339(certificate->not_after) : "an unknown time");
    return std::nullopt;
  }
  if (certificate->subject.common_name != "system:node:" + options.node_name) {
    why = fmt::format("the kept client certificate is for {}, and this node is {}", certificate->subject.common_name,
                      options.node_name);
    return std::nullopt;
  }
  out.client = std::move(*kept);
  return out;
}

Result<void> save_identity(const Options& options, const NodeIdentity& identity) {
  RD_TRYV(save_roots(options, identity.ca_pem));
  RD_TRYV(save_certificate(options, NodeCertificate::Client, identity.client));
  auto quoted = [](std::string_view text) {
    std::string out;
    append_json_string(out, text);
    return out;
  };
  std::string pem = quoted(certificate_path(options, NodeCertificate::Client));
  std::string text = fmt::format(
      "apiVersion: v1\nkind: Config\nclusters:\n- name: default-cluster\n  cluster:\n    server: {}\n"
      "    certificate-authority: {}\ncontexts:\n- name: default-context\n  context:\n    cluster: default-cluster\n"
      "    user: default-auth\ncurrent-context: default-context\nusers:\n- name: default-auth\n  user:\n"
      "    client-certificate: {}\n    client-key: {}\n",
      quoted(identity.server), quoted(pki_folder(options) + "/ca.crt"), pem, pem);
  return pki::write_file(kubeconfig_path(options), text, 0600);
}

}  // namespace redoubt::kubelet
