#include <gtest/gtest.h>

#include <filesystem>
#include <thread>

#include "apiserver/auth/authorizer.h"
#include "apiserver/auth/webhook_authorizer.h"
#include "apiserver/auth/webhook_token.h"
#include "base/encoding.h"
#include "https_peer.h"
#include "memory_store.h"

using namespace redoubt;
using namespace redoubt::apiserver;
using std::chrono::milliseconds;

namespace {

const std::vector<std::string> kAudiences = {"api"};

bool has(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

struct TokenWebhook : testing::Test {
  net::LoopPool loops{1, "auth"};
  HttpsPeer peer{[](const std::string&, const std::string& body) -> HttpsPeer::Answer {
    auto status = [](const std::string& text, milliseconds after = {}) {
      return HttpsPeer::Answer{.body = R"({"kind":"TokenReview","status":)" + text + "}", .after = after};
    };
    if (has(body, "good"))
      return status(
          R"({"authenticated":true,"user":{"username":"jane","uid":"7","groups":["devs"],"extra":{"a":["b"]}}})");
    if (has(body, "slow")) return status(R"({"authenticated":true,"user":{"username":"slow"}})", milliseconds(200));
    if (has(body, "vault")) return status(R"({"authenticated":true,"user":{"username":"v"},"audiences":["vault"]})");
    if (has(body, "nameless")) return status(R"({"authenticated":true,"user":{}})");
    if (has(body, "broken")) return {.status = 500, .body = "{}"};
    if (has(body, "stuck")) return status("{}", std::chrono::seconds(5));
    if (has(body, "nonsense")) return {.body = "[]"};
    return status(R"({"authenticated":false,"error":"no such token"})");
  }};
  std::unique_ptr<WebhookTokens> webhook;

  void SetUp() override {
    WebhookTokenOptions options;
    options.connection = peer.connection();
    options.timeout = milliseconds(800);
    webhook = *WebhookTokens::make(loops.executor(0), options, kAudiences);
  }
  void TearDown() override {
    run_on_loop(loops, [this] { return webhook->stop(); });
    loops.stop();
  }
  std::string who(const char* token) {
    auto answer = wait_for(webhook->authenticate(token, kAudiences));
    return answer ? answer->user.name : "401 " + answer.error().message();
  }
};

struct AccessWebhook : testing::Test {
  net::LoopPool loops{1, "auth"};
  MemoryStore store;
  std::string last;  // under the peer's lock while it is asked
  HttpsPeer peer{[this](const std::string&, const std::string& body) -> HttpsPeer::Answer {
    last = body;
    auto status = [](const std::string& text) {
      return HttpsPeer::Answer{.body = R"({"kind":"SubjectAccessReview","status":)" + text + "}"};
    };
    if (has(body, R"("name":"yes")")) return status(R"({"allowed":true,"reason":"because"})");
    if (has(body, R"("name":"no")")) return status(R"({"allowed":false,"denied":true,"reason":"never"})");
    if (has(body, R"("name":"both")")) return status(R"({"allowed":true,"denied":true})");
    if (has(body, R"("name":"broken")")) return {.status = 400, .body = "{}"};
    return status(R"({"allowed":false,"reason":"don't know"})");
  }};
  std::string kubeconfig = testing::TempDir() + "webhook.kubeconfig";
  std::unique_ptr<Authorizer> authorizer;

  void start(bool fail_closed = false,
             std::vector<AuthorizerConfig::Type> after = {AuthorizerConfig::Type::AlwaysAllow}) {
    ASSERT_TRUE(
        pki::write_file(kubeconfig, "clusters: [{name: c, cluster: {server: '" + peer.url() +
                                        "', certificate-authority-data: " + base64_encode(peer.ca_pem()) +
                                        "}}]\nusers: [{name: u, user: {token: t}}]\n"
                                        "contexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x\n"));
    AuthorizerOptions options;
    AuthorizerConfig hook{AuthorizerConfig::Type::Webhook, "hook", {}};
    hook.webhook.kubeconfig = kubeconfig;
    hook.webhook.version = "v1";
    hook.webhook.timeout = milliseconds(500);
    hook.webhook.fail_closed = fail_closed;
    options.chain = {hook};
    for (auto type : after) options.chain.push_back({type, "after", {}});
    auto made = Authorizer::make(store, std::move(options), loops.executor(0));
    ASSERT_TRUE(made) << made.error().message();
    authorizer = std::move(*made);
  }
  void TearDown() override {
    run_on_loop(loops, [this] { return authorizer->stop(); });
    loops.stop();
  }
  Attributes named(const char* name) {
    Attributes a;
    a.verb = "get";
    a.resource = "pods";
    a.namespace_ = "ns";
    a.name = name;
    return a;
  }
  Decision ask(const char* name, std::vector<std::string> groups = {"devs"}) {
    return wait_for(authorizer->authorize(UserInfo{"jane", "7", std::move(groups), {{"k", {"v"}}}}, named(name)));
  }
};

}  // namespace

TEST_F(TokenWebhook, KnowsTokensAndRemembersThem) {
  auto answer = wait_for(webhook->authenticate("good", kAudiences));
  ASSERT_TRUE(answer) << answer.error().message();
  EXPECT_EQ(answer->user.name, "jane");
  EXPECT_EQ(answer->user.uid, "7");
  EXPECT_EQ(answer->user.groups, std::vector<std::string>{"devs"});
  EXPECT_EQ(answer->user.extra.at("a"), std::vector<std::string>{"b"});
  EXPECT_EQ(answer->audiences, kAudiences);
  EXPECT_TRUE(webhook->authenticate("good", kAudiences).is_here());
  EXPECT_EQ(who("bad"), "401 no such token");
  EXPECT_EQ(who("bad"), "401 no such token");
  EXPECT_EQ(peer.hits("/"), 2);
}

TEST_F(TokenWebhook, IsAskedOnceByManyAtOnce) {
  std::vector<std::thread> askers;
  std::atomic<int> right{0};
  for (int i = 0; i < 8; ++i) askers.emplace_back([&] { right += who("slow") == "slow"; });
  for (auto& asker : askers) asker.join();
  EXPECT_EQ(right, 8);
  EXPECT_EQ(peer.hits("/"), 1);
}

TEST_F(TokenWebhook, RefusesWhatItDoesNotSayClearly) {
  for (const char* token : {"vault", "nameless", "broken", "stuck", "nonsense"})
    EXPECT_TRUE(who(token).starts_with("401")) << token;
  // A failure is not remembered: it is tried again, within one question and by the next.
  int before = peer.hits("/");
  who("broken");
  EXPECT_GT(peer.hits("/"), before);
}

TEST_F(AccessWebhook, DecidesInItsPlace) {
  start();
  EXPECT_TRUE(ask("yes").allowed);
  EXPECT_EQ(ask("yes").reason, "because");
  EXPECT_TRUE(ask("no").denied);
  EXPECT_FALSE(ask("both").allowed);
  EXPECT_TRUE(ask("perhaps").allowed) << "no opinion: the next one allows everything";
  EXPECT_EQ(peer.hits("/"), 4) << "each is asked once";
  EXPECT_TRUE(ask("no", {"system:masters"}).allowed);
  EXPECT_TRUE(has(last, R"("resourceAttributes":{"namespace":"ns","verb":"get","resource":"pods","name":"perhaps"})"))
      << last;
  EXPECT_TRUE(has(last, R"("user":"jane","groups":["devs"],"extra":{"k":["v"]},"uid":"7")")) << last;
}

TEST_F(AccessWebhook, FailsAsItsPolicySays) {
  start(false);
  EXPECT_TRUE(ask("broken").allowed) << "no opinion";
  run_on_loop(loops, [this] { return authorizer->stop(); });
  start(true);
  Decision closed = ask("broken");
  EXPECT_FALSE(closed.allowed);
  EXPECT_TRUE(closed.denied);
  EXPECT_NE(closed.error, "");
}

TEST_F(AccessWebhook, IsRefusedWithAKubeconfigThatSaysLess) {
  start();
  auto why = [&](const std::string& text) {
    std::string path = testing::TempDir() + "wrong.kubeconfig";
    EXPECT_TRUE(pki::write_file(path, text));
    AuthorizerOptions options;
    AuthorizerConfig hook{AuthorizerConfig::Type::Webhook, "hook", {}};
    hook.webhook.kubeconfig = path;
    options.chain = {hook};
    auto made = Authorizer::make(store, std::move(options), loops.executor(0));
    return made ? std::string("ok") : made.error().message();
  };
  auto with = [](const std::string& cluster, const std::string& user) {
    return "clusters: [{name: c, cluster: {" + cluster + "}}]\nusers: [{name: u, user: {" + user +
           "}}]\ncontexts: [{name: x, context: {cluster: c, user: u}}]\ncurrent-context: x\n";
  };
  EXPECT_NE(why(with("server: 'http://127.0.0.1'", "")).find("https"), std::string::npos);
  EXPECT_NE(why(with("server: 'https://h', insecure-skip-tls-verify: true", "")).find("insecure-skip-tls-verify"),
            std::string::npos);
  EXPECT_NE(why(with("server: 'https://h'", "exec: {command: x}")).find("exec"), std::string::npos);
}
