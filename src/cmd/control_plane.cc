#include "cmd/control_plane.h"

#include <future>

#include "base/log.h"
#include "cmd/return_memory.h"
#include "cmd/server.h"
#include "controllers/controllers.h"
#include "controllers/network_policy/network_policy.h"
#include "controllers/workloads.h"
#include "scheduler/scheduler.h"

namespace redoubt::cmd {

namespace {

class ControlPlaneImpl : public ControlPlane {
 public:
  explicit ControlPlaneImpl(const Server& server) : server_(server), loops_(1, "controllers") {}

  ~ControlPlaneImpl() override {
    subscription_.reset();
    std::promise<void> done;
    boost::asio::post(loops_.executor(0), [&] {
      stopping_ = std::make_unique<Scope>(loops_.executor(0), "stopping");
      stopping_->spawn([](ControlPlaneImpl& self, std::promise<void>& d) -> Task<void> {
        if (self.scope_) co_await self.scope_->join();
        d.set_value();
      }(*this, done));
    });
    done.get_future().wait_for(std::chrono::seconds(5));
    loops_.stop();
  }

  Result<void> run() {
    std::promise<Result<void>> made;
    boost::asio::post(loops_.executor(0), [&] { made.set_value(start_all()); });
    return made.get_future().get();
  }

 private:
  // A client that is one controller: a ServiceAccount's name, proven by a certificate that this process signs for
  // itself.
  Result<client::Client*> client_of(const std::string& controller) {
    RD_TRY(pki::KeyPair identity, identity_of(controller));
    return add_client(identity, "redoubt/" + controller,
                      [this, controller](const pki::ClusterPki&) { return identity_of(controller); });
  }
  Result<pki::KeyPair> identity_of(const std::string& controller) {
    pki::Template wanted;
    wanted.subject.common_name = "system:serviceaccount:kube-system:" + controller;
    wanted.subject.organizations = {"system:serviceaccounts", "system:serviceaccounts:kube-system"};
    wanted.usages = {pki::Usage::ClientAuth};
    wanted.lifetime = server_.options().tls.certificate_duration;
    return pki::issue(server_.pki().ca, wanted);
  }
  // A client that is a component, with the certificate of its name in the PKI's folder.
  client::Client* component_client(const std::string& name) {
    return add_client(server_.pki().clients.at(name), "redoubt/" + name,
                      [name](const pki::ClusterPki& pki) -> Result<pki::KeyPair> { return pki.clients.at(name); });
  }

  using Identity = std::function<Result<pki::KeyPair>(const pki::ClusterPki&)>;
  client::Client* add_client(const pki::KeyPair& now, std::string user_agent, Identity later) {
    clients_.push_back(
        std::make_unique<client::Client>(loops_.executor(0), server_.client_config(now, std::move(user_agent))));
    identities_.push_back(std::move(later));
    return clients_.back().get();
  }

  // New authorities and certificates, for every client. A certificate of a component is due no later than those in the
  // folder, which were made with the same lifetime and earlier.
  void renew(const pki::ClusterPki& pki) {
    for (size_t i = 0; i < clients_.size(); ++i) {
      auto identity = identities_[i](pki);
      Result<void> done = identity ? clients_[i]->replace_roots(pki.root_bundle) : Error(identity.error());
      if (done) done = clients_[i]->replace_certificate(identity->certificate_pem, identity->private_key_pem);
      if (!done) log_error("a component keeps its old certificate", {{"error", done.error().message()}});
    }
    for (auto& told : told_) told(pki);
  }

  Result<void> start_all() {
    using namespace controllers;
    scope_ = std::make_unique<Scope>(loops_.executor(0), "control plane");
    informers_ = std::make_unique<Informers>(*component_client("controller-manager"));
    auto add = [&](std::unique_ptr<Controller> controller) { controllers_.push_back(std::move(controller)); };
    RD_TRY(client::Client * api, client_of("service-account-controller"));
    add(make_service_account(*api, *informers_));
    RD_TRY(api, client_of("clusterrole-aggregation-controller"));
    add(make_cluster_role_aggregation(*api));
    RD_TRY(api, client_of("root-ca-cert-publisher"));
    auto root_ca = make_root_ca(*api, *informers_, server_.pki().root_bundle);
    told_.push_back([root = root_ca.get()](const pki::ClusterPki& pki) { root->replace(pki.root_bundle); });
    add(std::move(root_ca));
    RD_TRY(api, client_of("certificate-controller"));
    add(make_certificate_approver(*api, *informers_, server_.options().node_address_allow));
    auto authorities = [&server = server_]() -> SigningAuthorities {
      pki::ClusterPki pki = server.pki();
      return {pki.client_signer, pki.kubelet_client_signer, pki.kubelet_serving_signer};
    };
    add(make_certificate_signer(*api, *informers_, authorities, server_.options().tls.cluster_signing_duration));
    add(make_certificate_cleaner(*api, *informers_));
    RD_TRY(api, client_of("bootstrap-signer"));
    auto signer = make_bootstrap_signer(*api, cluster_info(server_.pki()));
    told_.push_back([this, s = signer.get()](const pki::ClusterPki& pki) { s->replace(cluster_info(pki)); });
    add(std::move(signer));
    RD_TRY(api, client_of("token-cleaner"));
    add(make_token_cleaner(*api));
    RD_TRY(api, client_of("replicaset-controller"));
    add(make_replica_set(*api, *informers_));
    RD_TRY(api, client_of("deployment-controller"));
    add(make_deployment(*api, *informers_));
    RD_TRY(api, client_of("node-controller"));
    add(make_node_ipam(*api, *informers_, server_.options().cluster_cidr));
    add(make_node_lifecycle(*api, *informers_));
    RD_TRY(api, client_of("network-policy-controller"));
    add(make_network_policy(*api, *informers_));
    RD_TRY(api, client_of("service-cidrs-controller"));
    add(make_service_cidrs(*api));
    RD_TRY(api, client_of("pod-garbage-collector"));
    add(make_pod_gc(*api, *informers_));
    RD_TRY(api, client_of("namespace-controller"));
    add(make_namespaces(*api, *informers_));
    RD_TRY(api, client_of("generic-garbage-collector"));
    add(make_garbage(*api));
    RD_TRY(api, client_of("endpoint-controller"));
    add(make_endpoints(*api, *informers_));
    RD_TRY(api, client_of("endpointslice-controller"));
    add(make_endpoint_slices(*api, *informers_));
    RD_TRY(api, client_of("endpointslicemirroring-controller"));
    add(make_endpoint_slice_mirroring(*api, *informers_));
    workloads_ = std::make_unique<WorkloadInformers>(*clients_.front());
    RD_TRY(api, client_of("job-controller"));
    add(make_job(*api, *informers_, *workloads_));
    RD_TRY(api, client_of("ttl-after-finished-controller"));
    add(make_ttl_after_finished(*api, *workloads_));
    RD_TRY(api, client_of("cronjob-controller"));
    add(make_cron_job(*api, *workloads_));
    RD_TRY(api, client_of("daemon-set-controller"));
    add(make_daemon_set(*api, *informers_, *workloads_));
    RD_TRY(api, client_of("statefulset-controller"));
    add(make_stateful_set(*api, *informers_, *workloads_));

    scheduler_ =
        std::make_unique<scheduler::Scheduler>(*component_client("scheduler"), informers_->pods, informers_->nodes);

    Informers& i = *informers_;
    scope_->spawn(return_memory());
    scope_->spawn(i.namespaces.run());
    scope_->spawn(i.nodes.run());
    scope_->spawn(i.pods.run());
    scope_->spawn(i.services.run());
    scope_->spawn(i.service_accounts.run());
    scope_->spawn(i.replica_sets.run());
    scope_->spawn(i.deployments.run());
    scope_->spawn(i.requests.run());
    scope_->spawn(i.leases.run());
    scope_->spawn(i.endpoint_slices.run());
    scope_->spawn(i.endpoints.run());
    WorkloadInformers& w = *workloads_;
    scope_->spawn(w.daemon_sets.run());
    scope_->spawn(w.stateful_sets.run());
    scope_->spawn(w.revisions.run());
    scope_->spawn(w.jobs.run());
    scope_->spawn(w.cron_jobs.run());
    for (auto& controller : controllers_) scope_->spawn(controller->run());
    scope_->spawn(scheduler_->run());
    subscription_ =
        server_.live_pki().subscribe(loops_.executor(0), [this](const pki::ClusterPki& pki) { renew(pki); });
    return {};
  }

  controllers::ClusterInfo cluster_info(const pki::ClusterPki& pki) const {
    const ServerOptions& options = server_.options();
    std::string host = options.advertise_address;
    if (host.find(':') != std::string::npos) host = "[" + host + "]";
    return {fmt::format("https://{}:{}", host, options.secure_port), pki.root_bundle, pki.kubelet_ca_bundle,
            pki.client_ca_bundle};
  }

  const Server& server_;
  net::LoopPool loops_;
  std::unique_ptr<Scope> stopping_;
  std::unique_ptr<Scope> scope_;
  std::vector<std::unique_ptr<client::Client>> clients_;
  std::vector<Identity> identities_;  // beside clients_: who each is, once certificates change
  std::vector<std::function<void(const pki::ClusterPki&)>> told_;  // controllers that publish authorities
  std::shared_ptr<void> subscription_;
  std::unique_ptr<controllers::Informers> informers_;
  std::unique_ptr<controllers::WorkloadInformers> workloads_;
  std::vector<std::unique_ptr<controllers::Controller>> controllers_;
  std::unique_ptr<scheduler::Scheduler> scheduler_;
};

}  // namespace

Result<std::unique_ptr<ControlPlane>> ControlPlane::start(const Server& server) {
  auto out = std::make_unique<ControlPlaneImpl>(server);
  RD_TRYV(out->run());
  return out;
}

}  // namespace redoubt::cmd
