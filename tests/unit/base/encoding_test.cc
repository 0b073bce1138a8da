#include "base/encoding.h"

#include <gtest/gtest.h>

#include "base/json_text.h"
#include "base/random.h"

using namespace redoubt;

TEST(Base64, RoundTripsEveryLength) {
  std::string bytes;
  for (int i = 0; i < 70; ++i) {
    EXPECT_EQ(base64_decode(base64_encode(bytes)), bytes);
    EXPECT_EQ(base64url_decode(base64url_encode(bytes)), bytes);
    EXPECT_EQ(hex_decode(hex_encode(bytes)), bytes);
    bytes += static_cast<char>(i * 37);
  }
}

TEST(Base64, TakesLineBreaksAndNothingElse) {
  EXPECT_EQ(base64_decode("aGVs\nbG8=\n"), "hello");
  for (const char* text : {"a", "aGVsbG8", "aGVs bG8=", "aGVsbG9=", "====", "aGVsbG8=="})
    EXPECT_FALSE(base64_decode(text)) << text;
  EXPECT_FALSE(base64url_decode("aGVsbG8="));
  EXPECT_FALSE(base64url_decode("a+b/"));
}

TEST(JsonText, EscapesWhatMustBeAndKeepsTheRest) {
  std::string out;
  append_json_string(out, "a\"b\\c\n\x01 <&> \xC3\xA9");
  EXPECT_EQ(out, "\"a\\\"b\\\\c\\n\\u0001 <&> \xC3\xA9\"");
}

TEST(JsonText, ReplacesInvalidUtf8) {
  std::string out;
  append_json_string(out, std::string("x\xFFy\xC0\x80z\xED\xA0\x80", 9));
  EXPECT_EQ(out.find('\xFF'), std::string::npos);
  EXPECT_EQ(out.find('\xC0'), std::string::npos);
  EXPECT_NE(out.find("x\xEF\xBF\xBDy"), std::string::npos);
}

TEST(Random, SuffixHasTheSafeAlphabetOnly) {
  std::string suffix = random_suffix(200);
  EXPECT_EQ(suffix.find_first_not_of("bcdfghjklmnpqrstvwxz2456789"), std::string::npos);
  EXPECT_EQ(random_uuid().size(), 36u);
  EXPECT_EQ(random_uuid()[14], '4');
  EXPECT_NE(random_uuid(), random_uuid());
}
