#include "base/status.h"

#include <gtest/gtest.h>

#include "base/metrics.h"

using namespace redoubt;

TEST(Status, WordsErrorsAsUsersKnowThem) {
  Status missing = not_found({"", "pods"}, "x").error();
  EXPECT_EQ(missing.message(), "pods \"x\" not found");
  EXPECT_EQ(missing.code(), 404);
  EXPECT_EQ(not_found({"apps", "deployments"}, "x").error().message(), "deployments.apps \"x\" not found");
  EXPECT_EQ(
      invalid("apps", "Deployment", "d", {{"FieldValueRequired", "Required value", "spec.selector"}}).error().message(),
      "Deployment.apps \"d\" is invalid: spec.selector: Required value");
}

TEST(Status, BecomesAMetav1Status) {
  std::string json = already_exists({"", "pods"}, "x").error().to_json();
  EXPECT_EQ(
      json,
      "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"pods \\\"x\\\" "
      "already exists\",\"reason\":\"AlreadyExists\",\"details\":{\"name\":\"x\",\"kind\":\"pods\"},\"code\":409}\n");
}

TEST(Status, TryReturnsTheError) {
  auto half = [](int n) -> Result<int> {
    if (n % 2 != 0) return bad_request("odd");
    return n / 2;
  };
  auto quarter = [&](int n) -> Result<int> {
    RD_TRY(int h, half(n));
    return half(h);
  };
  EXPECT_EQ(*quarter(8), 2);
  EXPECT_EQ(quarter(6).error().message(), "odd");
}

TEST(Metrics, RenderPrometheusText) {
  counter("test_requests_total", "Requests.", {{"verb", "GET\"\n"}}).add(3);
  auto& latency = histogram("test_seconds", "Latency.", {0.1, 1});
  latency.observe(0.05);
  latency.observe(5);
  std::string text = render_metrics();
  EXPECT_NE(text.find("# TYPE test_requests_total counter\ntest_requests_total{verb=\"GET\\\"\\n\"} 3\n"),
            std::string::npos);
  EXPECT_NE(
      text.find(
          "test_seconds_bucket{le=\"0.1\"} 1\ntest_seconds_bucket{le=\"1\"} 1\ntest_seconds_bucket{le=\"+Inf\"} 2\n"),
      std::string::npos);
}
