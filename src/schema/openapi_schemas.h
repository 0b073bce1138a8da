// The schemas of an OpenAPI document: every type that its operations reach, once, with documentation and the
// x-kubernetes-* extensions. Used by openapi.cc alone; lives as long as the document is being written.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "schema/resource.h"
#include "schema/type.h"

namespace redoubt::schema {

enum class OpenApiVersion { V2, V3 };

class OpenApiSchemas {
 public:
  explicit OpenApiSchemas(OpenApiVersion version) : version_(version) {}

  // `{"$ref":"..."}`; the type, and what it reaches, will be in the document.
  std::string ref(const Type& type);
  // Says that `type` is that kind at the API's surface (x-kubernetes-group-version-kind).
  void name_kind(const Type& type, std::string_view group, std::string_view version, std::string_view kind);
  // The members of `definitions` or `components/schemas`, sorted by name, without the braces.
  std::string take_definitions();

 private:
  void need(const Type& type);
  std::string ref_to(std::string_view name) const;
  std::string scalar(const Field& field);
  std::string element(const Field& field);
  std::string property(const Field& field);
  void append_properties(std::string& out, const Type& type, std::vector<std::string_view>& required, bool& first);
  std::string definition(const Type& type);

  OpenApiVersion version_;
  std::map<std::string_view, const Type*> known_;
  std::vector<const Type*> pending_;
  std::map<std::string, std::string, std::less<>> special_;  // Quantity, Time and others with a JSON form of their own
  std::map<std::string_view, std::vector<std::string>> kinds_;
};

}  // namespace redoubt::schema
