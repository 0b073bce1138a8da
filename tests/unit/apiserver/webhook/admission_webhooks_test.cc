#include "apiserver/webhook/admission_webhooks.h"

#include <gtest/gtest.h>

#include "../auth/https_peer.h"
#include "../auth/memory_store.h"
#include "base/encoding.h"
#include "schema/codec.h"

using namespace redoubt;
using namespace redoubt::apiserver;
using schema::Value;

namespace {

class NoResponder : public net::Responder {
 public:
  Task<Result<void>> send(int, net::Headers, BytesList) override { co_return Result<void>{}; }
  Task<Result<std::unique_ptr<net::BodyWriter>>> start(int, net::Headers) override { co_return internal_error("no"); }
  Task<Result<net::StreamPtr>> upgrade(net::Headers) override { co_return internal_error("no"); }
  bool started() const override { return false; }
};

std::string patch_of(std::string_view operations) {
  return fmt::format(R"("patchType":"JSONPatch","patch":"{}")", base64_encode(operations));
}

// A cluster with webhooks at one server; `answer` gives a review's response, without the uid, by the webhook's path.
struct Webhooks : testing::Test {
  std::mutex mutex;
  std::vector<std::string> paths, reviews;
  std::function<std::string(const std::string& path, const Value& request)> answer;
  HttpsPeer peer{[this](const std::string& path, const std::string& body) -> HttpsPeer::Answer {
    schema::Arena arena;
    Value request = schema::parse_json(arena.copy(body), arena)->get({"request"});
    paths.push_back(path);
    reviews.push_back(body);
    std::string said = answer ? answer(path, request) : R"("allowed":true)";
    if (said == "slow") return {.body = "{}", .after = std::chrono::milliseconds(3000)};
    return {.body = fmt::format(
                R"({{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{{"uid":"{}",{}}}}})",
                request.get({"uid"}).as_string(), said)};
  }};
  MemoryStore store;
  std::unique_ptr<egress::Dialer> dialer = egress::make_direct_dialer();
  net::LoopPool loops{1, "api"};
  AdmissionWebhooks hooks{*dialer, store};
  std::string side_effects = "None";
  int configurations = 0;

  void SetUp() override { store.put("namespaces", R"({"metadata":{"name":"default","labels":{"team":"a"}}})"); }
  void TearDown() override {
    loops.stop();
    hooks.clear();
  }
  // `more`: further members of the webhook.
  void add(bool mutating, std::string path, std::string more = "", std::string ca = "") {
    std::string name = fmt::format("h{}.example.com", ++configurations);
    store.put(mutating ? "mutatingwebhookconfigurations" : "validatingwebhookconfigurations",
              fmt::format(R"({{"metadata":{{"name":"c{:02}"}},"webhooks":[{{"name":"{}","clientConfig":{{"url":"{}{}",)"
                          R"("caBundle":"{}"}},"rules":[{{"operations":["CREATE","UPDATE"],"apiGroups":[""],)"
                          R"("apiVersions":["v1"],"resources":["configmaps"]}}],)"
                          R"("sideEffects":"{}","timeoutSeconds":1{}{}}}]}})",
                          configurations, name, peer.url(), path, base64_encode(ca.empty() ? peer.ca_pem() : ca),
                          side_effects, more.empty() ? "" : ",", more));
  }
  struct Outcome {
    Result<void> done;
    std::string object;
    std::vector<std::string> warnings;
  };
  Outcome create(std::string json, std::string resource = "configmaps", bool dry_run = false,
                 AdmissionWebhooks::Builtin again = {}) {
    Outcome out;
    run_on_loop(loops, [&]() -> Task<void> { return run(out, json, resource, dry_run, again); });
    return out;
  }
  Task<void> run(Outcome& out, std::string json, std::string resource, bool dry_run, AdmissionWebhooks::Builtin again) {
    net::Request request;
    request.method = "POST";
    request.connection = std::make_shared<net::ConnectionInfo>();
    NoResponder responder;
    Context c{request, responder};
    c.user.name = "jane";
    c.info.resource = resource;
    c.info.namespace_ = "default";
    c.resource = schema::find_resource("", "v1", resource);
    Value object = *schema::parse_json(c.arena.copy(json), c.arena);
    AdmissionWebhooks::Change change{"CREATE", {}, dry_run};
    out.done = co_await hooks.mutate(c, change, object, again);
    if (out.done) out.done = co_await hooks.validate(c, change, object);
    out.object = schema::to_json(object, nullptr);
    out.warnings = c.warnings;
  }
};

constexpr const char* kMap =
    R"({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"m","labels":{"app":"x"}},"data":{"a":"b"}})";

}  // namespace

TEST_F(Webhooks, AreAskedAboutWhatTheirRulesAndSelectorsName) {
  add(false, "/all");
  add(false, "/team-b", R"("namespaceSelector":{"matchLabels":{"team":"b"}})");
  add(false, "/team-a", R"("namespaceSelector":{"matchLabels":{"team":"a"}})");
  add(false, "/app-x", R"("objectSelector":{"matchLabels":{"app":"x"}})");
  add(false, "/app-y", R"("objectSelector":{"matchLabels":{"app":"y"}})");
  EXPECT_TRUE(create(kMap).done.has_value());
  std::ranges::sort(paths);
  EXPECT_EQ(paths, (std::vector<std::string>{"/all", "/app-x", "/team-a"}));
  paths.clear();
  EXPECT_TRUE(create(R"({"metadata":{"name":"s"}})", "secrets").done.has_value());
  EXPECT_TRUE(paths.empty()) << "no rule names secrets";
}

TEST_F(Webhooks, TellWhoAsksForWhat) {
  add(false, "/v");
  EXPECT_TRUE(create(kMap).done.has_value());
  schema::Arena arena;
  Value request = schema::parse_json(arena.copy(reviews.at(0)), arena)->get({"request"});
  EXPECT_EQ(request.get({"kind", "kind"}).as_string(), "ConfigMap");
  EXPECT_EQ(request.get({"resource", "resource"}).as_string(), "configmaps");
  EXPECT_EQ(request.get({"operation"}).as_string(), "CREATE");
  EXPECT_EQ(request.get({"namespace"}).as_string(), "default");
  EXPECT_EQ(request.get({"userInfo", "username"}).as_string(), "jane");
  EXPECT_EQ(request.get({"object", "data", "a"}).as_string(), "b");
  EXPECT_TRUE(request.get({"oldObject"}).is_null());
  EXPECT_FALSE(request.get({"dryRun"}).as_bool(true));
}

TEST_F(Webhooks, MutateInOrderAndAgainWhereAWebhookAsksForIt) {
  add(true, "/first", R"("reinvocationPolicy":"IfNeeded")");
  add(true, "/second");
  answer = [](const std::string& path, const Value& request) -> std::string {
    Value data = request.get({"object", "data"});
    if (path == "/first" && !data.has("first"))
      return R"("allowed":true,)" + patch_of(R"([{"op":"add","path":"/data/first","value":"1"}])");
    if (path == "/first" && data.has("second"))
      return R"("allowed":true,)" + patch_of(R"([{"op":"add","path":"/data/saw","value":"second"}])");
    if (path == "/second")
      return R"("allowed":true,)" + patch_of(R"([{"op":"add","path":"/data/second","value":"2"}])");
    return R"("allowed":true)";
  };
  auto out = create(kMap);
  ASSERT_TRUE(out.done.has_value()) << out.done.error().message();
  EXPECT_EQ(paths, (std::vector<std::string>{"/first", "/second", "/first"}));
  EXPECT_NE(out.object.find(R"("saw":"second")"), std::string::npos) << out.object;
}

TEST_F(Webhooks, WhatTheyChangeIsCompletedByTheBuiltInAdmission) {
  add(true, "/m");
  answer = [](const std::string&, const Value&) {
    return R"("allowed":true,)" + patch_of(R"([{"op":"add","path":"/data/m","value":"1"}])");
  };
  int completed = 0;
  EXPECT_TRUE(create(kMap, "configmaps", false, [&](Value& object) -> Result<void> {
                ++completed;
                EXPECT_TRUE(object.get({"data"}).has("m"));
                return {};
              }).done.has_value());
  EXPECT_EQ(completed, 1);
  answer = {};
  EXPECT_TRUE(create(kMap, "configmaps", false, [&](Value&) -> Result<void> {
                ++completed;
                return {};
              }).done.has_value());
  EXPECT_EQ(completed, 1) << "an object that no webhook changed is complete already";
}

TEST_F(Webhooks, RefuseInTheirOwnWordsAndWarn) {
  add(false, "/v");
  answer = [](const std::string&, const Value&) {
    return R"("allowed":false,"warnings":["mind"],"status":{"code":403,"message":"not here"})";
  };
  auto out = create(kMap);
  ASSERT_FALSE(out.done.has_value());
  EXPECT_EQ(out.done.error().code(), 403);
  EXPECT_EQ(out.done.error().message(), R"(admission webhook "h1.example.com" denied the request: not here)");
  EXPECT_EQ(out.warnings, std::vector<std::string>{"mind"});
}

TEST_F(Webhooks, FailurePolicyDecidesAboutFailures) {
  answer = [](const std::string& path, const Value&) {
    return path == "/slow" ? "slow" : R"("allowed":true,"patch":"W10=")";  // a validating webhook's patch is an error
  };
  add(false, "/bad", R"("failurePolicy":"Ignore")");
  EXPECT_TRUE(create(kMap).done.has_value());
  add(false, "/bad", R"("failurePolicy":"Fail")");
  auto failed = create(kMap);
  ASSERT_FALSE(failed.done.has_value());
  EXPECT_EQ(failed.done.error().code(), 500);
  EXPECT_NE(failed.done.error().message().find("failed calling webhook \"h2.example.com\": received invalid webhook"),
            std::string::npos)
      << failed.done.error().message();
}

TEST_F(Webhooks, AreGivenTheirTimeAndNoMore) {
  answer = [](const std::string&, const Value&) { return "slow"; };
  add(false, "/slow", R"("failurePolicy":"Fail")");
  auto began = std::chrono::steady_clock::now();
  EXPECT_FALSE(create(kMap).done.has_value());
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::milliseconds(2500));
}

TEST_F(Webhooks, AreAskedOfNobodyWithAnotherCertificate) {
  auto other = *pki::make_ca("other-ca", std::chrono::hours(1));
  add(false, "/v", R"("failurePolicy":"Fail")", other.certificate_pem);
  auto out = create(kMap);
  ASSERT_FALSE(out.done.has_value());
  EXPECT_NE(out.done.error().message().find("x509"), std::string::npos) << out.done.error().message();
  EXPECT_TRUE(paths.empty());
}

TEST_F(Webhooks, ADryRunAsksOnlyThoseWithoutSideEffects) {
  add(false, "/v");
  EXPECT_TRUE(create(kMap, "configmaps", true).done.has_value());
  EXPECT_NE(reviews.at(0).find(R"("dryRun":true)"), std::string::npos);
  side_effects = "Some";
  add(false, "/w");
  auto out = create(kMap, "configmaps", true);
  ASSERT_FALSE(out.done.has_value());
  EXPECT_NE(out.done.error().message().find("does not support dry run"), std::string::npos);
  EXPECT_TRUE(create(kMap).done.has_value());
}
