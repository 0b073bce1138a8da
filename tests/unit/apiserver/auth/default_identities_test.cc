// Every default identity against what an upstream API server answers: tests/data/authorization says who was asked what,
// tools/record-authorization.py records it anew.
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "apiserver/auth/authorizer.h"
#include "apiserver/auth/bootstrap_policy.h"
#include "memory_store.h"
#include "schema/codec.h"

using namespace redoubt;
using namespace redoubt::apiserver;

namespace {

using schema::Value;

// The question of a row: "VERB RESOURCE[/SUBRESOURCE][.GROUP] NAMESPACE|- [NAME]" or "VERB /path".
Attributes question(const std::string& row) {
  std::istringstream words(row);
  std::string verb, what, ns, name;
  words >> verb >> what >> ns >> name;
  Attributes a;
  a.verb = verb;
  if (what.starts_with('/')) {
    a.resource_request = false;
    a.path = what;
    return a;
  }
  a.api_version = "*";
  if (size_t dot = what.find('.'); dot != std::string::npos) {
    a.api_group = what.substr(dot + 1);
    what.resize(dot);
  }
  if (size_t slash = what.find('/'); slash != std::string::npos) {
    a.subresource = what.substr(slash + 1);
    what.resize(slash);
  }
  a.resource = what;
  if (ns != "-") a.namespace_ = ns;
  a.name = name;
  return a;
}

std::string read(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

TEST(DefaultIdentities, MayWhatUpstreamLetsThemButWhereADifferenceIsGivenWithItsReason) {
  std::string text = read(REDOUBT_SOURCE_DIR "/tests/data/authorization/default-identities.json");
  schema::Arena arena;
  auto data = schema::parse_json(text, arena, {.max_bytes = SIZE_MAX});
  ASSERT_TRUE(data) << data.error().message();
  MemoryStore store;
  for (const PolicyObject& object : bootstrap_policy()) {
    auto value = schema::parse_json(arena.copy(object.json), arena);
    Value& metadata = value->object_at(arena, "metadata");
    metadata.set(arena, "name", Value::string(arena.copy(object.name)));
    if (!object.namespace_.empty()) metadata.set(arena, "namespace", Value::string(arena.copy(object.namespace_)));
    store.put(object.resource, schema::to_json(*value, nullptr));
  }
  for (const Value& pair : schema::items(data->get({"objects"}))) {
    std::string resource(pair.at(0).as_string());
    store.put(resource == "nodes" ? "minions" : resource, schema::to_json(pair.at(1), nullptr));
  }
  // "IDENTITY: ROW" -> allowed here though not upstream, or the other way round.
  std::map<std::string, bool> differences;
  for (const Value& one : schema::items(data->get({"differences"}))) {
    EXPECT_FALSE(one.get({"reason"}).as_string().empty());
    for (const Value& row : schema::items(one.get({"questions"}))) {
      for (const Value& who : schema::items(one.get({"identities"})))
        differences[std::string(who.as_string()) + ": " + std::string(row.as_string())] =
            one.get({"allowed"}).as_bool();
    }
  }
  Authorizer authorizer(store);
  size_t checked = 0;
  std::set<std::string> used;
  for (const schema::Member& identity : schema::members(data->get({"identities"}))) {
    UserInfo user;
    user.name = identity.value.get({"user"}).as_string();
    for (const Value& group : schema::items(identity.value.get({"groups"})))
      user.groups.emplace_back(group.as_string());
    std::set<std::string_view> allowed;
    Value answers = identity.value.get({"allowed"});
    for (const Value& row : schema::items(answers)) allowed.insert(row.as_string());
    for (const Value& item : schema::items(data->get({"questions"}))) {
      std::string row(item.as_string()), key = std::string(identity.key) + ": " + row;
      bool expected = answers.is_string() || allowed.contains(item.as_string());
      if (auto it = differences.find(key); it != differences.end()) {
        EXPECT_NE(it->second, expected) << key << ": is no difference any more";
        expected = it->second;
      }
      EXPECT_EQ(authorizer.authorize(user, question(row)).value().allowed, expected) << key;
      ++checked;
    }
  }
  EXPECT_GT(checked, 90'000u);
}
