#include "apiserver/allocation/ip_families.h"

#include "apiserver/allocation/network.h"

namespace redoubt::apiserver {

namespace {

constexpr std::string_view kSingle = "SingleStack", kPrefer = "PreferDualStack", kRequire = "RequireDualStack";
constexpr std::string_view kPolicyField = "spec.ipFamilyPolicy";

std::vector<std::string> strings(const Value& list) {
  std::vector<std::string> out;
  for (const Value& item : schema::items(list)) out.emplace_back(item.as_string());
  return out;
}

void set_strings(Value& object, Arena& arena, std::string_view key, const std::vector<std::string>& items) {
  if (items.empty()) {
    object.erase(key);
    return;
  }
  Value list = Value::array(arena);
  for (const std::string& item : items) list.push_back(arena, Value::string(arena.copy(item)));
  object.set(arena, key, list);
}

std::string other(const std::string& family) {
  return family == "IPv4" ? "IPv6" : "IPv4";
}

bool has(const IpFamilies& families, const std::string& family) {
  return std::ranges::find(families, family) != families.end();
}

bool shorter_start(const std::vector<std::string>& now, const std::vector<std::string>& before) {
  return now.size() == 1 && before.size() == 2 && now[0] == before[0];
}

}  // namespace

void init_ip_families(Value& service, const Value& old, const IpFamilies& cluster, Arena& arena, Causes& causes) {
  Value& spec = service.object_at(arena, "spec");
  std::vector<std::string> ips = strings(spec.get({"clusterIPs"})), families = strings(spec.get({"ipFamilies"}));
  const std::vector<std::string> old_ips = strings(old.get({"spec", "clusterIPs"})),
                                 old_families = strings(old.get({"spec", "ipFamilies"}));
  // What a Service has it keeps, when it is left out.
  if (families.empty()) families = old_families;
  bool headless = !ips.empty() && ips[0] == "None";
  bool selects = spec.get({"selector"}).size() > 0;
  std::string policy(spec.get({"ipFamilyPolicy"}).as_string());
  if (policy.empty()) policy = old.get({"spec", "ipFamilyPolicy"}).as_string();
  if (policy.empty()) policy = headless && !selects ? kRequire : kSingle;
  size_t before = causes.size();
  auto refuse = [&](std::string field, std::string_view shown, std::string_view why) {
    invalid_value(causes, std::move(field), shown, why);
  };
  if (policy != kSingle && policy != kPrefer && policy != kRequire)
    not_supported(causes, std::string(kPolicyField), policy, {kPrefer, kRequire, kSingle});
  if (ips.size() > 2)
    add_cause(causes, "FieldValueTooMany", "spec.clusterIPs",
              "Too many: " + std::to_string(ips.size()) + ": may only hold up to 2 values");
  for (size_t i = 0; i < ips.size() && i < 2; ++i) {
    std::string field = fmt::format("spec.clusterIPs[{}]", i);
    if (ips[i] == "None") {
      if (ips.size() > 1) refuse("spec.clusterIPs", "None", "'None' must be the first and only value");
      continue;
    }
    auto ip = canonical_ip(ips[i]);
    if (!ip) {
      refuse(field, ips[i], "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
    } else {
      ips[i] = *ip;
      if (i < families.size() && families[i] != ip_family(ips[i]))
        refuse(field, ips[i], fmt::format("expected an {} value as indicated by `ipFamilies[{}]`", families[i], i));
    }
  }
  if (ips.size() == 2 && ips[0] != "None" && is_ipv6(ips[0]) == is_ipv6(ips[1]))
    refuse("spec.clusterIPs", ips[1], "may specify no more than one IP for each IP family");
  for (size_t i = 0; i < families.size(); ++i) {
    if (families[i] != "IPv4" && families[i] != "IPv6")
      not_supported(causes, fmt::format("spec.ipFamilies[{}]", i), families[i], {"IPv4", "IPv6"});
  }
  if (families.size() == 2 && families[0] == families[1])
    add_cause(causes, "FieldValueDuplicate", "spec.ipFamilies[1]", fmt::format("Duplicate value: \"{}\"", families[1]));
  if (causes.size() > before) return;

  if (!old_ips.empty()) {
    if (policy == kSingle) {
      // To say so is enough to give the second up.
      if (ips == old_ips && ips.size() > 1) ips.resize(1);
      if (families == old_families && families.size() > 1) families.resize(1);
    } else {
      if (shorter_start(ips, old_ips))
        refuse(std::string(kPolicyField), policy, "must be 'SingleStack' to release the secondary cluster IP");
      if (shorter_start(families, old_families))
        refuse(std::string(kPolicyField), policy, "must be 'SingleStack' to release the secondary IP family");
    }
  }
  if (policy == kSingle) {
    if (ips.size() == 2)
      refuse(std::string(kPolicyField), policy,
             "must be 'RequireDualStack' or 'PreferDualStack' when multiple cluster IPs are specified");
    if (families.size() == 2)
      refuse(std::string(kPolicyField), policy,
             "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified");
  }
  for (size_t i = 0; i < ips.size(); ++i) {
    if (ips[i] == "None" || ips[i].empty() || i < families.size()) continue;
    if (has(cluster, ip_family(ips[i]))) {
      families.emplace_back(ip_family(ips[i]));
    } else {
      refuse(fmt::format("spec.clusterIPs[{}]", i), ips[i],
             fmt::format("{} is not configured on this cluster", ip_family(ips[i])));
    }
  }
  if (causes.size() > before) return;
  if (headless && !selects) {
    // Nobody's addresses are given: any families will do.
    if (families.empty()) families = {cluster.front()};
    if (families.size() < 2 && policy != kSingle) families.push_back(other(families[0]));
  } else {
    if (policy == kRequire && cluster.size() < 2)
      refuse(std::string(kPolicyField), policy, "this cluster is not configured for dual-stack services");
    for (size_t i = 0; i < families.size(); ++i) {
      if (!has(cluster, families[i]))
        refuse(fmt::format("spec.ipFamilies[{}]", i), families[i], "not configured on this cluster");
    }
    if (causes.size() > before) return;
    if (families.empty()) families = {cluster.front()};
    // A Service that took what there was stays as it is, should the cluster have become dual since.
    bool settled = policy == kPrefer && !old_ips.empty() && ips == old_ips && families == old_families &&
                   old.get({"spec", "ipFamilyPolicy"}).as_string() == kPrefer;
    if (policy != kSingle && families.size() == 1 && cluster.size() == 2 && !settled)
      families.push_back(other(families[0]));
    if (!headless) ips.resize(families.size());
  }
  spec.set(arena, "ipFamilyPolicy", Value::string(arena.copy(policy)));
  set_strings(spec, arena, "ipFamilies", families);
  set_strings(spec, arena, "clusterIPs", ips);
}

}  // namespace redoubt::apiserver
