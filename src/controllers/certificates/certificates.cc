// Certificate requests: approval by rules, then signing by the authority of the signer's name.
//
// A kubelet's client certificate is approved when the requester may create certificatesigningrequests/nodeclient (or
// .../selfnodeclient for its own). A serving certificate only for the node that asks: its name, and addresses that an
// administrator allowed or that the node's connection came from; anything else waits for a person.
#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

#include "base/log.h"
#include "controllers/controllers.h"
#include "schema/k8s/authorization_v1.h"

namespace redoubt::controllers {

namespace {

using Csr = k8s::certificates::v1::CertificateSigningRequest;

constexpr std::string_view kClient = "kubernetes.io/kube-apiserver-client";
constexpr std::string_view kClientKubelet = "kubernetes.io/kube-apiserver-client-kubelet";
constexpr std::string_view kServing = "kubernetes.io/kubelet-serving";
constexpr std::string_view kNodePrefix = "system:node:";
constexpr std::chrono::hours kLifetime{24 * 365};

bool has(const std::vector<std::string>& list, std::string_view wanted) {
  return std::find(list.begin(), list.end(), wanted) != list.end();
}

bool has_condition(const Csr& csr, std::string_view type) {
  return std::any_of(csr.status.conditions.begin(), csr.status.conditions.end(),
                     [&](const auto& c) { return c.type == type; });
}

bool only(const std::vector<std::string>& usages, std::initializer_list<std::string_view> allowed,
          std::string_view needed) {
  for (const std::string& usage : usages) {
    if (std::find(allowed.begin(), allowed.end(), usage) == allowed.end()) return false;
  }
  return has(usages, needed);
}

bool in_cidr(const std::string& address, const std::string& cidr) {
  size_t slash = cidr.find('/');
  int bits = 0;
  if (slash == std::string::npos ||
      std::from_chars(cidr.data() + slash + 1, cidr.data() + cidr.size(), bits).ec != std::errc())
    return false;
  unsigned char a[16], b[16];
  int family = cidr.find(':') == std::string::npos ? AF_INET : AF_INET6;
  if (inet_pton(family, address.c_str(), a) != 1 || inet_pton(family, cidr.substr(0, slash).c_str(), b) != 1)
    return false;
  int size = family == AF_INET ? 32 : 128;
  if (bits < 0 || bits > size) return false;
  for (int i = 0; i < bits; ++i) {
    if (((a[i / 8] ^ b[i / 8]) >> (7 - i % 8)) & 1) return false;
  }
  return true;
}

class CertificateController : public Controller {
 public:
  CertificateController(client::Client& api, Informers& informers, CertificateOptions options)
      : api_(api),
        informers_(informers),
        options_(std::move(options)),
        queue_(api.executor(), "certificates", [this](std::string key) { return reconcile(std::move(key)); }) {
    informers.requests.on_change([this](const auto&, const auto& after) {
      if (after) queue_.add(after->metadata.name);
    });
  }
  Task<void> run() override { co_await queue_.run(); }

 private:
  Task<Result<client::WorkQueue::Outcome>> reconcile(std::string name) {
    auto csr = informers_.requests.get("", name);
    if (!csr || !csr->status.certificate.bytes.empty() || has_condition(*csr, "Denied") ||
        has_condition(*csr, "Failed"))
      co_return client::WorkQueue::Outcome{};
    if (!has_condition(*csr, "Approved")) co_return co_await approve(*csr);
    co_return co_await sign(*csr);
  }

  Task<Result<bool>> may(Csr csr, std::string subresource) {
    k8s::authorization::v1::SubjectAccessReview review;
    review.spec.user = csr.spec.username;
    review.spec.groups = csr.spec.groups;
    review.spec.uid = csr.spec.uid;
    auto& attributes = review.spec.resourceAttributes.emplace();
    attributes.group = "certificates.k8s.io";
    attributes.resource = "certificatesigningrequests";
    attributes.subresource = subresource;
    attributes.verb = "create";
    attributes.version = "*";
    RD_CO_TRY(auto answer, co_await api_.create(std::move(review)));
    co_return answer.status.allowed;
  }

  Task<Result<client::WorkQueue::Outcome>> approve(Csr csr) {
    client::WorkQueue::Outcome nothing;
    auto request = pki::parse_request(csr.spec.request.bytes);
    if (!request) co_return nothing;
    const std::string& name = request->subject.common_name;
    bool node_subject = name.starts_with(kNodePrefix) && name.size() > kNodePrefix.size() &&
                        request->subject.organizations == std::vector<std::string>{"system:nodes"};
    if (csr.spec.signerName == kClientKubelet) {
      if (!node_subject || !request->dns_names.empty() || !request->ip_addresses.empty() || !request->emails.empty() ||
          !request->uris.empty())
        co_return nothing;
      if (!only(csr.spec.usages, {"key encipherment", "digital signature", "client auth"}, "client auth"))
        co_return nothing;
      bool own = csr.spec.username == name;
      RD_CO_TRY(bool allowed, co_await may(csr, own ? "selfnodeclient" : "nodeclient"));
      if (!allowed && own) {
        RD_CO_TRY(allowed, co_await may(csr, "nodeclient"));
      }
      if (!allowed) co_return nothing;
      co_return co_await write_approval(csr, "Auto approving kubelet client certificate after SubjectAccessReview.");
    }
    if (csr.spec.signerName == kServing) {
      if (!node_subject || csr.spec.username != name || !has(csr.spec.groups, "system:nodes")) co_return nothing;
      if (!only(csr.spec.usages, {"key encipherment", "digital signature", "server auth"}, "server auth") ||
          !request->emails.empty() || !request->uris.empty())
        co_return nothing;
      std::string why = refuse_serving(*request, name.substr(kNodePrefix.size()));
      if (why.empty())
        co_return co_await write_approval(
            csr, "Auto approving kubelet serving certificate: the node's own name and allowed addresses.");
      if (reported_.insert(csr.metadata.name).second)
        log_warning("a kubelet's serving certificate waits for a person",
                    {{"request", csr.metadata.name}, {"node", name}, {"why", why}});
    }
    co_return nothing;
  }

  // Why the names in a serving request are not the node's own; empty when they are.
  std::string refuse_serving(const pki::Request& request, const std::string& node) {
    for (const std::string& dns : request.dns_names) {
      if (dns != node) return fmt::format("DNS name \"{}\" is not the node's name", dns);
    }
    if (request.ip_addresses.empty() && request.dns_names.empty()) return "it names nothing";
    for (const std::string& address : request.ip_addresses) {
      bool allowed = std::any_of(options_.node_address_allow.begin(), options_.node_address_allow.end(),
                                 [&](const std::string& cidr) { return in_cidr(address, cidr); });
      if (!allowed) return fmt::format("address {} is in no --node-address-allow network", address);
      for (const auto& [name, other] : informers_.nodes.objects()) {
        if (name == node) continue;
        for (const auto& a : other->status.addresses) {
          if (a.address == address) return fmt::format("address {} belongs to node {}", address, name);
        }
      }
      for (const auto& [name, service] : informers_.services.objects()) {
        if (service->spec.clusterIP == address) return fmt::format("address {} belongs to Service {}", address, name);
      }
    }
    return "";
  }

  Task<Result<client::WorkQueue::Outcome>> write_approval(Csr csr, std::string message) {
    k8s::certificates::v1::CertificateSigningRequestCondition condition;
    condition.type = "Approved";
    condition.status = "True";
    condition.reason = "AutoApproved";
    condition.message = std::move(message);
    csr.status.conditions.push_back(std::move(condition));
    auto written = co_await api_.update(std::move(csr), "approval");
    if (!written) co_return Error(written.error());
    co_return client::WorkQueue::Outcome{};
  }

  Task<Result<client::WorkQueue::Outcome>> sign(Csr csr) {
    client::WorkQueue::Outcome nothing;
    bool client_kubelet = csr.spec.signerName == kClientKubelet, serving = csr.spec.signerName == kServing,
         client = csr.spec.signerName == kClient;
    if (!client_kubelet && !serving && !client) co_return nothing;
    auto request = pki::parse_request(csr.spec.request.bytes);
    std::string failure;
    if (!request) failure = request.error().message();
    // The rules that approval checked hold for what a person approved, too: a signer signs no more than its name says.
    if (request && (client_kubelet || serving) &&
        (!request->subject.common_name.starts_with(kNodePrefix) ||
         request->subject.organizations != std::vector<std::string>{"system:nodes"})) {
      failure = "the subject must be system:node:NAME in system:nodes";
    }
    if (request && client && has(request->subject.organizations, "system:masters"))
      failure = "system:masters can't be requested";
    if (request && serving && csr.spec.username != request->subject.common_name)
      failure = "a node may ask for its own serving certificate only";
    if (!failure.empty()) {
      k8s::certificates::v1::CertificateSigningRequestCondition condition;
      condition.type = "Failed";
      condition.status = "True";
      condition.reason = "SignerValidationFailure";
      condition.message = failure;
      csr.status.conditions.push_back(std::move(condition));
    } else {
      pki::Template wanted;
      wanted.subject = request->subject;
      if (serving) {
        wanted.dns_names = request->dns_names;
        wanted.ip_addresses = request->ip_addresses;
      }
      wanted.usages = {serving ? pki::Usage::ServerAuth : pki::Usage::ClientAuth};
      wanted.lifetime = kLifetime;
      if (csr.spec.expirationSeconds)
        wanted.lifetime = std::clamp<std::chrono::seconds>(std::chrono::seconds(*csr.spec.expirationSeconds),
                                                           std::chrono::minutes(10), kLifetime);
      RD_CO_TRY(csr.status.certificate.bytes,
                pki::sign_request(serving ? options_.kubelet_ca : options_.client_ca, csr.spec.request.bytes, wanted));
    }
    auto written = co_await api_.update_status(std::move(csr));
    if (!written) co_return Error(written.error());
    co_return nothing;
  }

  client::Client& api_;
  Informers& informers_;
  CertificateOptions options_;
  client::WorkQueue queue_;
  std::set<std::string> reported_;
};

}  // namespace

std::unique_ptr<Controller> make_certificates(client::Client& api, Informers& informers, CertificateOptions options) {
  return std::make_unique<CertificateController>(api, informers, std::move(options));
}

}  // namespace redoubt::controllers
