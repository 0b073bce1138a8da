#include "apiserver/encryption/ciphers.h"

#include <gtest/gtest.h>

#include "apiserver/encryption/kms_envelope.h"
#include "base/encoding.h"

using namespace redoubt;
using namespace redoubt::apiserver::encryption;

namespace {

const std::string kKey(32, '\x07');
constexpr std::string_view kPath = "/registry/secrets/default/s";
constexpr std::string_view kPlain = R"({"kind":"Secret"})";

// What kube-apiserver 1.35's own transformers wrote with that key, for that path.
const std::string kGcm = *base64_decode("+/fwqmXAZBrnkJ4ocq1PVNMSkZsGJF6A5NMdiFtd84/Ly4LI6d5FO9G08haB");
const std::string kCbc = *base64_decode("sRqnwjM5cRyp8Jad/vfO3niTY6YZJeNYUZSoUZrCoAfbTTl0BKqDy4zZuzOFK1Ah");
const std::string kBox = *base64_decode("P/p1txed0HAKvQ8b0LilTXjF2HK9cTVXx3OId1QVds+cbqlPILpfBpK0NsvEKFK89wH6qRnAqyX2");
const std::string kDerived = *base64_decode(
    "CBxi9q9ZjCYeKirfP4vFtfmLySrdeH4klb7+BE7dmGQqxWUr8PiQFqoQqwpDHPXhbkm39qDvu8MpP0/DLWJ39JJ+sE0K1aHTJ1jNUIU=");
const std::string kEnvelope = *base64_decode(
    "Ck0IHGL2r1mMJh4qKt8/i8W1+YvJKt14fiSVvv4ETt2YZCrFZSvw+JAWqhCrCkMc9eFuSbf2oO+7wyk/"
    "T8MtYnf0kn6wTQrVodMnWM1QhRIBMRoJZW5jcnlwdGVkIhIKDWEuZXhhbXBsZS5jb20SAWIoAQ==");

}  // namespace

TEST(Ciphers, ReadWhatUpstreamWrote) {
  EXPECT_EQ(aes_gcm_open(kKey, kGcm, kPath), kPlain);
  EXPECT_EQ(aes_cbc_open(kKey, kCbc), kPlain);
  EXPECT_EQ(secretbox_open(kKey, kBox), kPlain);
  EXPECT_EQ(derived_gcm_open(kKey, kDerived, kPath), kPlain);
  auto object = parse_encrypted_object(kEnvelope);
  ASSERT_TRUE(object) << object.error().message();
  EXPECT_EQ(object->key_id, "1");
  EXPECT_EQ(object->encrypted_dek, "encrypted");
  EXPECT_EQ(object->source, DekSource::HkdfSeed);
  EXPECT_EQ(object->annotations.at("a.example.com"), "b");
  EXPECT_EQ(derived_gcm_open(kKey, object->data, kPath), kPlain);
  EXPECT_EQ(to_bytes(*object), kEnvelope);
}

TEST(Ciphers, ReadWhatTheyWriteForEveryKeySizeAndLength) {
  for (size_t length : {0UZ, 1UZ, 15UZ, 16UZ, 17UZ, 1'000'000UZ}) {
    std::string plain(length, 'p');
    for (size_t size : {16UZ, 24UZ, 32UZ}) {
      std::string key(size, 'k');
      EXPECT_EQ(aes_gcm_open(key, *aes_gcm_seal(key, plain, "a"), "a"), plain);
      EXPECT_EQ(aes_cbc_open(key, *aes_cbc_seal(key, plain)), plain);
    }
    EXPECT_EQ(secretbox_open(kKey, *secretbox_seal(kKey, plain)), plain);
    EXPECT_EQ(derived_gcm_open(kKey, *derived_gcm_seal(kKey, plain, "a"), "a"), plain);
  }
}

TEST(Ciphers, NeverWriteTheSameTwice) {
  EXPECT_NE(*aes_gcm_seal(kKey, kPlain, ""), *aes_gcm_seal(kKey, kPlain, ""));
  EXPECT_NE(*aes_cbc_seal(kKey, kPlain), *aes_cbc_seal(kKey, kPlain));
  EXPECT_NE(*secretbox_seal(kKey, kPlain), *secretbox_seal(kKey, kPlain));
}

TEST(Ciphers, RefuseEverySingleChangedByteWhereTheyAuthenticate) {
  for (size_t i = 0; i < kGcm.size(); ++i) {
    std::string changed = kGcm;
    changed[i] ^= 1;
    EXPECT_FALSE(aes_gcm_open(kKey, changed, kPath)) << i;
  }
  for (size_t i = 0; i < kBox.size(); ++i) {
    std::string changed = kBox;
    changed[i] ^= 1;
    EXPECT_FALSE(secretbox_open(kKey, changed)) << i;
  }
  for (size_t i = 0; i < kDerived.size(); ++i) {
    std::string changed = kDerived;
    changed[i] ^= 1;
    EXPECT_FALSE(derived_gcm_open(kKey, changed, kPath)) << i;
  }
}

TEST(Ciphers, RefuseAnotherKeyAnotherPlaceAndAnythingCutShort) {
  std::string other(32, '\x08');
  EXPECT_FALSE(aes_gcm_open(other, kGcm, kPath));
  EXPECT_FALSE(secretbox_open(other, kBox));
  EXPECT_FALSE(derived_gcm_open(other, kDerived, kPath));
  EXPECT_FALSE(aes_gcm_open(kKey, kGcm, "/registry/secrets/default/t"));
  EXPECT_FALSE(derived_gcm_open(kKey, kDerived, "/registry/secrets/default/t"));
  for (size_t n = 0; n < kGcm.size(); ++n) EXPECT_FALSE(aes_gcm_open(kKey, kGcm.substr(0, n), kPath)) << n;
  for (size_t n = 0; n < kBox.size(); ++n) EXPECT_FALSE(secretbox_open(kKey, kBox.substr(0, n))) << n;
  for (size_t n = 0; n < kCbc.size(); ++n) {
    auto opened = aes_cbc_open(kKey, kCbc.substr(0, n));
    EXPECT_TRUE(!opened || *opened != kPlain) << n;
  }
  EXPECT_FALSE(aes_gcm_open("short", kGcm, kPath));
  EXPECT_FALSE(secretbox_open("short", kBox));
}

TEST(KmsEnvelope, HoldsUpstreamsLimits) {
  EncryptedObject good;
  good.data = "d";
  good.key_id = "k";
  good.encrypted_dek = "e";
  good.annotations = {{"a.b", "c"}};
  EXPECT_TRUE(parse_encrypted_object(to_bytes(good)));
  auto refused = [&](auto change) {
    EncryptedObject bad = good;
    change(bad);
    return !parse_encrypted_object(to_bytes(bad));
  };
  EXPECT_TRUE(refused([](auto& o) { o.data.clear(); }));
  EXPECT_TRUE(refused([](auto& o) { o.key_id.clear(); }));
  EXPECT_TRUE(refused([](auto& o) { o.key_id.assign(1025, 'k'); }));
  EXPECT_TRUE(refused([](auto& o) { o.encrypted_dek.assign(1025, 'e'); }));
  EXPECT_TRUE(refused([](auto& o) { o.annotations["nodot"] = ""; }));
  EXPECT_TRUE(refused([](auto& o) { o.annotations["a.b"].assign(33 * 1024, 'x'); }));
  EXPECT_FALSE(parse_encrypted_object("\x0a\xff"));
  EXPECT_FALSE(parse_encrypted_object(to_bytes(good) + "\x28\x02")) << "an unknown type of source";
}
