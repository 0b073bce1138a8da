// Bodies for audit events: whatever form a request or a response came in, as one line of JSON.
#pragma once
#include <string>
#include <string_view>

namespace redoubt::apiserver::audit {

struct BodyFacts {
  std::string json;                         // empty: the body is no object (or none at all)
  std::string name, uid, resource_version;  // of its metadata
};

// `content_type` decides how `body` is read: JSON, YAML, protobuf, or a patch of either kind. A body that can't be read
// leaves no JSON: the response's status says what was wrong with it.
BodyFacts read_body_facts(std::string_view content_type, std::string_view body, bool omit_managed_fields,
                          bool with_json);

}  // namespace redoubt::apiserver::audit
