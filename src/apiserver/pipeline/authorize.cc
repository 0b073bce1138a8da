#include "apiserver/pipeline/pipeline.h"

namespace redoubt::apiserver::pipeline {

Verdict authorize(Services& s, Context& c) {
  Attributes a = attributes_of(c.info, c.request);
  if (s.authorizer.authorize(c.user, a).allowed) return {};
  GroupResource resource;
  if (a.resource_request) resource = {a.api_group, a.resource};
  return forbidden(resource, a.name, denial(c.user, a));
}

}  // namespace redoubt::apiserver::pipeline
