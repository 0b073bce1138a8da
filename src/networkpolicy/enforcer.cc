#include "networkpolicy/enforcer.h"

#include "base/blocking.h"
#include "base/log.h"
#include "base/metrics.h"
#include "networkpolicy/rules.h"
#include "nft/nft.h"

namespace redoubt::networkpolicy {

namespace core = k8s::core::v1;

namespace {

constexpr std::chrono::milliseconds kGather{50};
constexpr std::chrono::seconds kCheckEvery{10}, kRetry{2};

bool in_place() {
  auto table = nft::print("list table inet redoubt-policy");
  return table && table->find("chain ingress") != std::string::npos && table->find("hook forward") != std::string::npos;
}

}  // namespace

Enforcer::Enforcer(client::Client& api, std::string node_name)
    : api_(api),
      node_name_(std::move(node_name)),
      maps_(api, std::string(kNamespace), client::ListOptions{.label_selector = std::string(kLabel)}),
      node_(api, "", client::ListOptions{.field_selector = "metadata.name=" + node_name_}),
      changed_(api.executor()) {
  maps_.on_change([this](const auto& before, const auto& after) {
    const std::string& name = (after ? after : before)->metadata.name;
    if (!after) {
      policies_.erase(name);
    } else {
      auto data = after->data.find(std::string(kDataKey));
      if (data == after->data.end()) return;
      auto policy = parse_policy(data->second);
      if (policy) {
        policies_[name] = std::move(*policy);
      } else {
        // What was known of it stays in force.
        log_error("a network policy can't be read", {{"configmap", name}, {"error", policy.error().message()}});
      }
    }
    changed_.notify();
  });
  node_.on_change([this](const auto&, const auto&) { changed_.notify(); });
}

Task<void> Enforcer::run() {
  Scope scope(api_.executor(), "network policies");
  std::exception_ptr stopped;
  try {
    scope.spawn(maps_.run());
    scope.spawn(node_.run());
    co_await maps_.wait_synced();
    co_await node_.wait_synced();
    while (true) {
      auto done = co_await install();
      if (!done) {
        log_error("network policies can't be enforced as they should", {{"error", done.error().message()}});
        co_await sleep_for(kRetry);
      } else if (co_await changed_.wait_for(kCheckEvery)) {
        co_await sleep_for(kGather);
      }
    }
  } catch (...) {
    stopped = std::current_exception();
  }
  co_await boost::asio::this_coro::reset_cancellation_state(boost::asio::disable_cancellation());
  co_await scope.join();
  if (stopped) std::rethrow_exception(stopped);
}

Task<Result<void>> Enforcer::install() {
  auto node = node_.get("", node_name_);
  if (!node) co_return Result<void>{};
  std::vector<std::string> local = node->spec.podCIDRs;
  if (local.empty() && !node->spec.podCIDR.empty()) local = {node->spec.podCIDR};
  std::vector<Policy> policies;
  for (const auto& [name, policy] : policies_) policies.push_back(policy);
  std::string script = table_script(policies, local);
  bool nothing = script == removal_script();
  if (script == installed_) {
    if (nothing || co_await run_blocking([] { return in_place(); })) co_return Result<void>{};
    log_warning("nftables table is not as it was left: putting it back", {{"table", "redoubt-policy"}});
  }
  auto done = co_await run_blocking([script] { return nft::apply(script); });
  if (!done) co_return done;
  installed_ = std::move(script);
  static Counter& count =
      counter("networkpolicy_changes_total", "Times that the table of NetworkPolicies was replaced.");
  count.add();
  co_return Result<void>{};
}

Result<void> remove_rules() {
  return nft::apply(removal_script());
}

}  // namespace redoubt::networkpolicy
