#include "apiserver/auth/authorizer.h"

#include <algorithm>
#include <boost/asio/post.hpp>

#include "apiserver/auth/limits.h"
#include "apiserver/auth/rbac.h"
#include "apiserver/auth/webhook_authorizer.h"
#include "base/blocking.h"
#include "base/log.h"
#include "base/metrics.h"
#include "pki/certificate.h"
#include "schema/typed.h"

namespace redoubt::apiserver {

using k8s::rbac::v1::PolicyRule;

std::shared_ptr<const RbacIndex> Authorizer::index() const {
  auto roles = store_.snapshot("roles");
  auto cluster_roles = store_.snapshot("clusterroles");
  auto role_bindings = store_.snapshot("rolebindings");
  auto cluster_role_bindings = store_.snapshot("clusterrolebindings");
  auto is_current = [&](const std::shared_ptr<const RbacIndex>& index) {
    return index && index->same_state(roles, cluster_roles, role_bindings, cluster_role_bindings);
  };
  auto index = index_.load();
  if (is_current(index)) return index;
  std::lock_guard lock(building_);
  index = index_.load();
  if (is_current(index)) return index;
  auto made = std::make_shared<const RbacIndex>(std::move(roles), std::move(cluster_roles), std::move(role_bindings),
                                                std::move(cluster_role_bindings), index.get());
  index_.store(made);
  return made;
}

namespace {

// An opinion ends the chain; without one, what was said on the way is kept for the refusal.
bool adds_opinion(Decision& sum, Decision&& next) {
  if (next.allowed || next.denied) {
    if (next.error.empty()) next.error = std::move(sum.error);
    sum = std::move(next);
    return true;
  }
  auto join = [](std::string& into, const std::string& text, const char* between) {
    if (!text.empty()) into += (into.empty() ? "" : between) + text;
  };
  join(sum.reason, next.reason, "\n");
  join(sum.error, next.error, ", ");
  return false;
}

}  // namespace

Authorizer::Authorizer(const store::Store& store) : store_(store), node_(store) {
  chain_ = *make_chain(options_.chain);
}
Authorizer::~Authorizer() = default;

Result<Authorizer::ChainPtr> Authorizer::make_chain(const std::vector<AuthorizerConfig>& configs) const {
  auto out = std::make_shared<Chain>();
  for (const AuthorizerConfig& config : configs) {
    Link link{config.type, nullptr};
    if (config.type == AuthorizerConfig::Type::Webhook) {
      if (!loop_) return internal_error("webhooks need a loop to be asked from");
      RD_TRY(link.webhook, WebhookAuthorizer::make(*loop_, config.name, config.webhook, options_.dial));
    }
    out->push_back(std::move(link));
  }
  return out;
}

Result<std::unique_ptr<Authorizer>> Authorizer::make(const store::Store& store, AuthorizerOptions options,
                                                     std::optional<Executor> loop) {
  auto out = std::make_unique<Authorizer>(store);
  out->options_ = std::move(options);
  out->loop_ = std::move(loop);
  RD_TRY(out->chain_, out->make_chain(out->options_.chain));
  if (!out->options_.config_file.empty() && out->loop_) {
    out->scope_ = std::make_unique<Scope>(*out->loop_, "authorization");
    boost::asio::post(*out->loop_, [self = out.get()] { self->scope_->spawn(self->watch_config()); });
  }
  return out;
}

Task<void> Authorizer::stop() {
  if (scope_) co_await scope_->join();
  auto chain = chain_.load();
  for (const Link& link : *chain) {
    if (link.webhook) co_await link.webhook->stop();
  }
}

// Looks at the file now and then. A file that is wrong changes nothing, and is said so once.
Task<void> Authorizer::watch_config() {
  std::string before;
  bool first = true;
  for (;; co_await sleep_for(kReloadInterval)) {
    auto text = co_await run_blocking([path = options_.config_file] { return pki::read_file(path); });
    std::string present = text ? *text : std::string();
    if (std::exchange(first, false) || present == before) {
      before = std::move(present);
      continue;
    }
    before = present;
    auto count = [](const char* status) {
      counter("apiserver_authorization_config_controller_automatic_reloads_total",
              "Takings over of a changed authorization configuration, by outcome.", {{"status", status}})
          .add();
    };
    Result<ChainPtr> made = nullptr;
    if (!text) {
      made = Error(text.error());
    } else if (auto config = parse_authorization_config(present, options_.abac != nullptr); !config) {
      made = Error(config.error());
    } else {
      made = co_await run_blocking([this, chain = std::move(*config)] { return make_chain(chain); });
    }
    if (!made) {
      count("failure");
      log_error("the changed authorization configuration is wrong and was not taken over",
                {{"file", options_.config_file}, {"error", made.error().message()}});
      continue;
    }
    // Requests under way may still ask the old ones, whose look-ups end by themselves.
    chain_ = *made;
    count("success");
    log_info("the changed authorization configuration was taken over", {{"file", options_.config_file}});
  }
}

Decision Authorizer::by_rbac(const UserInfo& user, const Attributes& attributes) const {
  Decision out;
  index()->visit(user, attributes.namespace_, [&](const PolicyRules& rules, const RbacBinding& binding) {
    for (const PolicyRule& rule : rules) {
      if (!rule_allows(rule, attributes)) continue;
      out.allowed = true;
      out.reason = fmt::format("RBAC: allowed by {}", binding.text);
      return true;
    }
    return false;
  });
  return out;
}

Decision Authorizer::decide_here(AuthorizerConfig::Type type, const UserInfo& user, const Attributes& a) const {
  using Type = AuthorizerConfig::Type;
  switch (type) {
    case Type::Node:
      return user.node_name().empty() ? Decision{} : node_.authorize(user, a);
    case Type::Rbac:
      return by_rbac(user, a);
    case Type::Abac:
      return options_.abac ? options_.abac->authorize(user, a) : Decision{};
    case Type::AlwaysAllow:
      return {true, ""};
    case Type::AlwaysDeny:
      return {false, "Everything is forbidden."};
    case Type::Webhook:
      break;
  }
  return {};
}

Pending<Decision> Authorizer::authorize(const UserInfo& user, const Attributes& a) const {
  if (user.in_group("system:masters")) return Decision{true, ""};
  ChainPtr chain = chain_.load();
  Decision sum;
  for (size_t i = 0; i < chain->size(); ++i) {
    const Link& link = (*chain)[i];
    if (!link.webhook) {
      if (adds_opinion(sum, decide_here(link.type, user, a))) return sum;
      continue;
    }
    auto answer = link.webhook->authorize(user, a);
    if (!answer.is_here()) return rest_of_chain(*this, std::move(chain), i, user, a, std::move(sum));
    if (adds_opinion(sum, std::move(answer.value()))) return sum;
  }
  return sum;
}

Task<Decision> Authorizer::rest_of_chain(const Authorizer& self, ChainPtr chain, size_t at, UserInfo user, Attributes a,
                                         Decision sum) {
  for (size_t i = at; i < chain->size(); ++i) {
    const Link& link = (*chain)[i];
    Decision next;
    if (link.webhook) {
      auto answer = link.webhook->authorize(user, a);
      next = answer.is_here() ? std::move(answer.value()) : co_await answer.task();
    } else {
      next = self.decide_here(link.type, user, a);
    }
    if (adds_opinion(sum, std::move(next))) co_return sum;
  }
  co_return sum;
}

Pending<bool> Authorizer::allows_any(const UserInfo& user, std::vector<Attributes> wanted) const {
  for (size_t i = 0; i < wanted.size(); ++i) {
    auto answer = authorize(user, wanted[i]);
    if (!answer.is_here()) return any_of_rest(*this, user, std::move(wanted), i);
    if (answer.value().allowed) return true;
  }
  return false;
}

Task<bool> Authorizer::any_of_rest(const Authorizer& self, UserInfo user, std::vector<Attributes> wanted, size_t from) {
  for (size_t i = from; i < wanted.size(); ++i) {
    auto answer = self.authorize(user, wanted[i]);
    Decision decision = answer.is_here() ? std::move(answer.value()) : co_await answer.task();
    if (decision.allowed) co_return true;
  }
  co_return false;
}

Authorizer::Rules Authorizer::all_rules_for(const UserInfo& user, std::string_view ns) const {
  using Type = AuthorizerConfig::Type;
  Rules out;
  auto add = [&](const std::vector<PolicyRule>& rules) {
    out.rules.insert(out.rules.end(), rules.begin(), rules.end());
  };
  auto can_not_tell = [&](const char* why) {
    out.incomplete = true;
    if (!out.error.empty()) out.error += ", ";
    out.error += why;
  };
  auto everything = [&] {
    PolicyRule resources, paths;
    resources.verbs = resources.apiGroups = resources.resources = {"*"};
    paths.verbs = paths.nonResourceURLs = {"*"};
    add({resources, paths});
  };
  auto chain = chain_.load();
  bool rbac = false;
  for (const Link& link : *chain) {
    if (link.type == Type::Rbac) {
      rbac = true;
      add(rules_for(user, ns));
    }
    if (link.type == Type::Abac && options_.abac) add(options_.abac->rules_for(user, ns));
    if (link.type == Type::AlwaysAllow) everything();
    if (link.type == Type::Node && !user.node_name().empty())
      can_not_tell("node authorizer does not support user rule resolution");
    if (link.webhook) can_not_tell("webhook authorizer does not support user rule resolution");
  }
  if (!rbac && user.in_group("system:masters")) everything();
  return out;
}

std::vector<PolicyRule> Authorizer::rules_for(const UserInfo& user, std::string_view ns) const {
  std::vector<PolicyRule> out;
  if (user.in_group("system:masters")) {
    PolicyRule everything, paths;
    everything.verbs = everything.apiGroups = everything.resources = {"*"};
    paths.verbs = paths.nonResourceURLs = {"*"};
    out = {everything, paths};
  }
  index()->visit(user, ns, [&](const PolicyRules& rules, const RbacBinding&) {
    out.insert(out.end(), rules.begin(), rules.end());
    return false;
  });
  return out;
}

namespace {

// Lists and rules as upstream prints them: ["a" "b"], {APIGroups:[""], Resources:["pods"], Verbs:["get"]}.
std::string quoted(const std::vector<std::string>& list) {
  std::string out = "[";
  for (const std::string& item : list) out += fmt::format("{}\"{}\"", out.size() > 1 ? " " : "", item);
  return out + "]";
}

std::string shown(const PolicyRule& rule) {
  std::string out = "{";
  auto add = [&](const char* name, const std::vector<std::string>& list) {
    if (!list.empty()) out += fmt::format("{}{}:{}", out.size() > 1 ? ", " : "", name, quoted(list));
  };
  add("APIGroups", rule.apiGroups);
  add("Resources", rule.resources);
  add("NonResourceURLs", rule.nonResourceURLs);
  add("ResourceNames", rule.resourceNames);
  add("Verbs", rule.verbs);
  return out + "}";
}

}  // namespace

Result<void> Authorizer::may_grant(const UserInfo& user, std::string_view ns,
                                   const std::vector<PolicyRule>& rules) const {
  std::vector<PolicyRule> owned = rules_for(user, ns);
  std::string missing;
  for (const PolicyRule& rule : rules) {
    if (!covers(owned, rule)) missing += "\n" + shown(rule);
  }
  if (missing.empty()) return {};
  return forbidden({}, "",
                   fmt::format("user \"{}\" (groups={}) is attempting to grant RBAC permissions not currently held:{}",
                               user.name, quoted(user.groups), missing));
}

std::vector<PolicyRule> Authorizer::rules_of_role(std::string_view kind, std::string_view name,
                                                  std::string_view ns) const {
  const PolicyRules* rules = index()->role(kind, name, ns);
  return rules == nullptr ? std::vector<PolicyRule>() : *rules;
}

}  // namespace redoubt::apiserver
