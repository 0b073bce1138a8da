// The informers that only the workload controllers read, and what they share: revisions, and what was done and is not
// seen yet.
#pragma once
#include <map>
#include <set>
#include <string>

#include "controllers/controller.h"
#include "schema/k8s/batch_v1.h"

namespace redoubt::controllers {

struct WorkloadInformers {
  explicit WorkloadInformers(client::Client& api)
      : daemon_sets(api), stateful_sets(api), revisions(api), jobs(api), cron_jobs(api) {}
  client::Informer<apps::DaemonSet> daemon_sets;
  client::Informer<apps::StatefulSet> stateful_sets;
  client::Informer<apps::ControllerRevision> revisions;
  client::Informer<k8s::batch::v1::Job> jobs;
  client::Informer<k8s::batch::v1::CronJob> cron_jobs;
};

// Pods that a controller made or deleted and that the informer does not show yet: until it does, counting pods would
// make or delete them twice.
class Expectations {
 public:
  // Registers with the informer. `kind` is the owner's kind; keys are "namespace/owner".
  Expectations(Informers& informers, std::string kind);

  void made(const std::string& key, const core::Pod& pod);
  void deleting(const std::string& key, const core::Pod& pod);
  // The deletion did not happen.
  void kept(const std::string& key, const core::Pod& pod);
  bool met(const std::string& key);
  void forget(const std::string& key) { open_.erase(key); }

 private:
  Informers& informers_;
  std::map<std::string, std::map<std::string, std::chrono::steady_clock::time_point>> open_;
};

// The pods whose controller is the object with that uid.
std::vector<std::shared_ptr<const core::Pod>> pods_controlled_by(Informers& informers, const std::string& ns,
                                                                 const std::string& uid);
// Calls `changed("namespace/owner")` for every change of a pod whose controller is of `kind`.
void follow_pods_of(Informers& informers, std::string kind, std::function<void(const std::string& key)> changed);

// Runs Jobs' pods to completion.
std::unique_ptr<Controller> make_job(client::Client& api, Informers& informers, WorkloadInformers& workloads);
// Deletes Jobs some time after they have finished (spec.ttlSecondsAfterFinished).
std::unique_ptr<Controller> make_ttl_after_finished(client::Client& api, WorkloadInformers& workloads);
// Makes Jobs by the clock.
std::unique_ptr<Controller> make_cron_job(client::Client& api, WorkloadInformers& workloads);
// One pod on each node that fits.
std::unique_ptr<Controller> make_daemon_set(client::Client& api, Informers& informers, WorkloadInformers& workloads);
// Pods with a name, an order and volumes of their own.
std::unique_ptr<Controller> make_stateful_set(client::Client& api, Informers& informers, WorkloadInformers& workloads);

}  // namespace redoubt::controllers
