// What a request wants to do, and whether it may.
#pragma once
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apiserver/auth/user.h"

namespace redoubt::apiserver {

// One term of a selector, as SubjectAccessReviews write it: In, NotIn, Exists, DoesNotExist.
struct SelectorRequirement {
  std::string key, op;
  std::vector<std::string> values;
};

// What is to be done: a resource request, or a path.
struct Attributes {
  std::string
      verb;  // get, list, watch, create, update, patch, delete, deletecollection, ...; for paths the lower-case method
  bool resource_request = true;
  std::string api_group, api_version, resource, subresource, namespace_, name;
  std::string path;
  // What the field selector of a list, watch or deletecollection pins to one value ("spec.nodeName" -> "n1").
  std::vector<std::pair<std::string, std::string>> field_equals;
  // The selectors of a list, watch or deletecollection, for authorizers that look at them. Empty when there is none or
  // it does not parse: what is asked for is then everything.
  std::vector<SelectorRequirement> field_requirements, label_requirements;
};
// The `field=value` terms of a field selector; terms that exclude values are no help in deciding and are left out.
std::vector<std::pair<std::string, std::string>> parse_field_equals(std::string_view selector);

// Neither allowed nor denied: no opinion, the next authorizer may have one; nobody's opinion is a refusal.
struct Decision {
  bool allowed = false;
  std::string reason;
  bool denied = false;  // for good: no further authorizer is asked
  std::string error;    // of an authorizer that could not decide
};

// `User "x" cannot list resource "pods" in API group "" in the namespace "y": reason`.
std::string denial(const UserInfo& user, const Attributes& attributes, std::string_view reason = {});

}  // namespace redoubt::apiserver
