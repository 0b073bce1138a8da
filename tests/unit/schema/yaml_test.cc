#include <gtest/gtest.h>

#include "schema/codec.h"

using namespace redoubt;
using namespace redoubt::schema;

namespace {

std::string json_of(std::string_view yaml) {
  Arena arena;
  auto value = parse_yaml(yaml, arena);
  return value ? to_json(*value, nullptr) : value.error().message();
}

std::string yaml_of(std::string_view json) {
  Arena arena;
  auto value = parse_json(json, arena);
  EXPECT_TRUE(value) << json;
  return to_yaml(*value);
}

}  // namespace

TEST(ParseYaml, ReadsAManifest) {
  EXPECT_EQ(
      json_of(R"(# a comment
apiVersion: v1
kind: ConfigMap
metadata:
  name: m
  labels: {a: b, "c": 'd'}
data:
  script: |
    echo one
      echo two
  folded: >-
    some
    words
list:
- 1
- x: q
  z:
  - - nested
)"),
      R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m","labels":{"a":"b","c":"d"}},)"
      R"("data":{"script":"echo one\n  echo two\n","folded":"some words"},"list":[1,{"x":"q","z":[["nested"]]}]})");
  EXPECT_EQ(json_of(R"({"a": [1, 2.5, true, null, "x"]})"), R"({"a":[1,2.5,true,null,"x"]})");
  EXPECT_EQ(json_of(""), "null");
}

TEST(ParseYaml, ResolvesScalarsAsUpstreamsLibraryDoes) {
  for (auto [yaml, json] :
       std::vector<std::pair<std::string, std::string>>{{"yes", "true"},
                                                        {"Off", "false"},
                                                        {"y", "true"},
                                                        {"\"yes\"", "\"yes\""},
                                                        {"0644", "420"},
                                                        {"0o17", "15"},
                                                        {"0x1F", "31"},
                                                        {"0b101", "5"},
                                                        {"1_000", "1000"},
                                                        {"-0x10", "-16"},
                                                        {"+5", "5"},
                                                        {"08", "8"},
                                                        {"1.0", "1"},
                                                        {"1e3", "1000"},
                                                        {".5", "0.5"},
                                                        {"1.2.3", "\"1.2.3\""},
                                                        {"~", "null"},
                                                        {"2026-01-02", "\"2026-01-02\""},
                                                        {"1:30", "\"1:30\""},
                                                        {"100m", "\"100m\""},
                                                        {"!!str 12", "\"12\""},
                                                        {"!!int '12'", "12"},
                                                        {"!!binary aGk=", "\"hi\""},
                                                        {"9223372036854775807", "9223372036854775807"},
                                                        {"-9223372036854775808", "-9223372036854775808"},
                                                        {"18446744073709551615", "18446744073709552000"},
                                                        {"-", "[null]"},
                                                        {"+", "\"+\""},
                                                        {"0x", "\"0x\""}}) {
    EXPECT_EQ(json_of(yaml), json) << yaml;
  }
  EXPECT_EQ(json_of("on: 1\n2: b\n1.5: c\n"), R"({"true":1,"2":"b","1.5":"c"})");
  EXPECT_NE(json_of(".inf").find("can't be JSON"), std::string::npos);
}

TEST(ParseYaml, FollowsAliasesAndMerges) {
  EXPECT_EQ(json_of("a: &x {k: 1, l: 2}\nb: *x\nc:\n  <<: *x\n  k: 3\n"),
            R"({"a":{"k":1,"l":2},"b":{"k":1,"l":2},"c":{"k":3,"l":2}})");
  EXPECT_EQ(json_of("a: &x 1\nb: [*x, *x]\n"), R"({"a":1,"b":[1,1]})");
}

TEST(ParseYaml, BoundsAliasesDepthAndSize) {
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 12; ++i) {
    bomb += fmt::format("a{}: &a{} [", i, i);
    for (int k = 0; k < 10; ++k) bomb += fmt::format("*a{},", i - 1);
    bomb += "]\n";
  }
  EXPECT_NE(json_of(bomb).find("excessive aliasing"), std::string::npos);
  EXPECT_TRUE(json_of(std::string(100'000, '[')).starts_with("error converting YAML to JSON: yaml: line 1: "));
  EXPECT_EQ(json_of(std::string(450, '[') + std::string(450, ']')),
            "error converting YAML to JSON: yaml: line 1: exceeded max depth of 400");
  std::string deep = "x: &a ";
  for (int i = 0; i < 300; ++i) deep += "[";
  deep += std::string(300, ']') + "\ny: " + std::string(300, '[') + "*a" + std::string(300, ']');
  EXPECT_NE(json_of(deep).find("exceeded max depth"), std::string::npos);
  EXPECT_NE(json_of("a: &a [*a]").find("yaml: line 1"), std::string::npos);
  Arena arena;
  EXPECT_EQ(parse_yaml(std::string(200, ' '), arena, {.max_bytes = 100}).error().code(), 413);
}

TEST(ParseYaml, SaysWhereItIsWrong) {
  EXPECT_TRUE(json_of("a: b\n  c: d\n").starts_with("error converting YAML to JSON: yaml: line 2: "));
  EXPECT_NE(json_of("a: 1\n---\nb: 2\n").find("one document"), std::string::npos);
  EXPECT_EQ(json_of("a: 1\n---\n"), R"({"a":1})");
  EXPECT_NE(json_of("? [a]\n: b\n").find("can't be a key"), std::string::npos);
  Arena arena;
  DecodeWarnings warnings;
  auto value = parse_yaml("a: 1\nb: 2\na: 3\n", arena, {}, &warnings);
  ASSERT_TRUE(value);
  EXPECT_EQ(warnings.strict, std::vector<std::string>{"line 3: key \"a\" already set in map"});
  EXPECT_EQ(value->get({"a"}).as_int(), 3);
}

TEST(ToYaml, WritesAsUpstreamDoes) {
  EXPECT_EQ(
      yaml_of(
          R"({"kind":"Pod","apiVersion":"v1","spec":{"containers":[{"name":"c","args":["-x","a: b"]}],"empty":{},"none":[]}})"),
      "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - args:\n    - -x\n    - 'a: b'\n    name: c\n  empty: {}\n  "
      "none: []\n");
  EXPECT_EQ(yaml_of(R"({"data":{"s":"one\n  two\n","t":"a\nb","u":"a\n\n"}})"),
            "data:\n  s: |\n    one\n      two\n  t: |-\n    a\n    b\n  u: |+\n    a\n\n");
  EXPECT_EQ(yaml_of(R"([[1,[2]],{"a":null}])"), "- - 1\n  - - 2\n- a: null\n");
}

TEST(ToYaml, ReadsBackAsTheSameText) {
  const std::string long_plain(2000, 'x'), long_quoted(2000, '\x1C');
  for (std::string_view text : std::initializer_list<std::string_view>{"",
                                                                       " ",
                                                                       "a",
                                                                       "yes",
                                                                       "null",
                                                                       "~",
                                                                       "12",
                                                                       "0x1f",
                                                                       "1e3",
                                                                       "1_0",
                                                                       "-",
                                                                       "- a",
                                                                       "?",
                                                                       ": x",
                                                                       "a:",
                                                                       "a: b",
                                                                       "a #b",
                                                                       "#a",
                                                                       "'q'",
                                                                       "\"q\"",
                                                                       "it's",
                                                                       "[a]",
                                                                       "{a",
                                                                       "*a",
                                                                       "&a",
                                                                       "!a",
                                                                       "|",
                                                                       ">",
                                                                       "%a",
                                                                       "@a",
                                                                       "`a",
                                                                       "<<",
                                                                       "=",
                                                                       "---",
                                                                       "...",
                                                                       "--- a",
                                                                       " lead",
                                                                       "trail ",
                                                                       "tab\tx",
                                                                       "a\nb",
                                                                       "\n",
                                                                       "a\n\n",
                                                                       " a\nb",
                                                                       "a \nb",
                                                                       "\r\n",
                                                                       "\x01",
                                                                       "\xC2\x85",
                                                                       "\xE2\x80\xA8",
                                                                       "\xEF\xBB\xBFx",
                                                                       "2026-01-02T03:04:05Z",
                                                                       "12:30:45",
                                                                       "ümlaut",
                                                                       "a,b",
                                                                       "a]",
                                                                       "x\n  y\n",
                                                                       "\xF0\x9F\x98\x80",
                                                                       long_plain,
                                                                       long_quoted}) {
    Arena arena;
    Value object = Value::object(arena);
    object.set(arena, "k", Value::string(text));
    Value list = Value::array(arena);
    list.push_back(arena, Value::string(text));
    object.set(arena, "l", list);
    object.set(arena, text, Value::integer(1));
    Value inner = Value::object(arena);
    inner.set(arena, text, list.clone(arena));
    list.push_back(arena, inner);
    object.set(arena, "m", inner.clone(arena));
    std::string yaml = to_yaml(object);
    auto back = parse_yaml(yaml, arena);
    ASSERT_TRUE(back) << yaml << back.error().message();
    EXPECT_TRUE(back->equals(object)) << yaml << to_json(*back, nullptr);
  }
}
