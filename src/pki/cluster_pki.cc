#include "pki/cluster_pki.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "base/log.h"
#include "pki/rotation.h"

namespace redoubt::pki {

namespace {

using std::chrono::hours;

// A certificate with another's place in the chain: of this authority, with its own key, for this subject and names, and
// not about to end.
bool still_good(const KeyPair& ca, const KeyPair& pair, const Template& wanted) {
  if (!belongs_together(pair) || !is_signed_by(pair.certificate_pem, ca.certificate_pem)) return false;
  auto certificate = parse_certificate(pair.certificate_pem);
  if (!certificate || renewal_time(*certificate) < now()) return false;
  if (certificate->subject.common_name != wanted.subject.common_name ||
      certificate->subject.organizations != wanted.subject.organizations)
    return false;
  auto holds = [](const std::vector<std::string>& have, const std::vector<std::string>& need) {
    return std::all_of(need.begin(), need.end(), [&](const std::string& name) {
      return std::find(have.begin(), have.end(), name) != have.end();
    });
  };
  return holds(certificate->dns_names, wanted.dns_names) && holds(certificate->ip_addresses, wanted.ip_addresses);
}

class Maker {
 public:
  explicit Maker(const ClusterPkiOptions& options) : options_(options) {}

  // The signing pair, and all that is trusted.
  Result<KeyPair> authority(const std::string& name, const std::string& common_name, std::string& bundle) {
    RD_TRYV(complete_switch(options_.folder, name));
    auto there = load_pair(options_.folder, name);
    if (there && !belongs_together(*there)) {
      return bad_request(fmt::format("{0}/{1}.crt is not the certificate of {0}/{1}.key: put the right pair there",
                                     options_.folder, name));
    }
    // Half a pair is kept and said, never overwritten: other machines may trust it.
    if (!there && (!there.error().is("NotFound") || std::filesystem::exists(options_.folder + "/" + name + ".crt")))
      return there;
    if (!there) {
      RD_TRY(there, make_ca(common_name, kCaLifetime));
      RD_TRYV(save_pair(options_.folder, name, *there));
    }
    bundle = there->certificate_pem;
    for (const char* other : {"-next.crt", "-previous.crt"}) {
      auto pem = read_file(options_.folder + "/" + name + other);
      if (!pem && !pem.error().is("NotFound")) return Error(pem.error());
      if (pem) bundle += *pem;
    }
    return there;
  }

  Result<KeyPair> leaf(const std::string& name, const KeyPair& ca, Template wanted) {
    wanted.lifetime = options_.leaf_lifetime;
    auto there = load_pair(options_.folder, name);
    if (!there && !there.error().is("NotFound")) return there;
    if (!there || !still_good(ca, *there, wanted)) {
      if (there) log_info("renewing a certificate", {{"name", name}});
      RD_TRY(there, issue(ca, wanted));
      RD_TRYV(save_pair(options_.folder, name, *there));
    }
    return due(std::move(*there));
  }

  // Counts a certificate among those that decide when to look again.
  Result<KeyPair> due(KeyPair pair) {
    RD_TRY(Certificate certificate, parse_certificate(pair.certificate_pem));
    renew_at_ = std::min(renew_at_, renewal_time(certificate));
    return pair;
  }
  Timestamp renew_at() const { return renew_at_; }

 private:
  const ClusterPkiOptions& options_;
  Timestamp renew_at_ = Timestamp::max();
};

Result<void> service_account_keys(const std::string& folder, ClusterPki& out) {
  RD_TRYV(complete_switch(folder, kServiceAccountKey));
  auto key = read_file(folder + "/sa.key");
  if (!key && !key.error().is("NotFound")) return Error(key.error());
  out.service_account_key = key ? *key : generate_key();
  RD_TRY(std::string public_key, public_key_of(out.service_account_key));
  if (!key) {
    RD_TRYV(write_file(folder + "/sa.key", out.service_account_key, 0600));
    RD_TRYV(write_file(folder + "/sa.pub", public_key, 0644));
  }
  out.service_account_verifiers = {public_key};
  if (auto next = read_file(folder + "/sa-next.key")) {
    RD_TRY(std::string next_public, public_key_of(*next));
    out.service_account_verifiers.push_back(std::move(next_public));
  }
  if (auto previous = read_file(folder + "/sa-previous.pub")) out.service_account_verifiers.push_back(*previous);
  return {};
}

}  // namespace

namespace {

// What an administrator gave; while running, what is in use stays in place of what can't be used.
template <class Load, class T>
Result<T> given(const GivenFile& file, Load load, const ClusterPki* in_use, T ClusterPki::* member) {
  Result<T> there = load(file);
  if (there || in_use == nullptr) return there;
  log_error("a given file can't be used; what is in use stays", {{"error", there.error().message()}});
  return in_use->*member;
}

// The certificates of both, each once, in this order.
std::string merged(std::string_view first, std::string_view then) {
  constexpr std::string_view kBegin = "-----BEGIN CERTIFICATE-----", kEnd = "-----END CERTIFICATE-----";
  std::string out;
  for (std::string_view text : {first, then}) {
    while (true) {
      size_t begin = text.find(kBegin), end = text.find(kEnd, begin);
      if (begin == std::string_view::npos || end == std::string_view::npos) break;
      std::string_view one = text.substr(begin, end + kEnd.size() - begin);
      text.remove_prefix(end + kEnd.size());
      if (out.find(one) == std::string::npos) out += fmt::format("{}\n", one);
    }
  }
  return out;
}

// Who signs requests, and whom that makes everybody trust.
Result<void> trust_given(const ClusterPkiOptions& options, ClusterPki& out, const ClusterPki* in_use) {
  auto authority = [&](std::string_view name, Usage usage, KeyPair own, KeyPair ClusterPki::* member) {
    const GivenFile* file = find_given(options.given, name);
    if (file == nullptr) return Result<KeyPair>(std::move(own));
    return given(*file, [usage](const GivenFile& g) { return load_given_authority(g, usage); }, in_use, member);
  };
  out.root_bundle = out.ca_bundle;
  if (const GivenFile* file = find_given(options.given, kRootCa)) {
    RD_TRY(std::string roots, given(*file, load_given_bundle, in_use, &ClusterPki::root_bundle));
    out.root_bundle = merged(roots, out.ca_bundle);
  }
  RD_TRY(out.client_signer, authority(kClientSigner, Usage::ClientAuth, out.ca, &ClusterPki::client_signer));
  RD_TRY(out.kubelet_client_signer,
         authority(kKubeletClientSigner, Usage::ClientAuth, out.ca, &ClusterPki::kubelet_client_signer));
  // Nodes go by the first of it: by whom their certificates are signed.
  out.client_ca_bundle =
      merged(out.kubelet_client_signer.certificate_pem + "\n" + out.client_signer.certificate_pem, out.ca_bundle);
  out.kubelet_serving_signer = out.kubelet_ca;
  if (const GivenFile* file = find_given(options.given, kKubeletServingSigner)) {
    auto load = [&](const GivenFile& g) -> Result<KeyPair> {
      RD_TRY(KeyPair signer, load_given_authority(g, Usage::ServerAuth));
      if (!signs_for_clients_of(signer, out.root_bundle)) return signer;
      return bad_request(fmt::format(
          "{}: clients know the API server by {}, or by an authority above it: a node could get a certificate that "
          "passes for the API server. Kubelets' serving certificates need an authority of their own",
          g.certificate_flag, g.certificate_file));
    };
    RD_TRY(out.kubelet_serving_signer, given(*file, load, in_use, &ClusterPki::kubelet_serving_signer));
    out.kubelet_ca_bundle = merged(out.kubelet_serving_signer.certificate_pem, out.kubelet_ca_bundle);
  }
  return {};
}

// A server that nobody can verify answers nobody: said at once, and while running what is in use stays.
Result<void> check_given_server(const ClusterPkiOptions& options, ClusterPki& out, const GivenFile& file,
                                const ClusterPki* in_use) {
  auto taken = verify_serving_chain(out.apiserver.certificate_pem, out.root_bundle);
  if (!taken) {
    auto why = bad_request(fmt::format(
        "{}: no client could verify {}: {}. Give its authority by --root-ca-file, and the intermediate ones within {}",
        file.certificate_flag, file.certificate_file, taken.error().message(), file.certificate_file));
    if (in_use == nullptr) return why;
    log_error("a given file can't be used; what is in use stays", {{"error", why.error().message()}});
    out.apiserver = in_use->apiserver;
    out.root_bundle = merged(out.root_bundle, in_use->root_bundle);
    return {};
  }
  for (const std::string& address : options.apiserver_ip_addresses) {
    const auto& has = taken->ip_addresses;
    if (address != "127.0.0.1" && std::find(has.begin(), has.end(), address) == has.end())
      log_warning("the given certificate lacks an address that nodes or pods reach the API server by",
                  {{"file", file.certificate_file}, {"address", address}});
  }
  return {};
}

// The authority that a leaf comes from, by the leaf's name.
std::string authority_of(const std::string& name) {
  return name == "front-proxy-client" ? "front-proxy-ca" : "ca";
}

}  // namespace

Result<std::vector<PkiEntry>> list_pki(const std::string& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == ".crt") names.push_back(it->path().stem());
  }
  if (error) return service_unavailable(fmt::format("can't read the folder {}: {}", folder, error.message()));
  RD_TRY(Given given, recall_given(folder));
  std::vector<PkiEntry> out;
  std::map<std::string, std::string> pems;
  auto add = [&](const std::string& name, const std::string& file, std::string external) -> Result<void> {
    RD_TRY(pems[name], read_file(file));
    auto certificate = parse_certificate(pems[name]);
    if (!certificate) return Error(certificate.error().with_context(file));
    out.push_back({name, "", *certificate, renewal_time(*certificate), std::move(external)});
    return {};
  };
  for (const std::string& name : names) {
    if (!given.contains(name)) RD_TRYV(add(name, folder + "/" + name + ".crt", ""));
  }
  for (const auto& [name, g] : given) {
    if (!g.certificate_file.empty())
      RD_TRYV(add(name, g.certificate_file, fmt::format("{} {}", g.certificate_flag, g.certificate_file)));
  }
  for (PkiEntry& entry : out) {
    if (entry.certificate.is_ca) continue;
    for (const PkiEntry& other : out) {
      if (other.certificate.is_ca && is_signed_by(pems[entry.name], pems[other.name])) entry.authority = other.name;
    }
  }
  std::sort(out.begin(), out.end(), [](const PkiEntry& a, const PkiEntry& b) {
    return std::pair(!a.certificate.is_ca, a.name) < std::pair(!b.certificate.is_ca, b.name);
  });
  return out;
}

Result<void> reissue_leaf(const std::string& folder, const std::string& name) {
  RD_TRY(FolderLock lock, FolderLock::take(folder));
  RD_TRY(Given given, recall_given(folder));
  if (const GivenFile* file = find_given(given, name)) {
    return bad_request(
        fmt::format("{} is external ({} {}): whoever made it renews it, and the server reads the file "
                    "again when it changes",
                    name, file->certificate_flag, file->certificate_file));
  }
  auto old = load_pair(folder, name);
  if (!old) return Error(old.error().with_context("nothing to renew"));
  RD_TRY(Certificate certificate, parse_certificate(old->certificate_pem));
  if (certificate.is_ca)
    return bad_request(fmt::format("{} is an authority: `redoubt certs rotate-ca` replaces those", name));
  RD_TRY(KeyPair ca, load_pair(folder, authority_of(name)));
  Template wanted;
  wanted.subject = certificate.subject;
  wanted.dns_names = certificate.dns_names;
  wanted.ip_addresses = certificate.ip_addresses;
  wanted.usages = {name.starts_with("apiserver") && name != "apiserver-kubelet-client" ? Usage::ServerAuth
                                                                                       : Usage::ClientAuth};
  // What it was given, less the time before that it was backdated by.
  auto life = std::chrono::duration_cast<std::chrono::seconds>(certificate.not_after - certificate.not_before);
  wanted.lifetime = life > std::chrono::minutes(15) ? life - std::chrono::minutes(5) : life * 2 / 3;
  RD_TRY(KeyPair made, issue(ca, wanted));
  return save_pair(folder, name, made);
}

Timestamp renewal_time(const Certificate& certificate) {
  return certificate.not_before + (certificate.not_after - certificate.not_before) / 10 * 7;
}

Result<FolderLock> FolderLock::take(const std::string& folder) {
  std::string path = folder + "/.lock";
  int fd = ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0) return service_unavailable(fmt::format("can't open {}: {}", path, std::strerror(errno)));
  FolderLock lock(fd);
  while (::flock(fd, LOCK_EX) != 0) {
    if (errno != EINTR) return service_unavailable(fmt::format("can't lock {}: {}", path, std::strerror(errno)));
  }
  return lock;
}

FolderLock::~FolderLock() {
  if (fd_ >= 0) ::close(fd_);
}

Result<KeyPair> load_pair(const std::string& folder, const std::string& name) {
  RD_TRY(std::string certificate, read_file(folder + "/" + name + ".crt"));
  RD_TRY(std::string key, read_file(folder + "/" + name + ".key"));
  return KeyPair{std::move(certificate), std::move(key)};
}

Result<void> save_pair(const std::string& folder, const std::string& name, const KeyPair& pair) {
  // The key first: a certificate without its key would be kept and useless.
  RD_TRYV(write_file(folder + "/" + name + ".key", pair.private_key_pem, 0600));
  return write_file(folder + "/" + name + ".crt", pair.certificate_pem, 0644);
}

Result<ClusterPki> ensure_cluster_pki(const ClusterPkiOptions& options, const ClusterPki* in_use) {
  std::error_code error;
  std::filesystem::create_directories(options.folder, error);
  if (error) return service_unavailable(fmt::format("can't make the folder {}: {}", options.folder, error.message()));
  std::filesystem::permissions(options.folder, std::filesystem::perms::owner_all, error);
  RD_TRY(FolderLock lock, FolderLock::take(options.folder));
  ClusterPki out;
  Maker make(options);
  RD_TRY(out.ca, make.authority("ca", "kubernetes", out.ca_bundle));
  RD_TRY(out.kubelet_ca, make.authority("kubelet-ca", "kubernetes-kubelet-serving", out.kubelet_ca_bundle));
  RD_TRY(out.front_proxy_ca, make.authority("front-proxy-ca", "front-proxy-ca", out.front_proxy_ca_bundle));
  RD_TRYV(service_account_keys(options.folder, out));
  RD_TRYV(note_given(options.folder, options.given));

  Template server;
  server.usages = {Usage::ServerAuth};
  RD_TRYV(trust_given(options, out, in_use));
  if (const GivenFile* file = find_given(options.given, "apiserver")) {
    RD_TRY(out.apiserver, given(*file, load_given_leaf, in_use, &ClusterPki::apiserver));
    RD_TRYV(check_given_server(options, out, *file, in_use));
    server.subject.common_name = kLoopbackName;
    server.dns_names = {std::string(kLoopbackName)};
    RD_TRY(out.loopback, make.leaf("apiserver-loopback", out.ca, server));
  } else {
    server.subject.common_name = "kube-apiserver";
    server.dns_names = {"kubernetes", "kubernetes.default", "kubernetes.default.svc",
                        "kubernetes.default.svc.cluster.local", "localhost"};
    server.dns_names.insert(server.dns_names.end(), options.apiserver_dns_names.begin(),
                            options.apiserver_dns_names.end());
    server.ip_addresses = options.apiserver_ip_addresses;
    RD_TRY(out.apiserver, make.leaf("apiserver", out.ca, server));
  }

  auto client = [&](const char* name, const KeyPair& ca, const char* common_name,
                    std::vector<std::string> organizations) -> Result<KeyPair> {
    Template wanted;
    wanted.subject = {common_name, std::move(organizations)};
    wanted.usages = {Usage::ClientAuth};
    return make.leaf(name, ca, wanted);
  };
  if (const GivenFile* file = find_given(options.given, "apiserver-kubelet-client")) {
    RD_TRY(out.apiserver_kubelet_client, given(*file, load_given_leaf, in_use, &ClusterPki::apiserver_kubelet_client));
  } else {
    RD_TRY(out.apiserver_kubelet_client, client("apiserver-kubelet-client", out.ca, "kube-apiserver-kubelet-client",
                                                {"redoubt:kubelet-api-clients"}));
  }
  if (const GivenFile* file = find_given(options.given, "front-proxy-client")) {
    RD_TRY(out.front_proxy_client, given(*file, load_given_leaf, in_use, &ClusterPki::front_proxy_client));
  } else {
    RD_TRY(out.front_proxy_client, client("front-proxy-client", out.front_proxy_ca, "front-proxy-client", {}));
  }
  RD_TRY(out.clients["admin"], client("admin", out.ca, "kubernetes-admin", {"system:masters"}));
  RD_TRY(out.clients["controller-manager"], client("controller-manager", out.ca, "system:kube-controller-manager", {}));
  RD_TRY(out.clients["scheduler"], client("scheduler", out.ca, "system:kube-scheduler", {}));
  RD_TRY(out.clients["kube-proxy"], client("kube-proxy", out.ca, "system:kube-proxy", {}));
  out.renew_at = make.renew_at();
  return out;
}

}  // namespace redoubt::pki
