#include "cmd/konnectivity/leases.h"

#include "base/log.h"
#include "base/metrics.h"
#include "schema/k8s/coordination_v1.h"

namespace redoubt::cmd {

namespace {

using k8s::coordination::v1::Lease;

constexpr std::chrono::seconds kLeaseDuration{30};
constexpr std::chrono::seconds kRenewInterval{15};
constexpr std::chrono::seconds kCountInterval{5};

std::string lease_name(const std::string& server_id) {
  return "konnectivity-proxy-server-" + server_id;
}

bool is_valid(const Lease& lease) {
  auto from = lease.spec.renewTime ? lease.spec.renewTime : lease.spec.acquireTime;
  if (!from || !lease.spec.leaseDurationSeconds) return false;
  return from->at + std::chrono::seconds(*lease.spec.leaseDurationSeconds) > now();
}

std::string metric(const char* subsystem, const char* name) {
  return fmt::format("konnectivity_network_proxy_{}_{}", subsystem, name);
}

void observe(const char* subsystem, const char* name, const char* code_label, const Status* failure) {
  counter(metric(subsystem, name), "Count of lease calls, by HTTP status code and reason.",
          {{code_label, std::to_string(failure == nullptr ? 200 : failure->code())},
           {"reason", failure == nullptr ? std::string() : failure->reason()}})
      .add();
}

Task<Result<void>> renew(client::Client& api, const LeaseOptions& options, const std::string& server_id) {
  auto stamp = [&](Lease& lease) {
    lease.spec.holderIdentity = server_id;
    lease.spec.leaseDurationSeconds = static_cast<int32_t>(kLeaseDuration.count());
    lease.spec.renewTime = schema::MicroTime::now();
    std::string_view rest = options.label;
    while (!rest.empty()) {
      std::string_view pair = rest.substr(0, rest.find(','));
      rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
      if (size_t equal = pair.find('='); equal != std::string_view::npos)
        lease.metadata.labels[std::string(pair.substr(0, equal))] = std::string(pair.substr(equal + 1));
    }
  };
  auto found = co_await api.get<Lease>(options.ns, lease_name(server_id));
  if (found) {
    stamp(*found);
    RD_CO_TRYV(co_await api.update(std::move(*found)));
    co_return Result<void>{};
  }
  if (found.error().code() != 404) co_return Error(found.error());
  Lease lease;
  lease.metadata.name = lease_name(server_id);
  lease.metadata.namespace_ = options.ns;
  stamp(lease);
  RD_CO_TRYV(co_await api.create(std::move(lease)));
  co_return Result<void>{};
}

Task<void> remove_expired(client::Client& api, const LeaseOptions& options) {
  client::ListOptions selector;
  selector.label_selector = options.label;
  auto start = std::chrono::steady_clock::now();
  auto leases = co_await api.list<Lease>(options.ns, std::move(selector));
  observe("server", "lease_list_total", "http_status_code", leases ? nullptr : &leases.error());
  histogram(metric("server", "lease_list_latency_seconds"),
            "Latency of lease list calls by the garbage collection controller in seconds.",
            {.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
            {{"http_status_code", std::to_string(leases ? 200 : leases.error().code())}})
      .observe(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  if (!leases) {
    log_warning("konnectivity: can't list server leases", {{"error", leases.error().message()}});
    co_return;
  }
  for (const Lease& lease : leases->items) {
    if (is_valid(lease)) continue;
    // One that was renewed since has another resourceVersion, and stays.
    client::DeleteOptions precondition;
    precondition.resource_version = lease.metadata.resourceVersion;
    auto removed = co_await api.remove<Lease>(options.ns, lease.metadata.name, std::move(precondition));
    observe("server", "lease_delete_total", "http_status_code", removed ? nullptr : &removed.error());
    if (removed) {
      counter(metric("server", "culled_leases_count"),
              "Count of expired leases that the lease garbage collection controller has culled.")
          .add();
    } else if (removed.error().code() != 404) {
      log_warning("konnectivity: can't delete an expired server lease",
                  {{"lease", lease.metadata.name}, {"error", removed.error().message()}});
    }
  }
}

}  // namespace

Task<void> keep_server_lease(std::shared_ptr<client::Client> api, LeaseOptions options, std::string server_id) {
  while (true) {
    auto renewed = co_await renew(*api, options, server_id);
    if (!renewed) log_warning("konnectivity: can't renew the server's lease", {{"error", renewed.error().message()}});
    co_await remove_expired(*api, options);
    co_await sleep_for(kRenewInterval);
  }
}

Task<void> delete_server_lease(std::shared_ptr<client::Client> api, LeaseOptions options, std::string server_id) {
  auto removed = co_await api->remove<Lease>(options.ns, lease_name(server_id));
  if (!removed) log_warning("konnectivity: can't delete the server's lease", {{"error", removed.error().message()}});
}

Task<void> count_server_leases(std::shared_ptr<client::Client> api, LeaseOptions options,
                               std::shared_ptr<std::optional<int>> count) {
  while (true) {
    client::ListOptions selector;
    selector.label_selector = options.label;
    auto leases = co_await api->list<Lease>(options.ns, std::move(selector));
    observe("agent", "lease_lists_total", "http_response_code", leases ? nullptr : &leases.error());
    if (leases) {
      int live = 0;
      for (const Lease& lease : leases->items) live += is_valid(lease) ? 1 : 0;
      if (live == 0) log_warning("konnectivity: no valid server leases found, assuming server count of 1");
      *count = std::max(1, live);
    } else {
      log_warning("konnectivity: can't list server leases", {{"error", leases.error().message()}});
    }
    co_await sleep_for(kCountInterval);
  }
}

}  // namespace redoubt::cmd
