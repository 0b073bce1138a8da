#include "apiserver/default_service_cidr.h"

#include "apiserver/own_request.h"
#include "base/log.h"
#include "base/time.h"
#include "schema/codec.h"

namespace redoubt::apiserver {

namespace {

constexpr const char* kGroup = "networking.k8s.io";
constexpr const char* kResource = "servicecidrs";
constexpr const char* kName = "kubernetes";

std::string shown(const std::vector<std::string>& cidrs) {
  std::string out;
  for (const std::string& cidr : cidrs) out += fmt::format("{}\"{}\"", out.empty() ? "" : ",", cidr);
  return "[" + out + "]";
}

bool has_ready(const Value& object) {
  for (const Value& condition : schema::items(object.get({"status", "conditions"}))) {
    if (condition.get({"type"}).as_string() == "Ready" && condition.get({"status"}).as_string() != "Unknown")
      return true;
  }
  return false;
}

Task<Result<void>> make_ready(Rest& rest) {
  OwnRequest own("update", kGroup, kResource, "", kName);
  Context& c = own.context;
  c.info.subresource = "status";
  auto changed = co_await rest.modify(
      c,
      [&c](Value& object, const Value&) -> Result<void> {
        if (has_ready(object)) return {};
        Value condition = Value::object(c.arena);
        condition.set(c.arena, "type", Value::string("Ready"));
        condition.set(c.arena, "status", Value::string("True"));
        condition.set(c.arena, "lastTransitionTime", Value::string(c.arena.copy(format_rfc3339(now()))));
        condition.set(c.arena, "reason", Value::string(""));
        condition.set(c.arena, "message", Value::string("Kubernetes default Service CIDR is ready"));
        Value conditions = Value::array(c.arena);
        conditions.push_back(c.arena, condition);
        object.object_at(c.arena, "status").set(c.arena, "conditions", conditions);
        return {};
      },
      true);
  if (!changed) co_return Error(changed.error());
  co_return Result<void>{};
}

Task<Result<void>> make(Rest& rest, std::vector<std::string> cidrs) {
  OwnRequest own("create", kGroup, kResource, "", kName);
  Context& c = own.context;
  RD_CO_TRY(Value object,
            rest.decode(c, fmt::format(R"({{"metadata":{{"name":"{}"}},"spec":{{"cidrs":{}}}}})", kName, shown(cidrs)),
                        *c.resource->type, c.resource->api_version(), c.resource->kind));
  auto made = co_await rest.create_object(c, object);
  if (!made && !made.error().is("AlreadyExists")) co_return Error(made.error());
  co_return co_await make_ready(rest);
}

Task<Result<void>> add_family(Rest& rest, std::vector<std::string> cidrs) {
  OwnRequest own("update", kGroup, kResource, "", kName);
  Context& c = own.context;
  auto changed = co_await rest.modify(
      c,
      [&](Value& object, const Value&) -> Result<void> {
        Value list = Value::array(c.arena);
        for (const std::string& cidr : cidrs) list.push_back(c.arena, Value::string(c.arena.copy(cidr)));
        object.object_at(c.arena, "spec").set(c.arena, "cidrs", list);
        return {};
      },
      false);
  if (!changed) co_return Error(changed.error());
  log_info("the default ServiceCIDR has both families now", {{"cidrs", shown(cidrs)}});
  co_return Result<void>{};
}

}  // namespace

Task<Result<void>> sync_default_service_cidr(Rest& rest, std::vector<std::string> cidrs, bool say_difference) {
  auto there = rest.store().snapshot(kResource)->find(fmt::format("/registry/{}/{}", kResource, kName));
  if (!there) co_return co_await make(rest, std::move(cidrs));
  Arena arena;
  auto parsed = schema::parse_json(there->json, arena);
  if (!parsed) co_return Error(parsed.error());
  Value object = *parsed;
  if (object.get({"metadata"}).has("deletionTimestamp")) co_return Result<void>{};
  std::vector<std::string> has;
  for (const Value& cidr : schema::items(object.get({"spec", "cidrs"}))) has.emplace_back(cidr.as_string());
  if (has.size() == 1 && cidrs.size() == 2 && has[0] == cidrs[0]) co_return co_await add_family(rest, std::move(cidrs));
  if (has != cidrs) {
    if (say_difference)
      log_warning(
          "ServiceCIDR kubernetes and --service-cluster-ip-range differ; the object counts. Set the flag to what it "
          "says, or delete it once no Service has an address of it",
          {{"object", shown(has)}, {"flag", shown(cidrs)}});
    co_return Result<void>{};
  }
  if (!has_ready(object)) co_return co_await make_ready(rest);
  co_return Result<void>{};
}

}  // namespace redoubt::apiserver
