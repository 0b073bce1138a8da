// Authorization: may this user do this? system:masters may do everything; then the configured authorizers, in their
// order, until one has an opinion; what none allows is refused. Default: Node, RBAC.
//
// RBAC's rules are compiled into an index once for each state of the four resources; a check looks at the user's own
// bindings only. Everything decides at once but a webhook. Any thread.
#pragma once
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "apiserver/auth/abac.h"
#include "apiserver/auth/attributes.h"
#include "apiserver/auth/authorization_config.h"
#include "apiserver/auth/https_caller.h"
#include "apiserver/auth/node_authorizer.h"
#include "apiserver/auth/user.h"
#include "base/pending.h"
#include "base/status.h"
#include "schema/k8s/rbac_v1.h"
#include "store/store.h"

namespace redoubt::apiserver {

class RbacIndex;
class WebhookAuthorizer;

struct AuthorizerOptions {
  std::vector<AuthorizerConfig> chain = {{AuthorizerConfig::Type::Node, "node", {}},
                                         {AuthorizerConfig::Type::Rbac, "rbac", {}}};
  std::shared_ptr<const AbacPolicies> abac;  // for the type ABAC
  std::string config_file;  // that `chain` came from (--authorization-config): taken over again when it changes
  Dial dial;                // towards webhooks; null: straight
};

class Authorizer {
 public:
  // `store` outlives this. Node and RBAC.
  explicit Authorizer(const store::Store& store);
  // `loop`: where webhooks are asked from; needed with any. Blocking (kubeconfigs are read); BadRequest names the file.
  static Result<std::unique_ptr<Authorizer>> make(const store::Store& store, AuthorizerOptions options,
                                                  std::optional<Executor> loop);
  ~Authorizer();

  Pending<Decision> authorize(const UserInfo& user, const Attributes& attributes) const;
  // True when one of these is allowed.
  Pending<bool> allows_any(const UserInfo& user, std::vector<Attributes> wanted) const;

  struct Rules {
    std::vector<k8s::rbac::v1::PolicyRule> rules;
    bool incomplete = false;  // an authorizer can't list what it allows
    std::string error;        // which and why
  };
  // All rules that apply to a user in a namespace ("" for cluster-wide only), of every authorizer that can tell:
  // SelfSubjectRulesReview.
  Rules all_rules_for(const UserInfo& user, std::string_view ns) const;
  // Of RBAC: who may grant what.
  std::vector<k8s::rbac::v1::PolicyRule> rules_for(const UserInfo& user, std::string_view ns) const;
  // Forbidden when the user's own rights do not cover `rules`: nobody may grant what they do not have (unless
  // "escalate" allows it).
  Result<void> may_grant(const UserInfo& user, std::string_view ns,
                         const std::vector<k8s::rbac::v1::PolicyRule>& rules) const;
  // The rules that a role reference stands for; empty when there is no such role.
  std::vector<k8s::rbac::v1::PolicyRule> rules_of_role(std::string_view kind, std::string_view name,
                                                       std::string_view ns) const;
  // On the loop: ends what runs there.
  Task<void> stop();

 private:
  struct Link {
    AuthorizerConfig::Type type;
    std::shared_ptr<WebhookAuthorizer> webhook;
  };
  using Chain = std::vector<Link>;
  using ChainPtr = std::shared_ptr<const Chain>;
  Result<ChainPtr> make_chain(const std::vector<AuthorizerConfig>& configs) const;
  Decision decide_here(AuthorizerConfig::Type type, const UserInfo& user, const Attributes& attributes) const;
  Decision by_rbac(const UserInfo& user, const Attributes& attributes) const;
  // The chain from `at`, whose webhook is being asked.
  static Task<Decision> rest_of_chain(const Authorizer& self, ChainPtr chain, size_t at, UserInfo user,
                                      Attributes attributes, Decision so_far);
  static Task<bool> any_of_rest(const Authorizer& self, UserInfo user, std::vector<Attributes> wanted, size_t from);
  std::shared_ptr<const RbacIndex> index() const;
  Task<void> watch_config();

  const store::Store& store_;
  AuthorizerOptions options_;
  std::optional<Executor> loop_;
  NodeAuthorizer node_;
  std::atomic<ChainPtr> chain_;
  std::unique_ptr<Scope> scope_;  // of the loop
  mutable std::mutex building_;   // one rebuild a change; readers of an index that is up to date do not take it
  mutable std::atomic<std::shared_ptr<const RbacIndex>> index_;
};

}  // namespace redoubt::apiserver
