#include "apiserver/encryption/config.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "apiserver/encryption/limits.h"
#include "base/encoding.h"
#include "base/time.h"
#include "schema/codec.h"

namespace redoubt::apiserver::encryption {

namespace {

using schema::Value;

Error wrong(const std::string& path, std::string_view value, std::string_view why) {
  return bad_request(fmt::format("{}: Invalid value: \"{}\": {}", path, value, why));
}
Error required(const std::string& path, std::string_view why) {
  return bad_request(fmt::format("{}: Required value: {}", path, why));
}

Result<void> known_fields(const Value& object, const std::string& path, std::initializer_list<std::string_view> known) {
  if (!object.is_object()) return bad_request(fmt::format("{}: must be an object", path));
  for (const schema::Member& member : schema::members(object)) {
    if (std::find(known.begin(), known.end(), member.key) == known.end()) {
      return bad_request(
          fmt::format("strict decoding error: unknown field \"{}{}{}\"", path, path.empty() ? "" : ".", member.key));
    }
  }
  return {};
}

// "secrets", "deployments.apps", "*.", "*.apps", "*.*"
GroupResource parse_group_resource(std::string_view text) {
  size_t dot = text.find('.');
  if (dot == std::string_view::npos) return {"", std::string(text)};
  return {std::string(text.substr(dot + 1)), std::string(text.substr(0, dot))};
}

bool any(const GroupResource& r) {
  return r.group == "*" && r.resource == "*";
}

Result<GroupResource> parse_resource(const Value& value, const std::string& path) {
  if (!value.is_string() || value.as_string().empty()) return bad_request(fmt::format("{}: must be a string", path));
  std::string_view text = value.as_string();
  for (char c : text) {
    if (c >= 'A' && c <= 'Z') return wrong(path, text, "resource name should not contain capital letters");
  }
  if (text == "*")
    return wrong(path, text,
                 "use '*.' to encrypt all the resources from core API group or *.* to encrypt all resources");
  if (text == "apiserveripinfo" || text == "serviceipallocations" || text == "servicenodeportallocations")
    return wrong(path, text, "resources which do not have REST API/s cannot be encrypted");
  GroupResource out = parse_group_resource(text);
  if (out.group == "events.k8s.io")
    return wrong(path, text,
                 "'*.events.k8s.io' objects are stored using the 'events' API group in etcd. Use 'events' instead in "
                 "the config file");
  if (out.group == "extensions")
    return wrong(path, text, "'extensions' group has been removed and cannot be used for encryption");
  if (out.group == "*" && out.resource != "*")
    return wrong(path, text, "encrypting the same resource across groups is not supported");
  return out;
}

// Within one list: nothing twice, and nothing that a wildcard beside it covers.
Result<void> check_overlap(const std::vector<GroupResource>& list, const std::string& path) {
  for (size_t i = 0; i < list.size(); ++i) {
    for (size_t j = 0; j < list.size(); ++j) {
      if (i == j) continue;
      const GroupResource &a = list[i], &b = list[j];
      if (a.group == b.group && a.resource == b.resource)
        return wrong(path, a.to_string(), "the same resource cannot be specified multiple times");
      if (any(a) || (a.group == b.group && a.resource == "*"))
        return wrong(path, b.to_string(),
                     "using overlapping resources such as 'secrets' and '*.' in the same resource list is not allowed "
                     "as they will be masked");
    }
  }
  return {};
}

Result<std::vector<Key>> parse_keys(const Value& provider, const std::string& path,
                                    std::initializer_list<size_t> lengths) {
  RD_TRYV(known_fields(provider, path, {"keys"}));
  Value list = provider.get({"keys"});
  if (!list.is_null() && !list.is_array()) return bad_request(fmt::format("{}.keys: must be a list", path));
  if (list.empty()) return required(path + ".keys", "at least one keys is required");
  std::vector<Key> out;
  for (size_t i = 0; i < list.size(); ++i) {
    std::string at = fmt::format("{}.keys[{}]", path, i);
    RD_TRYV(known_fields(list.at(i), at, {"name", "secret"}));
    Key key;
    key.name = list.at(i).get({"name"}).as_string();
    if (key.name.empty()) return required(at + ".name", "name is a mandatory field for a key");
    std::string_view secret = list.at(i).get({"secret"}).as_string();
    if (secret.empty()) return required(at + ".secret", "secret is a mandatory field for a key");
    auto decoded = base64_decode(secret);
    if (!decoded) return wrong(at + ".secret", "REDACTED", "secrets must be base64 encoded");
    if (std::find(lengths.begin(), lengths.end(), decoded->size()) == lengths.end()) {
      return wrong(at + ".secret", "REDACTED",
                   fmt::format("secret is not of the expected length, got {}, expected one of [{}]", decoded->size(),
                               fmt::join(lengths, " ")));
    }
    key.secret = SecretBytes(std::move(*decoded));
    out.push_back(std::move(key));
  }
  return out;
}

Result<void> parse_kms(const Value& kms, const std::string& path, ProviderConfig& out, std::set<std::string>& names) {
  RD_TRYV(known_fields(kms, path, {"apiVersion", "name", "cachesize", "endpoint", "timeout"}));
  out.name = kms.get({"name"}).as_string();
  if (out.name.empty()) return required(path + ".name", "name is a mandatory field for a provider");
  std::string_view version = kms.get({"apiVersion"}).as_string();
  if (version.empty() || version == "v1") {
    return wrong(path + ".apiVersion", version,
                 "KMSv1 is deprecated and not supported here: use a plug-in that speaks v2, and say apiVersion: v2");
  }
  if (version != "v2")
    return wrong(path + ".apiVersion", version, "unsupported apiVersion for KMS provider, only v2 is");
  if (out.name.find(':') != std::string::npos)
    return wrong(path + ".name", out.name, fmt::format("invalid KMS provider name {}, must not contain ':'", out.name));
  if (!names.insert(out.name).second)
    return wrong(path + ".name", out.name,
                 fmt::format("duplicate KMS provider name {}, names must be unique", out.name));
  if (kms.has("cachesize")) return wrong(path + ".cachesize", "", "cachesize is not supported in v2");
  std::string_view endpoint = kms.get({"endpoint"}).as_string();
  if (endpoint.empty()) return required(path + ".endpoint", "endpoint is a mandatory field for a kms");
  constexpr std::string_view kScheme = "unix://";
  if (!endpoint.starts_with(kScheme) || endpoint.size() == kScheme.size())
    return wrong(path + ".endpoint", endpoint, "unsupported scheme for KMS provider, only unix is supported");
  out.socket = endpoint.substr(kScheme.size());
  if (out.socket.starts_with("/@")) out.socket.erase(0, 1);
  if (const Value* timeout = kms.find("timeout"); timeout != nullptr && !timeout->is_null()) {
    auto parsed = parse_go_duration(timeout->as_string());
    if (!parsed || parsed->count() <= 0)
      return wrong(path + ".timeout", timeout->as_string(), "timeout should be a positive value");
    out.timeout = std::chrono::duration_cast<std::chrono::milliseconds>(*parsed);
  }
  return {};
}

Result<ProviderConfig> parse_provider(const Value& value, const std::string& path, std::set<std::string>& kms_names) {
  RD_TRYV(known_fields(value, path, {"aesgcm", "aescbc", "secretbox", "identity", "kms"}));
  if (value.size() == 0) {
    return wrong(path, "",
                 "provider does not contain any of the expected providers: KMS, AESGCM, AESCBC, Secretbox, Identity");
  }
  if (value.size() > 1)
    return wrong(path, "",
                 "more than one provider specified in a single element, should split into different list elements");
  const schema::Member& member = *value.begin_members();
  std::string at = fmt::format("{}.{}", path, member.key);
  ProviderConfig out;
  if (member.key == "aesgcm") {
    out.kind = ProviderKind::AesGcm;
    RD_TRY(out.keys, parse_keys(member.value, at, {16, 24, 32}));
  } else if (member.key == "aescbc") {
    out.kind = ProviderKind::AesCbc;
    RD_TRY(out.keys, parse_keys(member.value, at, {16, 24, 32}));
  } else if (member.key == "secretbox") {
    out.kind = ProviderKind::Secretbox;
    RD_TRY(out.keys, parse_keys(member.value, at, {32}));
  } else if (member.key == "kms") {
    out.kind = ProviderKind::Kms;
    RD_TRYV(parse_kms(member.value, at, out, kms_names));
  } else {
    RD_TRYV(known_fields(member.value, at, {}));
  }
  return out;
}

// An earlier list's wildcard that covers a resource of a later one would make that one void.
Result<void> check_masked(const Config& config, const GroupResource& resource, const std::string& path) {
  for (const ResourceConfig& earlier : config.resources) {
    for (const GroupResource& r : earlier.resources) {
      bool masks = any(r) || (r.resource == "*" && r.group == resource.group);
      if (masks) {
        return bad_request(fmt::format("{}: resource \"{}\" is masked by earlier rule \"{}\"", path,
                                       resource.to_string(), r.group.empty() ? "*." : r.to_string()));
      }
    }
  }
  return {};
}

}  // namespace

Result<Config> parse_config(std::string_view text) {
  schema::Arena arena;
  schema::DecodeWarnings warnings;
  RD_TRY(Value file, schema::parse_yaml(text, arena, {.max_bytes = kMaxConfigBytes, .max_depth = 32}, &warnings));
  if (!warnings.strict.empty())
    return bad_request(fmt::format("strict decoding error: {}", fmt::join(warnings.strict, ", ")));
  if (file.get({"apiVersion"}).as_string() != "apiserver.config.k8s.io/v1" ||
      file.get({"kind"}).as_string() != "EncryptionConfiguration") {
    return bad_request(
        "no EncryptionConfiguration: it starts with apiVersion: apiserver.config.k8s.io/v1 and kind: "
        "EncryptionConfiguration");
  }
  RD_TRYV(known_fields(file, "", {"apiVersion", "kind", "resources"}));
  Value list = file.get({"resources"});
  if (!list.is_null() && !list.is_array()) return bad_request("resources: must be a list");
  if (list.empty()) return required("resources", "at least one resources is required");
  Config out;
  std::set<std::string> kms_names;
  for (size_t i = 0; i < list.size(); ++i) {
    std::string path = fmt::format("resources[{}]", i);
    RD_TRYV(known_fields(list.at(i), path, {"resources", "providers"}));
    ResourceConfig one;
    Value resources = list.at(i).get({"resources"}), providers = list.at(i).get({"providers"});
    if (!resources.is_array() || resources.empty())
      return required(path + ".resources", fmt::format("at least one {}.resources is required", path));
    for (size_t j = 0; j < resources.size(); ++j) {
      std::string at = fmt::format("{}.resources[{}]", path, j);
      RD_TRY(GroupResource resource, parse_resource(resources.at(j), at));
      RD_TRYV(check_masked(out, resource, at));
      one.resources.push_back(std::move(resource));
    }
    RD_TRYV(check_overlap(one.resources, path + ".resources"));
    if (!providers.is_array() || providers.empty())
      return required(path + ".providers", fmt::format("at least one {}.providers is required", path));
    for (size_t j = 0; j < providers.size(); ++j) {
      RD_TRY(ProviderConfig provider,
             parse_provider(providers.at(j), fmt::format("{}.providers[{}]", path, j), kms_names));
      one.providers.push_back(std::move(provider));
    }
    out.resources.push_back(std::move(one));
  }
  return out;
}

}  // namespace redoubt::apiserver::encryption
