// The one table of what the API serves: name, kind, short names, categories, scope, verbs, subresources, stored
// version.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "schema/type.h"

namespace redoubt::schema {

enum Verb : uint32_t {
  kVerbGet = 1,
  kVerbList = 2,
  kVerbWatch = 4,
  kVerbCreate = 8,
  kVerbUpdate = 16,
  kVerbPatch = 32,
  kVerbDelete = 64,
  kVerbDeleteCollection = 128,
  kVerbsAll = 255,
};

struct Subresource {
  std::string_view name;  // "status", "scale", "log", "exec", ...
  std::string_view kind;  // what it takes and gives: "Pod", "Scale", "PodExecOptions", ...
  std::string_view
      group;  // of that kind when it is not the resource's own: "autoscaling", "policy", "authentication.k8s.io"
  std::string_view version;
  uint32_t verbs = 0;    // connect subresources: create|get as the methods they take
  bool connect = false;  // log is no connect; exec, attach, portforward, proxy are
};

struct Resource {
  std::string_view group;      // "" for core
  std::string_view version;    // "v1"
  std::string_view name;       // plural: "pods"
  std::string_view singular;   // "pod"
  std::string_view kind;       // "Pod"
  std::string_view list_kind;  // "PodList"
  std::span<const std::string_view> short_names;
  std::span<const std::string_view> categories;
  bool namespaced = true;
  uint32_t verbs = kVerbsAll;
  std::span<const Subresource> subresources;
  // The version in which objects of this group-resource are stored. Several rows of one group-resource share a store.
  std::string_view storage_version;
  // Where it is stored: prefix of upstream's etcd layout below "/registry/", e.g. "pods", "services/specs",
  // "deployments". Empty: not stored (reviews).
  std::string_view storage_prefix;
  bool served_by_default = true;  // alpha and beta versions are off unless --runtime-config turns them on
  const Type* type = nullptr;

  std::string api_version() const {
    return group.empty() ? std::string(version) : std::string(group) + "/" + std::string(version);
  }
};

// Every built-in resource of every group and version, in discovery order.
std::span<const Resource> builtin_resources();
// Null when there is none. `name` is the plural.
const Resource* find_resource(std::string_view group, std::string_view version, std::string_view name);
const Resource* find_resource_by_kind(std::string_view group, std::string_view version, std::string_view kind);

}  // namespace redoubt::schema
