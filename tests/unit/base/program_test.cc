#include "base/program.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

using namespace redoubt;

namespace {

TEST(Program, InheritsNoFile) {
  int unmarked = ::open("/dev/zero", O_RDONLY);
  ASSERT_GE(unmarked, 0);
  auto seen = run_program({"sh", "-c", "ls -l /proc/$$/fd"}, "");
  ::close(unmarked);
  ASSERT_TRUE(seen) << seen.error().message();
  EXPECT_EQ(seen->find("/dev/zero"), std::string::npos) << *seen;
}

TEST(Program, SaysWhatAFailingOneSaid) {
  auto failed = run_program({"sh", "-c", "echo no >&2; exit 3"}, "");
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().message().find("no"), std::string::npos);
}

}  // namespace
