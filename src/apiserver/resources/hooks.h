// What is special about a kind: a kind states only what differs from the generic handling of objects.
//
// Functions work on the decoded tree of one request; `old` is the stored object. Causes carry upstream's field paths
// and messages.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "schema/resource.h"
#include "schema/value.h"

namespace redoubt::apiserver {

using schema::Arena;
using schema::Value;
using Causes = std::vector<StatusCause>;
using SelectableFields = std::vector<std::pair<std::string, std::string>>;

struct KindHooks {
  void (*defaults)(Value& object, Arena& arena) = nullptr;
  // Before validation, after defaults; status is already cleared on create and kept from `old` on update where there is
  // a status subresource.
  void (*prepare_create)(Value& object, Arena& arena) = nullptr;
  void (*prepare_update)(Value& object, const Value& old, Arena& arena) = nullptr;
  // On create, once the object has its name and uid; may run again with others when a generated name was taken.
  void (*identify)(Value& object, Arena& arena) = nullptr;
  void (*validate)(const Value& object, Causes& causes) = nullptr;
  void (*validate_update)(const Value& object, const Value& old, Causes& causes) = nullptr;
  // Of a write of the status alone.
  void (*validate_status)(const Value& object, Causes& causes) = nullptr;
  // Beyond metadata.name and metadata.namespace.
  SelectableFields (*fields)(const Value& object) = nullptr;
  // Field labels that may be selected by, besides metadata's two.
  std::vector<std::string_view> field_labels;
  // How names are checked; default: DNS-1123 subdomain.
  enum class NameRule { Subdomain, Label, Label1035, PathSegment } name_rule = NameRule::Subdomain;
  bool spec_bumps_generation = true;
};

// Never null; a kind without a file of its own gets the generic ones.
const KindHooks& hooks_for(std::string_view group, std::string_view resource);

// metadata of a new or changed object: names, labels, annotations, owners, finalizers, and what may not change.
void validate_metadata(const Value& object, const schema::Resource& resource, const KindHooks& hooks, Causes& causes);
void validate_metadata_update(const Value& object, const Value& old, Causes& causes);

// ---- for the kinds' files ----
void add_cause(Causes& causes, std::string_view reason, std::string field, std::string message);
void required(Causes& causes, std::string field, std::string_view detail = {});
void invalid_value(Causes& causes, std::string field, std::string_view shown, std::string_view detail);
void not_supported(Causes& causes, std::string field, std::string_view value,
                   std::initializer_list<std::string_view> supported);
void immutable(Causes& causes, const Value& now, const Value& before, std::string field);
void set_default(Value& object, Arena& arena, std::string_view key, Value value);
bool is_dns1123_label(std::string_view text);
bool is_dns1123_subdomain(std::string_view text);
bool is_qualified_name(std::string_view text);
bool is_label_value(std::string_view text);
extern const std::string_view kLabelMessage;
extern const std::string_view kSubdomainMessage;

// Parts that several kinds share.
void default_pod_spec(Value& spec, Arena& arena);
void validate_pod_spec(const Value& spec, const std::string& path, Causes& causes);
void validate_label_selector(const Value& selector, const std::string& path, Causes& causes);
bool selector_matches(const Value& label_selector, const Value& labels);

}  // namespace redoubt::apiserver
