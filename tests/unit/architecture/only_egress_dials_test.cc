// Nothing in the server but egress (and the client of the secure port) opens a connection: shown on the object code, so
// that no way of writing it gets past.
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <memory>

namespace redoubt {
namespace {

// What the library's objects ask for that opens a connection: libc's connect, or net's calls of it. Objects named in
// `except` are left out.
std::string imports(const std::string& library, const std::string& except = "") {
  std::string command = "nm -A -C --undefined-only " + library +
                        " 2>&1 | grep -E ' U (connect(@.*)?|redoubt::net::(tcp|unix)_connect\\(.*)$'";
  if (!except.empty()) command += " | grep -v '" + except + "'";
  std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  std::string out;
  std::array<char, 512> line{};
  while (pipe && fgets(line.data(), line.size(), pipe.get()) != nullptr) out += line.data();
  return out;
}

TEST(OnlyEgressDials, TheServersLibrariesOpenNoConnection) {
  std::string all = NO_DIALLING_LIBRARIES;
  size_t libraries = 0;
  for (size_t at = 0; at < all.size();) {
    size_t end = std::min(all.find(',', at), all.size());
    std::string library = all.substr(at, end - at);
    at = end + 1;
    ++libraries;
    // https_caller.cc takes the dialer it is given; what it does without one is for its tests.
    EXPECT_EQ(imports(library, "https_caller.cc.o"), "")
        << library << " opens connections by itself; ask an egress::Dialer instead";
  }
  EXPECT_GT(libraries, 9U);
}

TEST(OnlyEgressDials, TheCheckSeesTheOneThatDoes) {
  EXPECT_NE(imports(DIALLING_LIBRARY), "");
}

}  // namespace
}  // namespace redoubt
