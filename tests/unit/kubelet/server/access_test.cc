#include "kubelet/server/access.h"

#include <gtest/gtest.h>

using namespace redoubt::kubelet;

TEST(KubeletAccess, AsksForTheFineGrainedSubresourceFirst) {
  struct Case {
    const char *method, *what, *verb;
    std::vector<std::string> subresources;
  };
  for (const Case& c : std::vector<Case>{{"GET", "pods", "get", {"pods", "proxy"}},
                                         {"GET", "runningpods", "get", {"pods", "proxy"}},
                                         {"GET", "healthz", "get", {"healthz", "proxy"}},
                                         {"GET", "configz", "get", {"configz", "proxy"}},
                                         {"GET", "stats", "get", {"stats"}},
                                         {"GET", "metrics", "get", {"metrics"}},
                                         {"GET", "logs", "get", {"log"}},
                                         {"POST", "checkpoint", "create", {"checkpoint"}},
                                         {"GET", "containerLogs", "get", {"proxy"}},
                                         {"DELETE", "anything", "delete", {"proxy"}},
                                         {"GET", "", "get", {"proxy"}}}) {
    Guard guard = guarded_by(c.method, c.what);
    EXPECT_EQ(guard.verb, c.verb) << c.what;
    EXPECT_EQ(guard.subresources, c.subresources) << c.what;
  }
}

// A WebSocket's exec is a GET: it must not be had for the right to read.
TEST(KubeletAccess, AsksForCreateWhateverTheMethodOfACommand) {
  for (const char* what : {"exec", "attach", "portForward", "run"}) {
    for (const char* method : {"GET", "POST", "HEAD", "PUT"}) {
      Guard guard = guarded_by(method, what);
      EXPECT_EQ(guard.verb, "create") << method << " " << what;
      EXPECT_EQ(guard.subresources, std::vector<std::string>{"proxy"});
    }
  }
}
