#include "cmd/control_plane.h"

#include <future>

#include "base/log.h"
#include "cmd/return_memory.h"
#include "cmd/server.h"
#include "controllers/controllers.h"
#include "scheduler/scheduler.h"

namespace redoubt::cmd {

namespace {

class ControlPlaneImpl : public ControlPlane {
 public:
  explicit ControlPlaneImpl(const Server& server) : server_(server), loops_(1, "controllers") {}

  ~ControlPlaneImpl() override {
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
    pki::Template wanted;
    wanted.subject.common_name = "system:serviceaccount:kube-system:" + controller;
    wanted.subject.organizations = {"system:serviceaccounts", "system:serviceaccounts:kube-system"};
    wanted.usages = {pki::Usage::ClientAuth};
    RD_TRY(pki::KeyPair identity, pki::issue(server_.pki().ca, wanted));
    clients_.push_back(
        std::make_unique<client::Client>(loops_.executor(0), server_.client_config(identity, "redoubt/" + controller)));
    return clients_.back().get();
  }

  Result<void> start_all() {
    using namespace controllers;
    scope_ = std::make_unique<Scope>(loops_.executor(0), "control plane");
    clients_.push_back(std::make_unique<client::Client>(
        loops_.executor(0),
        server_.client_config(server_.pki().clients.at("controller-manager"), "redoubt/controller-manager")));
    informers_ = std::make_unique<Informers>(*clients_.back());
    auto add = [&](std::unique_ptr<Controller> controller) { controllers_.push_back(std::move(controller)); };
    RD_TRY(client::Client * api, client_of("service-account-controller"));
    add(make_service_account(*api, *informers_));
    RD_TRY(api, client_of("root-ca-cert-publisher"));
    add(make_root_ca(*api, *informers_, server_.pki().ca.certificate_pem));
    RD_TRY(api, client_of("certificate-controller"));
    std::vector<std::string> allow = server_.options().node_address_allow;
    // The machine that runs the server is known to be there.
    allow.push_back(server_.options().advertise_address + "/32");
    add(make_certificates(*api, *informers_, {server_.pki().ca, server_.pki().kubelet_ca, std::move(allow)}));
    RD_TRY(api, client_of("replicaset-controller"));
    add(make_replica_set(*api, *informers_));
    RD_TRY(api, client_of("deployment-controller"));
    add(make_deployment(*api, *informers_));
    RD_TRY(api, client_of("node-controller"));
    add(make_node_ipam(*api, *informers_, server_.options().cluster_cidr));

    clients_.push_back(std::make_unique<client::Client>(
        loops_.executor(0), server_.client_config(server_.pki().clients.at("scheduler"), "redoubt/scheduler")));
    scheduler_ = std::make_unique<scheduler::Scheduler>(*clients_.back(), informers_->pods, informers_->nodes);

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
    for (auto& controller : controllers_) scope_->spawn(controller->run());
    scope_->spawn(scheduler_->run());
    return {};
  }

  const Server& server_;
  net::LoopPool loops_;
  std::unique_ptr<Scope> stopping_;
  std::unique_ptr<Scope> scope_;
  std::vector<std::unique_ptr<client::Client>> clients_;
  std::unique_ptr<controllers::Informers> informers_;
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
