#include "apiserver/encryption/encryption.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "apiserver/encryption/ciphers.h"
#include "apiserver/encryption/default_config.h"
#include "base/encoding.h"
#include "net/loop.h"
#include "store/sqlite/sqlite_store.h"

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

Result<std::unique_ptr<store::Store>> open_store(const Folder& folder, const Encryption* encryption) {
  store::SqliteOptions options;
  options.path = folder.path / "db";
  options.transformer = encryption;
  options.index = [](store::Object& object, std::string_view) -> Result<void> {
    object.name = object.key;
    object.resource_version_offset = static_cast<uint32_t>(object.json.view().find("\"resourceVersion\""));
    return {};
  };
  return store::open_sqlite_store(std::move(options));
}

std::expected<store::Committed, store::CommitError> put(store::Store& store, std::string key, std::string value,
                                                        store::Revision expected = 0) {
  store::Write write;
  write.resource = "secrets";
  write.key = std::move(key);
  write.precondition = expected == 0 ? store::Write::Precondition::MustNotExist : store::Write::Precondition::MustMatch;
  write.expected = expected;
  write.object = std::make_shared<store::Object>();
  write.object->key = write.key;
  write.object->json = Bytes::copy(R"({"metadata":{"value":")" + value + R"("}})");
  write.object->resource_version_offset = 13;
  std::optional<std::expected<store::Committed, store::CommitError>> out;
  net::run_until_done([&]() -> Task<void> { out.emplace(co_await store.commit(std::move(write))); });
  return std::move(*out);
}

// All files of the database, as they are.
std::string raw_bytes(const Folder& folder) {
  std::string out;
  for (const auto& entry : fs::directory_iterator(folder.path)) {
    if (!entry.path().filename().string().starts_with("db")) continue;
    std::ifstream in(entry.path(), std::ios::binary);
    std::stringstream text;
    text << in.rdbuf();
    out += text.str();
  }
  return out;
}

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

TEST(EncryptedStore, KeepsNoPlainTextOnDiskAndReadsItBack) {
  Folder folder;
  write_config(folder.path / "c", "{secretbox: {keys: [" + key_of("a", 1) + "]}}, {identity: {}}");
  auto encryption = load(folder.path / "c");
  {
    auto store = open_store(folder, encryption.get());
    ASSERT_TRUE(store) << store.error().message();
    auto made = put(**store, "/registry/secrets/default/s", "open-sesame");
    ASSERT_TRUE(made);
    ASSERT_TRUE(put(**store, "/registry/secrets/default/s", "open-sesame-again", made->revision));
    EXPECT_EQ(raw_bytes(folder).find("open-sesame"), std::string::npos);
    EXPECT_NE(raw_bytes(folder).find("k8s:enc:secretbox:v1:a:"), std::string::npos);
  }
  auto store = open_store(folder, encryption.get());
  ASSERT_TRUE(store) << store.error().message();
  auto object = (*store)->snapshot("secrets")->find("/registry/secrets/default/s");
  ASSERT_TRUE(object);
  EXPECT_NE(object->json.view().find("open-sesame-again"), std::string::npos);
  EXPECT_FALSE((*store)->stale("secrets", *object));
  EXPECT_EQ(raw_bytes(folder).find("open-sesame"), std::string::npos);
}

TEST(EncryptedStore, RotatesBySayingWhatIsStale) {
  Folder folder;
  {
    auto store = open_store(folder, nullptr);
    ASSERT_TRUE(put(**store, "/registry/secrets/default/s", "one"));
  }
  write_config(folder.path / "c", "{secretbox: {keys: [" + key_of("a", 1) + "]}}, {identity: {}}");
  store::Revision revision = 0;
  {
    auto encryption = load(folder.path / "c");
    auto store = open_store(folder, encryption.get());
    ASSERT_TRUE(store) << store.error().message();
    auto object = (*store)->snapshot("secrets")->find("/registry/secrets/default/s");
    EXPECT_TRUE((*store)->stale("secrets", *object)) << "it was plain";
    auto again = put(**store, "/registry/secrets/default/s", "one", object->revision);
    ASSERT_TRUE(again);
    EXPECT_FALSE((*store)->stale("secrets", *again->object));
    revision = again->revision;
  }
  // The next key; then the old one goes although history still has values of it.
  write_config(folder.path / "c",
               "{secretbox: {keys: [" + key_of("b", 2) + ", " + key_of("a", 1) + "]}}, {identity: {}}");
  {
    auto encryption = load(folder.path / "c");
    auto store = open_store(folder, encryption.get());
    auto object = (*store)->snapshot("secrets")->find("/registry/secrets/default/s");
    EXPECT_TRUE((*store)->stale("secrets", *object));
    ASSERT_TRUE(put(**store, "/registry/secrets/default/s", "one", revision));
  }
  write_config(folder.path / "c", "{secretbox: {keys: [" + key_of("b", 2) + "]}}");
  auto encryption = load(folder.path / "c");
  auto store = open_store(folder, encryption.get());
  ASSERT_TRUE(store) << store.error().message();
  auto object = (*store)->snapshot("secrets")->find("/registry/secrets/default/s");
  ASSERT_TRUE(object);
  EXPECT_NE(object->json.view().find("one"), std::string::npos);
  EXPECT_FALSE((*store)->watch("secrets", revision)) << "history that can't be read is gone: 410";
  EXPECT_TRUE((*store)->watch("secrets", object->revision));
}

TEST(EncryptedStore, DoesNotStartOverValuesWhoseKeyIsMissing) {
  Folder folder;
  write_config(folder.path / "c", "{secretbox: {keys: [" + key_of("a", 1) + "]}}");
  {
    auto encryption = load(folder.path / "c");
    auto store = open_store(folder, encryption.get());
    ASSERT_TRUE(put(**store, "/registry/secrets/default/s", "one"));
  }
  write_config(folder.path / "c", "{secretbox: {keys: [" + key_of("other", 2) + "]}}");
  auto encryption = load(folder.path / "c");
  auto store = open_store(folder, encryption.get());
  ASSERT_FALSE(store);
  EXPECT_NE(store.error().message().find("/registry/secrets/default/s"), std::string::npos) << store.error().message();
  EXPECT_NE(store.error().message().find("k8s:enc:secretbox:v1:a"), std::string::npos);
}
