#include "apiserver/pipeline/pipeline.h"

namespace redoubt::apiserver::pipeline {

Verdict parse(Services&, Context& c) {
  auto query = net::parse_query(c.request.query);
  if (!query) return bad_request("the query holds a malformed percent escape");
  c.query = std::move(*query);
  return {};
}

}  // namespace redoubt::apiserver::pipeline
