#include "kubelet/node/join.h"

#include "base/encoding.h"
#include "base/log.h"
#include "schema/k8s/certificates_v1.h"
#include "schema/k8s/core_v1.h"

namespace redoubt::kubelet {

namespace {

using Csr = k8s::certificates::v1::CertificateSigningRequest;

constexpr std::chrono::hours kRenewBefore{24 * 30};
constexpr std::chrono::minutes kApprovalTimeout{10};

Result<pki::KeyPair> load(const std::string& stem, bool& fresh) {
  pki::KeyPair pair;
  RD_TRY(pair.certificate_pem, pki::read_file(stem + ".crt"));
  RD_TRY(pair.private_key_pem, pki::read_file(stem + ".key"));
  auto certificate = pki::parse_certificate(pair.certificate_pem);
  fresh = certificate && certificate->not_after - kRenewBefore > now();
  return pair;
}

// Creates the request and waits for what becomes of it.
Task<Result<std::string>> request_certificate(client::Client& api, std::string signer, std::string csr_pem,
                                              std::vector<std::string> usages) {
  Csr csr;
  csr.metadata.generateName = "node-csr-";
  csr.spec.request.bytes = std::move(csr_pem);
  csr.spec.signerName = signer;
  csr.spec.usages = std::move(usages);
  RD_CO_TRY(Csr made, co_await api.create(std::move(csr)));
  std::string name = made.metadata.name;
  auto delay = std::chrono::milliseconds(20);
  auto deadline = std::chrono::steady_clock::now() + kApprovalTimeout;
  bool told = false;
  while (std::chrono::steady_clock::now() < deadline) {
    auto there = co_await api.get<Csr>("", name);
    if (there) {
      if (!there->status.certificate.bytes.empty()) co_return there->status.certificate.bytes;
      for (const auto& condition : there->status.conditions) {
        if (condition.type == "Denied" || condition.type == "Failed")
          co_return forbidden({"certificates.k8s.io", "certificatesigningrequests"}, name,
                              fmt::format("{}: {}", condition.type, condition.message));
      }
    }
    if (!told && delay > std::chrono::seconds(2)) {
      log_warning("waiting for a certificate request to be approved", {{"request", name}, {"signer", signer}});
      told = true;
    }
    co_await sleep_for(delay);
    delay = std::min(delay * 2, std::chrono::milliseconds(5000));
  }
  co_return timeout(
      fmt::format("certificate request {} was not approved within {} minutes", name, kApprovalTimeout.count()));
}

}  // namespace

Task<Result<NodeIdentity>> ensure_identity(Options options) {
  std::string folder = options.root_dir + "/pki";
  std::string stem = folder + "/kubelet-client";
  NodeIdentity out;
  bool fresh = false;
  auto kept = load(stem, fresh);
  auto ca = pki::read_file(folder + "/ca.crt");
  if (kept && ca && fresh) {
    out.client = *kept;
    out.ca_pem = *ca;
    co_return out;
  }
  if (options.bootstrap_token.empty())
    co_return unauthorized(
        "this node has no certificate and was given no bootstrap token: join it with `redoubt token create`'s line");
  if (options.ca_hashes.empty())
    co_return bad_request("a bootstrap token needs the CA's hash beside it (--discovery-token-ca-cert-hash)");
  client::Config config;
  config.server = options.server;
  config.pinned_ca_hashes = options.ca_hashes;
  config.bearer_token = options.bootstrap_token;
  client::Client api(co_await boost::asio::this_coro::executor, std::move(config));
  std::string key = pki::generate_key();
  RD_CO_TRY(std::string csr, pki::make_request(key, {"system:node:" + options.node_name, {"system:nodes"}}));
  RD_CO_TRY(std::string certificate, co_await request_certificate(api, "kubernetes.io/kube-apiserver-client-kubelet",
                                                                  csr, {"digital signature", "client auth"}));
  // The CA that was pinned, as the server itself shows it: from here on it is the only root.
  RD_CO_TRY(out.ca_pem, api.pinned_ca());
  out.client = {std::move(certificate), std::move(key)};
  RD_CO_TRYV(pki::write_file(stem + ".key", out.client.private_key_pem, 0600));
  RD_CO_TRYV(pki::write_file(stem + ".crt", out.client.certificate_pem, 0644));
  RD_CO_TRYV(pki::write_file(folder + "/ca.crt", out.ca_pem, 0644));
  log_info("joined the cluster", {{"node", options.node_name}, {"path", "kubelet-apiserver"}});
  co_return out;
}

Task<Result<pki::KeyPair>> ensure_serving_certificate(client::Client& api, Options options) {
  std::string stem = options.root_dir + "/pki/kubelet-serving";
  bool fresh = false;
  auto kept = load(stem, fresh);
  if (kept && fresh) {
    auto certificate = pki::parse_certificate(kept->certificate_pem);
    if (std::find(certificate->ip_addresses.begin(), certificate->ip_addresses.end(), options.node_ip) !=
        certificate->ip_addresses.end())
      co_return *kept;
  }
  pki::KeyPair out;
  out.private_key_pem = pki::generate_key();
  RD_CO_TRY(std::string csr,
            pki::make_request(out.private_key_pem, {"system:node:" + options.node_name, {"system:nodes"}},
                              {options.node_name}, {options.node_ip}));
  RD_CO_TRY(out.certificate_pem, co_await request_certificate(api, "kubernetes.io/kubelet-serving", csr,
                                                              {"digital signature", "server auth"}));
  RD_CO_TRYV(pki::write_file(stem + ".key", out.private_key_pem, 0600));
  RD_CO_TRYV(pki::write_file(stem + ".crt", out.certificate_pem, 0644));
  co_return out;
}

}  // namespace redoubt::kubelet
