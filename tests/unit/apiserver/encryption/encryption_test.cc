#include "apiserver/encryption/encryption.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "apiserver/encryption/ciphers.h"
#include "apiserver/encryption/default_config.h"
#include "base/encoding.h"

using namespace redoubt;
using namespace redoubt::apiserver::encryption;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

struct Folder {
  fs::path path = fs::temp_directory_path() / fmt::format("encryption-test-{}-{}", ::getpid(), counter++);
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
  static inline int counter = 0;
};

std::string key_of(const char* name, char byte) {
  return fmt::format("{{name: {}, secret: {}}}", name, base64_encode(std::string(32, byte)));
}

void write_config(const fs::path& path, const std::string& providers, const std::string& resources = "[secrets]") {
  std::ofstream(path)
      << "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n- resources: " << resources
      << "\n  providers: [" << providers << "]\n";
}

std::unique_ptr<Encryption> load(const fs::path& path, bool reload = false) {
  auto loaded = Encryption::load(path, reload, 100ms);
  EXPECT_TRUE(loaded) << loaded.error().message();
  return loaded ? std::move(*loaded) : nullptr;
}

constexpr std::string_view kPath = "/registry/secrets/default/s";
constexpr std::string_view kPlain = R"({"metadata":{"name":"s","x":"sesame"}})";

template <class Condition>
bool eventually(Condition condition) {
  for (int i = 0; i < 1000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(20ms);
  }
  return false;
}

}  // namespace

TEST(Encryption, WritesWithTheFirstProviderAndReadsWithAll) {
  Folder folder;
  write_config(folder.path / "c", "{aesgcm: {keys: [" + key_of("a", 1) + "]}}");
  auto old = load(folder.path / "c");
  auto sealed = old->seal("secrets", kPath, kPlain);
  ASSERT_TRUE(sealed && *sealed);
  EXPECT_TRUE((*sealed)->bytes.starts_with("k8s:enc:aesgcm:v1:a:"));
  EXPECT_EQ((*sealed)->bytes.find("sesame"), std::string::npos);
  write_config(folder.path / "c", "{secretbox: {keys: [" + key_of("b", 2) + "]}}, {aesgcm: {keys: [" + key_of("a", 1) +
                                      "]}}, {identity: {}}");
  auto fresh = load(folder.path / "c");
  auto opened = fresh->open("secrets", kPath, (*sealed)->bytes);
  ASSERT_TRUE(opened && *opened) << opened.error().message();
  EXPECT_EQ((*opened)->bytes, kPlain);
  EXPECT_NE((*opened)->seal, fresh->current_seal("secrets")) << "what another key wrote is stale";
  EXPECT_EQ((*opened)->seal, old->current_seal("secrets"));
  auto plain = fresh->open("secrets", kPath, kPlain);
  ASSERT_TRUE(plain);
  EXPECT_FALSE(*plain) << "identity: as it is";
  EXPECT_NE(fresh->current_seal("secrets"), 0U);
}

TEST(Encryption, LeavesOtherResourcesAlone) {
  Folder folder;
  write_config(folder.path / "c", "{aesgcm: {keys: [" + key_of("a", 1) + "]}}");
  auto encryption = load(folder.path / "c");
  EXPECT_FALSE(*encryption->seal("configmaps", "/registry/configmaps/default/c", kPlain));
  EXPECT_EQ(encryption->current_seal("configmaps"), 0U);
}

TEST(Encryption, FindsResourcesByNameGroupAndWildcard) {
  Folder folder;
  struct Case {
    const char* resources;
    const char* prefix;
    bool covered;
  };
  const Case cases[] = {{"[deployments.apps]", "deployments", true},
                        {"['*.apps']", "deployments", true},
                        {"['*.apps']", "pods", false},
                        {"['*.']", "pods", true},
                        {"['*.']", "services/specs", true},
                        {"['*.']", "deployments", false},
                        {"['*.*']", "deployments", true},
                        {"[widgets.example.com]", "example.com/widgets", true},
                        {"['*.*']", "example.com/widgets", true},
                        {"[services]", "services/specs", true}};
  for (const Case& c : cases) {
    write_config(folder.path / "c", "{aesgcm: {keys: [" + key_of("a", 1) + "]}}", c.resources);
    auto encryption = load(folder.path / "c");
    EXPECT_EQ(encryption->current_seal(c.prefix) != 0, c.covered) << c.resources << " " << c.prefix;
  }
}

TEST(Encryption, AnEarlierEntryExemptsAResourceFromALaterWildcard) {
  Folder folder;
  std::ofstream(folder.path / "c")
      << "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n"
         "- resources: [events]\n  providers: [{identity: {}}]\n"
         "- resources: ['*.*']\n  providers: [{aesgcm: {keys: [" +
             key_of("a", 1) + "]}}]\n";
  auto encryption = load(folder.path / "c");
  EXPECT_EQ(encryption->current_seal("events"), 0U);
  EXPECT_NE(encryption->current_seal("secrets"), 0U);
}

TEST(Encryption, SaysWhatItCannotReadAndWhy) {
  Folder folder;
  write_config(folder.path / "c", "{aesgcm: {keys: [" + key_of("a", 1) + "]}}");
  auto encryption = load(folder.path / "c");
  std::string sealed = (*encryption->seal("secrets", kPath, kPlain))->bytes;
  auto complaint = [&](std::string_view key, std::string_view stored) {
    auto opened = encryption->open("secrets", key, stored);
    return opened ? std::string("read") : opened.error().message();
  };
  std::string changed = sealed;
  changed.back() ^= 1;
  EXPECT_NE(complaint(kPath, changed).find("decrypting /registry/secrets/default/s: k8s:enc:aesgcm:v1:a:"),
            std::string::npos)
      << complaint(kPath, changed);
  EXPECT_NE(complaint("/registry/secrets/default/t", sealed).find("authentication failed"), std::string::npos)
      << "bound to its place";
  EXPECT_NE(
      complaint(kPath, "k8s:enc:aesgcm:v1:b:xxxx").find("no key of the configuration matches k8s:enc:aesgcm:v1:b"),
      std::string::npos);
  EXPECT_NE(complaint(kPath, "k8s:enc:secretbox:v1:b:xxxx").find("no matching prefix found"), std::string::npos);
  EXPECT_NE(complaint(kPath, kPlain).find("add `identity: {}`"), std::string::npos);
  EXPECT_NE(complaint(kPath, "k8s:enc:").find("no matching prefix found"), std::string::npos);
  EXPECT_EQ(complaint(kPath, sealed), "read");
}

TEST(Encryption, KeysOfOneNameAreTriedInTurnAndToldApart) {
  Folder folder;
  write_config(folder.path / "c", "{secretbox: {keys: [" + key_of("k", 1) + "]}}");
  auto old = load(folder.path / "c");
  std::string sealed = (*old->seal("secrets", kPath, kPlain))->bytes;
  write_config(folder.path / "c",
               "{secretbox: {keys: [" + key_of("k", 2) + "]}}, {secretbox: {keys: [" + key_of("k", 1) + "]}}");
  auto fresh = load(folder.path / "c");
  auto opened = fresh->open("secrets", kPath, sealed);
  ASSERT_TRUE(opened) << opened.error().message();
  EXPECT_EQ((*opened)->bytes, kPlain);
  EXPECT_NE((*opened)->seal, fresh->current_seal("secrets"));
}

TEST(Encryption, TakesAChangedFileWithoutARestartAndIgnoresAWrongOne) {
  Folder folder;
  write_config(folder.path / "c", "{secretbox: {keys: [" + key_of("a", 1) + "]}}");
  auto encryption = load(folder.path / "c", true);
  auto before = encryption->current_seal("secrets");
  std::ofstream(folder.path / "c") << "nonsense";
  std::this_thread::sleep_for(500ms);
  EXPECT_EQ(encryption->current_seal("secrets"), before);
  write_config(folder.path / "c", "{secretbox: {keys: [" + key_of("b", 2) + ", " + key_of("a", 1) + "]}}");
  EXPECT_TRUE(eventually([&] { return encryption->current_seal("secrets") != before; }));
  EXPECT_TRUE(encryption->checks_health());
  EXPECT_TRUE(encryption->healthy());
}

TEST(Encryption, TheDefaultIsAKeyOfOnesOwnThatUpstreamCouldReadToo) {
  Folder folder;
  auto path = ensure_default_config(folder.path / "pki" / "encryption");
  ASSERT_TRUE(path) << path.error().message();
  struct stat info{};
  ::stat(path->c_str(), &info);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  auto encryption = load(*path);
  auto sealed = encryption->seal("secrets", kPath, kPlain);
  EXPECT_TRUE((*sealed)->bytes.starts_with("k8s:enc:secretbox:v1:key-"));
  EXPECT_TRUE(encryption->open("secrets", kPath, kPlain)) << "what was there before it is read";
  EXPECT_EQ(*ensure_default_config(folder.path / "pki" / "encryption"), *path);
  EXPECT_EQ(load(*path)->current_seal("secrets"), encryption->current_seal("secrets")) << "made once";
}
