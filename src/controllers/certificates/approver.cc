// csrapproving: kubelets' client certificates by SubjectAccessReview, as upstream; and their serving certificates,
// which upstream leaves to people, where the API server's own record shows that the names are the node's.
#include <set>

#include "base/log.h"
#include "client/event_recorder.h"
#include "controllers/certificates/conditions.h"
#include "controllers/certificates/rules.h"
#include "controllers/controllers.h"
#include "schema/k8s/authorization_v1.h"

namespace redoubt::controllers {

namespace {

constexpr std::string_view kSeenAddressesAnnotation = "redoubt.dev/seen-addresses";
// How often a request that waits is looked at again: a right may have been given, a node may have gone silent.
constexpr std::chrono::seconds kLookAgain{10};
// Requests whose waiting was told; beyond it the oldest names are forgotten, which costs a repeated event.
constexpr size_t kMaxTold = 10'000;

std::vector<std::string> split(std::string_view text) {
  std::vector<std::string> out;
  while (!text.empty()) {
    size_t comma = text.find(',');
    out.emplace_back(text.substr(0, comma));
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
  }
  return out;
}

bool has(const std::vector<std::string>& list, std::string_view wanted) {
  return std::find(list.begin(), list.end(), wanted) != list.end();
}

class Approver : public Controller {
 public:
  Approver(client::Client& api, Informers& informers, std::vector<std::string> allow)
      : api_(api),
        informers_(informers),
        allow_(std::move(allow)),
        events_(api, "certificate-controller"),
        queue_(api.executor(), "csr-approver", [this](std::string key) { return reconcile(std::move(key)); }) {
    informers.requests.on_change([this](const auto&, const auto& after) {
      if (after) queue_.add(after->metadata.name);
    });
  }
  Task<void> run() override { co_await queue_.run(); }

 private:
  using Outcome = client::WorkQueue::Outcome;

  Task<Result<Outcome>> reconcile(std::string name) {
    // What is not known yet belongs to nobody: nothing is approved before all of it is in.
    co_await informers_.nodes.wait_synced();
    co_await informers_.leases.wait_synced();
    co_await informers_.services.wait_synced();
    co_await informers_.endpoints.wait_synced();
    co_await informers_.endpoint_slices.wait_synced();
    auto csr = informers_.requests.get("", name);
    if (!csr || !csr->status.certificate.bytes.empty() || find_condition(*csr, "Approved") ||
        find_condition(*csr, "Denied") || find_condition(*csr, "Failed"))
      co_return Outcome{};
    if (csr->spec.signerName != kClientKubeletSigner && csr->spec.signerName != kServingSigner) co_return Outcome{};
    auto request = pki::parse_request(csr->spec.request.bytes);
    std::string why = request ? misfit(csr->spec.signerName, *request, csr->spec.usages) : request.error().message();
    // What doesn't fit the signer is nobody's to approve automatically; the signer says what it makes of it.
    if (!why.empty()) co_return co_await wait_for_person(*csr, why);
    if (csr->spec.signerName == kServingSigner) co_return co_await serving(*csr, *request);
    co_return co_await client(*csr, *request);
  }

  Task<Result<Outcome>> client(Csr csr, pki::Request request) {
    bool own = csr.spec.username == request.subject.common_name;
    if (own) {
      RD_CO_TRY(bool allowed, co_await may(csr, "selfnodeclient"));
      if (allowed)
        co_return co_await approve(csr, "Auto approving self kubelet client certificate after SubjectAccessReview.");
    }
    RD_CO_TRY(bool allowed, co_await may(csr, "nodeclient"));
    if (!allowed)
      co_return co_await wait_for_person(csr, fmt::format("{} may not create certificatesigningrequests/{}",
                                                          csr.spec.username, own ? "selfnodeclient" : "nodeclient"));
    std::string node = node_of_subject(request);
    if (!own && is_alive(node)) {
      // Whoever holds a token could take a node over. Once the node's lease has run out, its name is free again.
      co_return co_await wait_for_person(
          csr, fmt::format("node {} is there and alive, and this request is not its own", node));
    }
    co_return co_await approve(csr, "Auto approving kubelet client certificate after SubjectAccessReview.");
  }

  bool is_alive(const std::string& node) const {
    if (!informers_.nodes.get("", node)) return false;
    auto lease = informers_.leases.get("kube-node-lease", node);
    if (!lease || !lease->spec.renewTime) return false;
    return lease->spec.renewTime->at + std::chrono::seconds(lease->spec.leaseDurationSeconds.value_or(40)) > now();
  }

  Task<Result<bool>> may(Csr csr, std::string subresource) {
    k8s::authorization::v1::SubjectAccessReview review;
    review.spec.user = csr.spec.username;
    review.spec.groups = csr.spec.groups;
    review.spec.uid = csr.spec.uid;
    for (const auto& [key, values] : csr.spec.extra) review.spec.extra[key].items = values.items;
    auto& attributes = review.spec.resourceAttributes.emplace();
    attributes.group = "certificates.k8s.io";
    attributes.resource = "certificatesigningrequests";
    attributes.subresource = std::move(subresource);
    attributes.verb = "create";
    attributes.version = "*";
    RD_CO_TRY(auto answer, co_await api_.create(std::move(review)));
    co_return answer.status.allowed;
  }

  Task<Result<Outcome>> serving(Csr csr, pki::Request request) {
    if (csr.spec.username != request.subject.common_name || !has(csr.spec.groups, "system:nodes"))
      co_return co_await wait_for_person(csr, fmt::format("{} is not the node that it asks for", csr.spec.username));
    ServingFacts facts;
    facts.node = node_of_subject(request);
    if (auto it = csr.metadata.annotations.find(std::string(kSeenAddressesAnnotation));
        it != csr.metadata.annotations.end())
      facts.seen = split(it->second);
    facts.allow = allow_;
    facts.owner = [this, &facts](const std::string& address) { return owner_of(address, facts.node); };
    std::string why = why_not_own(request, facts);
    if (!why.empty()) co_return co_await wait_for_person(csr, why);
    co_return co_await approve(csr,
                               "Auto approving kubelet serving certificate: the node's own name, and addresses that "
                               "it was seen at or that are allowed.");
  }

  AddressOwner owner_of(const std::string& address, const std::string& node) const {
    for (const auto& [key, service] : informers_.services.objects()) {
      const auto& spec = service->spec;
      if (spec.clusterIP == address || has(spec.clusterIPs, address) || has(spec.externalIPs, address))
        return {OwnerKind::Service, key};
      for (const auto& ingress : service->status.loadBalancer.ingress) {
        if (ingress.ip == address) return {OwnerKind::Service, key};
      }
    }
    for (const auto& [name, other] : informers_.nodes.objects()) {
      if (name == node) continue;
      for (const auto& a : other->status.addresses) {
        if (a.address == address) return {OwnerKind::Node, name};
      }
    }
    for (const auto& [key, slice] : informers_.endpoint_slices.objects()) {
      auto label = slice->metadata.labels.find("kubernetes.io/service-name");
      if (slice->metadata.namespace_ != "default" || label == slice->metadata.labels.end() ||
          label->second != "kubernetes")
        continue;
      for (const auto& endpoint : slice->endpoints) {
        if (has(endpoint.addresses, address)) return {OwnerKind::ApiServer, ""};
      }
    }
    if (auto endpoints = informers_.endpoints.get("default", "kubernetes")) {
      for (const auto& subset : endpoints->subsets) {
        for (const auto& a : subset.addresses) {
          if (a.ip == address) return {OwnerKind::ApiServer, ""};
        }
      }
    }
    return {};
  }

  Task<Result<Outcome>> approve(Csr csr, std::string message) {
    told_.erase(csr.metadata.name);
    log_info("certificate request approved",
             {{"request", csr.metadata.name}, {"signer", csr.spec.signerName}, {"user", csr.spec.username}});
    add_condition(csr, "Approved", "AutoApproved", std::move(message));
    RD_CO_TRYV(co_await api_.update(std::move(csr), "approval"));
    co_return Outcome{};
  }

  // Says once why, in the log and in an Event, and looks again later.
  Task<Result<Outcome>> wait_for_person(Csr csr, std::string why) {
    if (told_.size() > kMaxTold) told_.clear();
    std::string& told = told_[csr.metadata.name];
    if (told != why) {
      told = why;
      log_warning("a certificate request waits for a person",
                  {{"request", csr.metadata.name}, {"user", csr.spec.username}, {"why", why}});
      co_await events_.record(
          client::EventRecorder::about(csr), "Warning", "WaitingForApproval",
          fmt::format("Not approved automatically: {}. Look at it and say `kubectl certificate approve {}` or `deny`.",
                      why, csr.metadata.name));
    }
    co_return Outcome{kLookAgain};
  }

  client::Client& api_;
  Informers& informers_;
  std::vector<std::string> allow_;
  client::EventRecorder events_;
  client::WorkQueue queue_;
  std::map<std::string, std::string> told_;  // why each waits
};

}  // namespace

std::unique_ptr<Controller> make_certificate_approver(client::Client& api, Informers& informers,
                                                      std::vector<std::string> node_address_allow) {
  return std::make_unique<Approver>(api, informers, std::move(node_address_allow));
}

}  // namespace redoubt::controllers
