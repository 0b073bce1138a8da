// What is recorded of a request: upstream's audit policy (audit.k8s.io/v1 Policy).
//
// The first rule that matches decides; a request that none matches is not recorded. Immutable once read; any thread.
// https://kubernetes.io/docs/reference/config-api/apiserver-audit.v1/
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apiserver/auth/user.h"
#include "base/status.h"

namespace redoubt::apiserver::audit {

enum class Level : uint8_t { None, Metadata, Request, RequestResponse };
enum class Stage : uint8_t { RequestReceived, ResponseStarted, ResponseComplete, Panic };
std::string_view level_name(Level level);  // "Metadata"
std::string_view stage_name(Stage stage);  // "ResponseComplete"

// A set of stages.
class StageSet {
 public:
  void add(Stage stage) { bits_ |= bit(stage); }
  void add(StageSet other) { bits_ |= other.bits_; }
  bool has(Stage stage) const { return (bits_ & bit(stage)) != 0; }

 private:
  static uint8_t bit(Stage stage) { return static_cast<uint8_t>(1U << static_cast<unsigned>(stage)); }
  uint8_t bits_ = 0;
};

struct GroupResources {
  std::string group;                        // "" is the core group
  std::vector<std::string> resources;       // "pods", "pods/log", "pods/*", "*/scale", "*"; empty: all of the group
  std::vector<std::string> resource_names;  // empty: every name
};

struct Rule {
  Level level = Level::None;
  std::vector<std::string> users, user_groups, verbs, namespaces, non_resource_urls;
  std::vector<GroupResources> resources;
  StageSet omit_stages;  // the policy's own are in it already
  bool omit_managed_fields = false;
};

struct Policy {
  std::vector<Rule> rules;
  StageSet omit_stages;
  bool omit_managed_fields = false;
  // Not in upstream's language, whose rules can't see an answer: what no rule records is recorded all the same, at
  // Metadata, when it was refused (403). The default policy says so.
  bool record_refusals = false;
};

// What a rule looks at. Views: good as long as the request is.
struct Subject {
  const UserInfo* user = nullptr;  // null: nobody was authenticated
  std::string_view verb;
  bool resource_request = false;
  std::string_view group, resource, subresource, namespace_, name;
  std::string_view path;
};

struct Verdict {
  Level level = Level::None;
  StageSet omit_stages;
  bool omit_managed_fields = false;
  // The level asks for bodies, but this resource carries secrets and the rule did not name it: they stay out.
  bool bodies_withheld = false;
  // Nothing is recorded, unless the answer is 403: Metadata then.
  bool when_refused = false;
};

// Reads a policy file (YAML or JSON). Unlike upstream, which falls back to ignoring what it does not know, an unknown
// or duplicate field is an error: a misspelt `resources` would record less than was asked for. BadRequest names field
// and remedy.
Result<Policy> parse_policy(std::string_view text);
// What `--audit-log-path` alone records: docs/security.md has it in words.
const Policy& default_policy();
Verdict evaluate(const Policy& policy, const Subject& subject);
// Secrets, TokenReviews, and what issues tokens: no body of them is recorded by the way.
bool carries_secrets(const Subject& subject);

}  // namespace redoubt::apiserver::audit
