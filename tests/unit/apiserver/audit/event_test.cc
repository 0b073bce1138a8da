#include "apiserver/audit/event.h"

#include <gtest/gtest.h>

#include "apiserver/audit/bodies.h"
#include "schema/codec.h"
#include "schema/resource.h"

using namespace redoubt;
using namespace redoubt::apiserver;
using namespace redoubt::apiserver::audit;

namespace {

struct Fixture {
  net::Request request;
  UserInfo user, other;
  Event event;
  Fixture() {
    request.target = "/api/v1/namespaces/default/secrets/s";
    auto connection = std::make_shared<net::ConnectionInfo>();
    connection->remote_address = "10.0.0.9";
    request.connection = connection;
    user.name = "ann";
    user.groups = {"dev", "system:authenticated"};
    user.extra["scopes"] = {"a\"b"};
    event.request = &request;
    event.audit_id = "11111111-2222-4333-8444-555555555555";
    event.stage = Stage::ResponseComplete;
    event.subject = {&user, "get", true, "", "secrets", "", "default", "s", {}};
    event.api_version = "v1";
    event.code = 200;
    event.received = Timestamp(std::chrono::microseconds(1'767'323'045'123'456));
    event.at = event.received + std::chrono::microseconds(1);
  }
  std::string line() {
    std::string out;
    append_json(out, event);
    return out;
  }
};

}  // namespace

TEST(AuditEvent, IsUpstreamsEventFieldForField) {
  Fixture f;
  f.request.headers.add("user-agent", "kubectl/v1.35");
  Annotations annotations{{"authorization.k8s.io/decision", "allow"}, {"authorization.k8s.io/reason", "RBAC: \"x\""}};
  f.event.annotations = &annotations;
  EXPECT_EQ(
      f.line(),
      R"({"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"11111111-2222-4333-8444-555555555555",)"
      R"("stage":"ResponseComplete","requestURI":"/api/v1/namespaces/default/secrets/s","verb":"get",)"
      R"("user":{"username":"ann","groups":["dev","system:authenticated"],"extra":{"scopes":["a\"b"]}},"sourceIPs":["10.0.0.9"],)"
      R"("userAgent":"kubectl/v1.35","objectRef":{"resource":"secrets","namespace":"default","name":"s","apiVersion":"v1"},)"
      R"("responseStatus":{"metadata":{},"code":200},"requestReceivedTimestamp":"2026-01-02T03:04:05.123456Z",)"
      R"("stageTimestamp":"2026-01-02T03:04:05.123457Z",)"
      R"("annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":"RBAC: \"x\""}})"
      "\n");
}

TEST(AuditEvent, CarriesTheStatusOfAFailure) {
  Fixture f;
  Status status = forbidden({"", "secrets"}, "s", "no").error();
  f.event.code = 403;
  f.event.failure = &status;
  std::string line = f.line();
  EXPECT_NE(line.find(R"("responseStatus":{"metadata":{},"status":"Failure","message":)"), std::string::npos) << line;
  EXPECT_NE(line.find(R"("reason":"Forbidden")"), std::string::npos);
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
}

TEST(AuditEvent, SaysWhoWasImpersonated) {
  Fixture f;
  f.other.name = "bob";
  f.event.impersonated = &f.other;
  EXPECT_NE(f.line().find(R"("impersonatedUser":{"username":"bob"})"), std::string::npos);
}

TEST(AuditEvent, NeverShowsACredentialOfTheUriOrTheHeaders) {
  Fixture f;
  f.request.target = "/api/v1/x?watch=1&access_token=olive&tok%65n=maple&x=token&PASSWORD=birch#f";
  f.request.headers.add("authorization", "Bearer sesame");
  f.request.headers.add("cookie", "session=sesame");
  std::string line = f.line();
  for (const char* secret : {"olive", "maple", "birch", "sesame"})
    EXPECT_EQ(line.find(secret), std::string::npos) << line;
  EXPECT_NE(line.find("/api/v1/x?watch=1&access_token=REDACTED&tok%65n=REDACTED&x=token&PASSWORD=REDACTED"),
            std::string::npos)
      << line;
}

TEST(AuditEvent, ListsForwardedAddressesBeforeTheConnectionsOwn) {
  Fixture f;
  EXPECT_EQ(source_ips(f.request), (std::vector<std::string>{"10.0.0.9"}));
  f.request.headers.add("x-forwarded-for", "1.2.3.4, nonsense,  2001:DB8::1 ,::ffff:5.6.7.8");
  f.request.headers.add("x-real-ip", "1.2.3.4");
  EXPECT_EQ(source_ips(f.request), (std::vector<std::string>{"1.2.3.4", "2001:db8::1", "5.6.7.8", "10.0.0.9"}));
  f.request.headers.set("x-forwarded-for", "10.0.0.9");
  f.request.headers.set("x-real-ip", "7.7.7.7");
  EXPECT_EQ(source_ips(f.request), (std::vector<std::string>{"10.0.0.9", "7.7.7.7", "10.0.0.9"}));
  f.request.headers.remove("x-real-ip");
  EXPECT_EQ(source_ips(f.request), (std::vector<std::string>{"10.0.0.9"}));
}

TEST(AuditEvent, CutsALongUserAgent) {
  Fixture f;
  f.request.headers.add("user-agent", std::string(5000, 'u'));
  EXPECT_NE(f.line().find("\"userAgent\":\"" + std::string(1024, 'u') + "...TRUNCATED\""), std::string::npos);
}

TEST(AuditEvent, StaysOneLineOfJsonWhateverTheClientSends) {
  Fixture f;
  f.request.target = "/a\nb\xff?q=\"";
  f.user.name = "x\r\n{\"kind\":\"Event\"}";
  f.request.headers.add("user-agent", std::string("a\0b\x1b", 4));
  std::string line = f.line();
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  schema::Arena arena;
  auto parsed = schema::parse_json(line, arena);
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_EQ(parsed->get({"user", "username"}).as_string(), f.user.name);
}

TEST(AuditEvent, HasTheLegacyLine) {
  Fixture f;
  std::string out;
  append_legacy(out, f.event);
  EXPECT_EQ(
      out,
      "2026-01-02T03:04:05.123456Z AUDIT: id=\"11111111-2222-4333-8444-555555555555\" stage=\"ResponseComplete\" "
      "ip=\"10.0.0.9\" method=\"get\" user=\"ann\" groups=\"\\\"dev\\\",\\\"system:authenticated\\\"\" as=\"<self>\" "
      "asgroups=\"<lookup>\" user-agent=\"\" namespace=\"default\" uri=\"/api/v1/namespaces/default/secrets/s\" "
      "response=\"200\"\n");
}

TEST(AuditBodies, AreOneLineOfJsonWhateverFormTheyCameIn) {
  auto json = read_body_facts("application/json; charset=utf-8",
                              "{\n \"metadata\": {\"name\": \"a\", \"uid\": \"u\", \"resourceVersion\": \"7\",\n"
                              "\"managedFields\": [{}]}, \"x\": 1}",
                              true, true);
  EXPECT_EQ(json.json, R"({"metadata":{"name":"a","uid":"u","resourceVersion":"7"},"x":1})");
  EXPECT_EQ(json.name + json.uid + json.resource_version, "au7");
  EXPECT_NE(read_body_facts("application/json", R"({"metadata":{"managedFields":[{}]}})", false, true)
                .json.find("managedFields"),
            std::string::npos);
  EXPECT_EQ(read_body_facts("application/apply-patch+yaml", "a: {b: c}", false, true).json, R"({"a":{"b":"c"}})");
  EXPECT_EQ(read_body_facts("application/json-patch+json", "[ {\"op\":\"test\"} ]", false, true).json,
            R"([{"op":"test"}])");
  EXPECT_EQ(read_body_facts("application/json", "{broken", false, true).json, "");
  EXPECT_EQ(read_body_facts("application/json", "{\"metadata\":{\"name\":\"n\"}}", false, false).json, "");
}

TEST(AuditBodies, ReadProtobufByItsKind) {
  schema::Arena arena;
  auto value =
      schema::parse_json(R"({"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"c"},"data":{"k":"v"}})", arena);
  auto bytes = schema::to_protobuf(*value, *schema::find_resource("", "v1", "configmaps")->type);
  ASSERT_TRUE(bytes);
  auto facts = read_body_facts("application/vnd.kubernetes.protobuf", *bytes, false, true);
  EXPECT_EQ(facts.name, "c");
  EXPECT_NE(facts.json.find(R"("data":{"k":"v"})"), std::string::npos) << facts.json;
}
