#include "pki/cluster_pki.h"

#include <algorithm>
#include <filesystem>

#include "base/log.h"

namespace redoubt::pki {

namespace {

using std::chrono::hours;

constexpr hours kCaLifetime{24 * 3650};
constexpr hours kLeafLifetime{24 * 365};
constexpr hours kRenewBefore{24 * 60};

Result<KeyPair> load(const std::string& folder, const std::string& name) {
  RD_TRY(std::string certificate, read_file(folder + "/" + name + ".crt"));
  RD_TRY(std::string key, read_file(folder + "/" + name + ".key"));
  return KeyPair{std::move(certificate), std::move(key)};
}

Result<void> save(const std::string& folder, const std::string& name, const KeyPair& pair) {
  // The key first: a certificate without its key would be kept and useless.
  RD_TRYV(write_file(folder + "/" + name + ".key", pair.private_key_pem, 0600));
  return write_file(folder + "/" + name + ".crt", pair.certificate_pem, 0644);
}

Result<KeyPair> ensure_ca(const std::string& folder, const std::string& name, const std::string& common_name) {
  auto there = load(folder, name);
  if (there && !belongs_together(*there)) {
    return bad_request(
        fmt::format("{0}/{1}.crt is not the certificate of {0}/{1}.key: put the right pair there", folder, name));
  }
  if (there) return there;
  // Half a pair is kept and said, never overwritten: other machines may trust it.
  if (!there.error().is("NotFound") || std::filesystem::exists(folder + "/" + name + ".crt")) return there;
  RD_TRY(KeyPair made, make_ca(common_name, kCaLifetime));
  RD_TRYV(save(folder, name, made));
  return made;
}

// Of this authority, with its own key, for this subject and names, and not about to end.
bool still_good(const KeyPair& ca, const KeyPair& pair, const Template& wanted) {
  if (!belongs_together(pair) || !is_signed_by(pair.certificate_pem, ca.certificate_pem)) return false;
  auto certificate = parse_certificate(pair.certificate_pem);
  if (!certificate || certificate->not_after - kRenewBefore < now()) return false;
  if (certificate->subject.common_name != wanted.subject.common_name ||
      certificate->subject.organizations != wanted.subject.organizations)
    return false;
  auto holds = [](const std::vector<std::string>& have, const std::vector<std::string>& need) {
    return std::all_of(need.begin(), need.end(), [&](const std::string& name) {
      return std::find(have.begin(), have.end(), name) != have.end();
    });
  };
  if (!holds(certificate->dns_names, wanted.dns_names) || !holds(certificate->ip_addresses, wanted.ip_addresses))
    return false;
  return true;
}

Result<KeyPair> ensure_leaf(const std::string& folder, const std::string& name, const KeyPair& ca, Template wanted) {
  wanted.lifetime = kLeafLifetime;
  auto there = load(folder, name);
  if (there && still_good(ca, *there, wanted)) return there;
  if (!there && !there.error().is("NotFound")) return there;
  if (there) log_info("renewing a certificate", {{"name", name}});
  RD_TRY(KeyPair made, issue(ca, wanted));
  RD_TRYV(save(folder, name, made));
  return made;
}

}  // namespace

Result<ClusterPki> ensure_cluster_pki(const ClusterPkiOptions& options) {
  std::error_code error;
  std::filesystem::create_directories(options.folder, error);
  if (error) return service_unavailable(fmt::format("can't make the folder {}: {}", options.folder, error.message()));
  std::filesystem::permissions(options.folder, std::filesystem::perms::owner_all, error);
  const std::string& folder = options.folder;
  ClusterPki out;
  RD_TRY(out.ca, ensure_ca(folder, "ca", "kubernetes"));
  RD_TRY(out.kubelet_ca, ensure_ca(folder, "kubelet-ca", "kubernetes-kubelet-serving"));
  RD_TRY(out.front_proxy_ca, ensure_ca(folder, "front-proxy-ca", "front-proxy-ca"));

  auto key = read_file(folder + "/sa.key");
  if (!key && !key.error().is("NotFound")) return Error(key.error());
  out.service_account_key = key ? *key : generate_key();
  if (!key) {
    RD_TRYV(write_file(folder + "/sa.key", out.service_account_key, 0600));
    RD_TRY(std::string public_key, public_key_of(out.service_account_key));
    RD_TRYV(write_file(folder + "/sa.pub", public_key, 0644));
  }

  Template server;
  server.subject.common_name = "kube-apiserver";
  server.dns_names = {"kubernetes", "kubernetes.default", "kubernetes.default.svc",
                      "kubernetes.default.svc.cluster.local", "localhost"};
  server.dns_names.insert(server.dns_names.end(), options.apiserver_dns_names.begin(),
                          options.apiserver_dns_names.end());
  server.ip_addresses = options.apiserver_ip_addresses;
  server.usages = {Usage::ServerAuth};
  RD_TRY(out.apiserver, ensure_leaf(folder, "apiserver", out.ca, server));

  auto client = [&](const char* name, const char* common_name,
                    std::vector<std::string> organizations) -> Result<KeyPair> {
    Template wanted;
    wanted.subject = {common_name, std::move(organizations)};
    wanted.usages = {Usage::ClientAuth};
    return ensure_leaf(folder, name, out.ca, wanted);
  };
  RD_TRY(out.apiserver_kubelet_client,
         client("apiserver-kubelet-client", "kube-apiserver-kubelet-client", {"redoubt:kubelet-api-clients"}));
  RD_TRY(out.clients["admin"], client("admin", "kubernetes-admin", {"system:masters"}));
  RD_TRY(out.clients["controller-manager"], client("controller-manager", "system:kube-controller-manager", {}));
  RD_TRY(out.clients["scheduler"], client("scheduler", "system:kube-scheduler", {}));
  RD_TRY(out.clients["kube-proxy"], client("kube-proxy", "system:kube-proxy", {}));
  return out;
}

}  // namespace redoubt::pki
