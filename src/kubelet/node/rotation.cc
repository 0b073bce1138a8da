#include "kubelet/node/rotation.h"

#include <glob.h>

#include <fstream>

#include "base/blocking.h"
#include "base/encoding.h"
#include "base/json_text.h"
#include "base/log.h"
#include "base/random.h"

namespace redoubt::kubelet {

namespace {

// Between tries after a failure.
constexpr std::chrono::seconds kFirstRetry{1}, kSlowestRetry{60};
// The clock may be set while we sleep: deadlines are compared with it at least this often.
constexpr std::chrono::minutes kLongestSleep{10};
// When every node of a cluster has to renew at once, they don't all at the same moment.
constexpr std::chrono::milliseconds kSpread{3000};
// A public key of sshd's: an RSA key of 16,384 bits is 3 KB.
constexpr size_t kMaxHostKeyText = 4096;

std::string hash_list(std::string_view pem) {
  std::string out;
  for (const pki::Certificate& certificate : pki::parse_certificates(pem))
    out += (out.empty() ? "" : ",") + certificate.spki_hash;
  return out;
}

// The first certificate of a bundle, as PEM.
std::string first_of(std::string_view pem) {
  constexpr std::string_view kEnd = "-----END CERTIFICATE-----\n";
  size_t end = pem.find(kEnd);
  return end == std::string_view::npos ? std::string(pem) : std::string(pem.substr(0, end + kEnd.size()));
}

// Type and key of each public key's file, a line each; without the comment, which names a person's machine.
std::string read_host_keys(const std::string& pattern) {
  std::string out;
  glob_t found{};
  if (!pattern.empty() && ::glob(pattern.c_str(), 0, nullptr, &found) == 0) {
    for (size_t i = 0; i < found.gl_pathc; ++i) {
      std::ifstream file(found.gl_pathv[i]);
      std::string type, key;
      if (file >> type >> key && type.size() + key.size() < kMaxHostKeyText) out += fmt::format("{} {}\n", type, key);
    }
  }
  ::globfree(&found);
  return out;
}

}  // namespace

Timestamp rotation_deadline(const pki::Certificate& certificate, double fraction) {
  auto life = certificate.not_after - certificate.not_before;
  return certificate.not_before +
         std::chrono::duration_cast<Timestamp::duration>(std::chrono::duration<double, std::micro>(
             static_cast<double>(std::chrono::microseconds(life).count()) * fraction));
}

Rotation::Rotation(client::Client& api, Options options, NodeIdentity identity, Users users)
    : api_(api),
      options_(std::move(options)),
      users_(std::move(users)),
      roots_(std::move(identity.ca_pem)),
      cluster_info_(api, "kube-public", client::ListOptions{.field_selector = "metadata.name=cluster-info"}),
      changed_(api.executor()),
      has_serving_(api.executor()) {
  take(NodeCertificate::Client, std::move(identity.client));
  cluster_info_.on_change([this](const auto&, const auto& after) {
    if (after) cluster_info_changed(*after);
  });
}

void Rotation::take(NodeCertificate which, pki::KeyPair pair) {
  auto certificate = pki::parse_certificate(pair.certificate_pem);
  if (!certificate) return;
  double fraction = 0.7 + static_cast<double>(random_below(2001)) / 10'000.0;
  kept(which) = {std::move(pair), *certificate, rotation_deadline(*certificate, fraction)};
}

CertificateWish Rotation::wish(NodeCertificate which) const {
  CertificateWish out;
  out.subject = {"system:node:" + options_.node_name, {"system:nodes"}};
  if (which == NodeCertificate::Client) {
    out.signer = "kubernetes.io/kube-apiserver-client-kubelet";
    out.usages = {"digital signature", "client auth"};
  } else {
    out.signer = "kubernetes.io/kubelet-serving";
    out.usages = {"digital signature", "server auth"};
    out.dns_names = {options_.node_name};
    out.ip_addresses = {options_.node_ip};
  }
  return out;
}

const std::string& Rotation::bundle_of(NodeCertificate which) const {
  if (which == NodeCertificate::Serving) return kubelet_ca_;
  return client_ca_.empty() ? roots_ : client_ca_;
}

std::string Rotation::signer_of(NodeCertificate which) const {
  return first_of(bundle_of(which));
}

bool Rotation::is_due(NodeCertificate which) const {
  const Kept& k = kept(which);
  if (!k.valid() || k.deadline <= now()) return true;
  if (which == NodeCertificate::Serving) {
    const auto& ips = k.certificate.ip_addresses;
    if (std::find(ips.begin(), ips.end(), options_.node_ip) == ips.end()) return true;
  }
  // What cluster-info lists first signs now. Until it was read, the order is not known.
  std::string signer = signer_of(which);
  return !kubelet_ca_.empty() && !signer.empty() && !pki::is_signed_by(k.pair.certificate_pem, signer);
}

Task<void> Rotation::keep(NodeCertificate which) {
  const char* name = which == NodeCertificate::Client ? "client" : "serving";
  auto retry = kFirstRetry;
  while (true) {
    while (!is_due(which)) {
      auto left = std::chrono::duration_cast<std::chrono::milliseconds>(kept(which).deadline - now());
      co_await changed_.wait_for(
          std::clamp<std::chrono::milliseconds>(left, std::chrono::milliseconds(1), kLongestSleep));
    }
    bool replaced_early = kept(which).valid() && kept(which).deadline > now();
    if (replaced_early) co_await sleep_for(std::chrono::milliseconds(random_below(kSpread.count())));
    auto made = co_await request_certificate(api_, wish(which), std::chrono::seconds(0));
    Result<void> saved;
    if (made) {
      saved = co_await run_blocking(
          [options = options_, which, pair = *made] { return save_certificate(options, which, pair); });
    } else {
      saved = Error(made.error());
    }
    if (!saved) {
      if (which == NodeCertificate::Client && client_.certificate.not_after <= now())
        log_error("the node's client certificate has ended: join the node again with a new token",
                  {{"ended", format_rfc3339(client_.certificate.not_after)}});
      log_warning("renewing a certificate failed; trying again",
                  {{"certificate", name}, {"error", saved.error().message()}, {"again_in_s", retry.count()}});
      co_await sleep_for(retry);
      retry = std::min(retry * 2, kSlowestRetry);
      continue;
    }
    retry = kFirstRetry;
    take(which, std::move(*made));
    log_info("certificate in use",
             {{"certificate", name}, {"until", format_rfc3339(kept(which).certificate.not_after)}});
    if (which == NodeCertificate::Client) {
      users_.client(client_.pair);
    } else {
      users_.serving(serving_.pair);
      has_serving_.notify();
    }
    changed_.notify();
    // An authority other than the one that cluster-info lists has signed: it will say so again when that changes.
    if (is_due(which)) co_await changed_.wait_for(kSlowestRetry);
  }
}

void Rotation::cluster_info_changed(const k8s::core::v1::ConfigMap& map) {
  auto config_text = map.data.find("kubeconfig");
  if (config_text == map.data.end()) return;
  auto config = client::parse_kubeconfig_cluster(config_text->second);
  if (!config || pki::parse_certificates(config->ca_pem).empty()) {
    log_warning("ConfigMap kube-public/cluster-info is unreadable; the authorities in use stay",
                {{"error", config ? "no certificate in it" : config.error().message()}});
    return;
  }
  if (auto it = map.data.find("kubelet-ca.crt"); it != map.data.end()) kubelet_ca_ = it->second;
  std::string callers = roots_ + "\n" + client_ca_;
  if (auto it = map.data.find("client-ca.crt"); it != map.data.end()) client_ca_ = it->second;
  if (config->ca_pem != roots_) {
    roots_ = config->ca_pem;
    log_info("the cluster's authorities changed", {{"roots", hash_list(roots_)}});
    post_blocking([options = options_, roots = roots_] {
      if (auto saved = save_roots(options, roots); !saved)
        log_warning("the cluster's authorities can't be kept", {{"error", saved.error().message()}});
    });
    users_.roots(roots_);
  }
  // The API server itself, whose certificate is of a root, and whoever it takes for a client.
  if (roots_ + "\n" + client_ca_ != callers) users_.callers(roots_ + "\n" + client_ca_);
  changed_.notify();
}

std::string Rotation::issuer_hash(NodeCertificate which) const {
  const Kept& k = kept(which);
  std::string_view bundle = bundle_of(which);
  while (k.valid() && !bundle.empty()) {
    std::string one = first_of(bundle);
    if (pki::is_signed_by(k.pair.certificate_pem, one)) return hash_list(one);
    bundle.remove_prefix(one.size());
  }
  return "";
}

// Writes onto the Node what is trusted and who signed what is shown.
Task<void> Rotation::report() {
  std::string reported;
  while (true) {
    std::string wanted = R"({"metadata":{"annotations":{)";
    auto add = [&](std::string_view key, std::string_view value) {
      if (wanted.back() != '{') wanted += ',';
      append_json_string(wanted, key);
      wanted += ':';
      // What there is none of is taken away.
      value.empty() ? void(wanted += "null") : append_json_string(wanted, value);
    };
    add(kTrustedRootsAnnotation, hash_list(roots_));
    add(kClientIssuerAnnotation, issuer_hash(NodeCertificate::Client));
    add(kServingIssuerAnnotation, issuer_hash(NodeCertificate::Serving));
    add(kSshHostKeysAnnotation,
        co_await run_blocking([pattern = options_.ssh_host_keys] { return read_host_keys(pattern); }));
    wanted += "}}}";
    if (wanted != reported) {
      auto done = co_await api_.patch<k8s::core::v1::Node>("", options_.node_name, client::PatchType::Merge, wanted);
      if (done) reported = wanted;
      if (!done) log_debug("the node's annotations were not written", {{"error", done.error().message()}});
    }
    co_await changed_.wait_for(reported == wanted ? std::chrono::seconds(kLongestSleep) : kFirstRetry * 5);
  }
}

Task<void> Rotation::run() {
  // One that is kept, and still good, serves at once.
  auto there =
      co_await run_blocking([options = options_] { return load_certificate(options, NodeCertificate::Serving); });
  if (there) {
    take(NodeCertificate::Serving, std::move(*there));
    if (serving_.certificate.not_after <= now() ||
        serving_.certificate.subject.common_name != "system:node:" + options_.node_name) {
      serving_ = {};
    } else {
      users_.serving(serving_.pair);
      has_serving_.notify();
    }
  }
  Scope scope(api_.executor(), "certificates");
  scope.spawn(cluster_info_.run());
  scope.spawn(keep(NodeCertificate::Client));
  scope.spawn(keep(NodeCertificate::Serving));
  scope.spawn(report());
  std::exception_ptr cancelled;
  try {
    co_await scope.wait_idle();
  } catch (...) {
    cancelled = std::current_exception();
  }
  co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
  co_await scope.join();
  if (cancelled) std::rethrow_exception(cancelled);
}

Task<bool> Rotation::wait_serving(std::chrono::milliseconds timeout) {
  auto end = std::chrono::steady_clock::now() + timeout;
  while (!serving_.valid()) {
    auto left = end - std::chrono::steady_clock::now();
    if (left <= std::chrono::nanoseconds(0)) co_return false;
    co_await has_serving_.wait_for(left);
  }
  co_return true;
}

}  // namespace redoubt::kubelet
