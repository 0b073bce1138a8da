#include "apiserver/webhook/answer.h"

#include <gtest/gtest.h>

#include "base/encoding.h"
#include "schema/codec.h"

using namespace redoubt;
using namespace redoubt::apiserver;
using schema::Value;

namespace {

std::string review(std::string_view response) {
  return fmt::format(R"({{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{}}})", response);
}

}  // namespace

TEST(WebhookAnswer, IsBelievedOnlyForTheRequestThatWasAsked) {
  struct Case {
    std::string text;
    bool mutating;
    std::string_view wrong;  // empty: fine
  };
  const Case cases[] = {
      {review(R"({"uid":"u","allowed":true})"), false, ""},
      {review(R"({"uid":"u","allowed":true,"patchType":"JSONPatch","patch":"W10="})"), true, ""},
      {review(R"({"uid":"v","allowed":true})"), false, "expected response.uid=\"u\", got \"v\""},
      {review(R"({"allowed":true})"), false, "expected response.uid=\"u\", got \"\""},
      {review("null"), false, "webhook response was absent"},
      {R"({"apiVersion":"admission.k8s.io/v1beta1","kind":"AdmissionReview","response":{"uid":"u","allowed":true}})",
       false, "got admission.k8s.io/v1beta1, Kind=AdmissionReview"},
      {R"({"allowed":true})", false, "got /, Kind="},
      {"<html>", false, "can't be read"},
      {"[]", false, "is no object"},
      {review(R"({"uid":"u","allowed":true,"patchType":"JSONPatch","patch":"W10="})"), false,
       "validating webhook may not return response.patch"},
      {review(R"({"uid":"u","allowed":true,"patch":"W10="})"), true, "response.patch but not response.patchType"},
      {review(R"({"uid":"u","allowed":true,"patchType":"JSONPatch"})"), true,
       "response.patchType but not response.patch"},
      {review(R"({"uid":"u","allowed":true,"patchType":"MergePatch","patch":"e30="})"), true,
       "invalid response.patchType of \"MergePatch\""},
  };
  for (const Case& one : cases) {
    schema::Arena arena;
    auto answer = read_answer(one.text, "u", one.mutating, arena);
    EXPECT_EQ(answer.has_value(), one.wrong.empty()) << one.text;
    if (!answer) {
      EXPECT_NE(answer.error().message().find(one.wrong), std::string::npos)
          << one.text << " said " << answer.error().message();
    }
  }
}

TEST(WebhookAnswer, ARefusalIsNeverASuccess) {
  schema::Arena arena;
  auto of = [&](const char* json) { return denial("a.b.c", *schema::parse_json(json, arena)); };
  EXPECT_EQ(of("{}").message(), "admission webhook \"a.b.c\" denied the request without explanation");
  EXPECT_EQ(of("{}").code(), 400);
  EXPECT_EQ(of(R"({"code":200,"message":"no"})").code(), 400);
  EXPECT_EQ(of(R"({"code":403,"message":"no","reason":"Forbidden"})").code(), 403);
  EXPECT_EQ(of(R"({"code":403,"message":"no","reason":"Forbidden"})").reason(), "Forbidden");
  EXPECT_EQ(of(R"({"reason":"Forbidden"})").message(), "admission webhook \"a.b.c\" denied the request: Forbidden");
}

TEST(WebhookAnswer, PatchesTheObjectOrSaysWhyNot) {
  schema::Arena arena;
  Value object = *schema::parse_json(R"({"data":{"a":"b"}})", arena);
  auto with = [&](std::string_view patch) {
    Value response = *schema::parse_json(
        arena.copy(fmt::format(R"({{"patchType":"JSONPatch","patch":"{}"}})", base64_encode(patch))), arena);
    return patched_by(response, object, arena);
  };
  auto done = with(R"([{"op":"add","path":"/data/c","value":"d"}])");
  ASSERT_TRUE(done.has_value());
  EXPECT_EQ(done->get({"data", "c"}).as_string(), "d");
  EXPECT_FALSE(object.get({"data"}).has("c")) << "the webhook's input must stay as it was";
  EXPECT_FALSE(with(R"([{"op":"test","path":"/data/a","value":"x"}])").has_value());
  EXPECT_FALSE(with("no patch").has_value());
  EXPECT_EQ(with("no patch").error().code(), 500);
  EXPECT_TRUE(patched_by(Value::object(arena), object, arena)->equals(object));
}
