// Quantities, against what upstream's own parser says of the same texts.
#include <gtest/gtest.h>

#include "schema/scalars.h"

using namespace redoubt::schema;

namespace {

struct Case {
  std::string_view text;
  std::string_view canonical;
  int64_t value;
  int64_t milli;
};

constexpr Case kCases[] = {
    {"0", "0", 0, 0},
    {"0Ki", "0", 0, 0},
    {"1", "1", 1, 1000},
    {"-1", "-1", -1, -1000},
    {"100m", "100m", 1, 100},
    {"1500m", "1500m", 2, 1500},
    {"1000m", "1", 1, 1000},
    {"0.5", "500m", 1, 500},
    {"0.1", "100m", 1, 100},
    {".5", "500m", 1, 500},
    {"1.5", "1500m", 2, 1500},
    {"12.25", "12250m", 13, 12250},
    {"0.001", "1m", 1, 1},
    {"0.0001", "100u", 1, 1},
    {"0.0000001", "100n", 1, 1},
    {"1n", "1n", 1, 1},
    {"100n", "100n", 1, 1},
    {"0.1n", "1n", 1, 1},
    {"1u", "1u", 1, 1},
    {"1000u", "1m", 1, 1},
    {"1k", "1k", 1000, 1000000},
    {"1.5k", "1500", 1500, 1500000},
    {"1000k", "1M", 1000000, 1000000000},
    {"1M", "1M", 1000000, 1000000000},
    {"2.5G", "2500M", 2500000000, 2500000000000},
    {"1T", "1T", 1000000000000, 1000000000000000},
    {"1P", "1P", 1000000000000000, 1000000000000000000},
    {"1e3", "1e3", 1000, 1000000},
    {"5e-3", "5e-3", 1, 5},
    {"12e6", "12e6", 12000000, 12000000000},
    {"1.5e3", "1500", 1500, 1500000},
    {"15e2", "1500", 1500, 1500000},
    {"1Ki", "1Ki", 1024, 1024000},
    {"0.5Ki", "512", 512, 512000},
    {"1024Ki", "1Mi", 1048576, 1048576000},
    {"1536Mi", "1536Mi", 1610612736, 1610612736000},
    {"1.5Gi", "1536Mi", 1610612736, 1610612736000},
    {"1Ti", "1Ti", 1099511627776, 1099511627776000},
    {"2Pi", "2Pi", 2251799813685248, 2251799813685248000},
    {"1023", "1023", 1023, 1023000},
    {"1024", "1024", 1024, 1024000},
    {"1023Ki", "1023Ki", 1047552, 1047552000},
    {"1048576", "1048576", 1048576, 1048576000},
    {"1000Ki", "1000Ki", 1024000, 1024000000},
    {"0.25Gi", "256Mi", 268435456, 268435456000},
    {"1.1Ki", "1126400m", 1127, 1126400},
    {"-5Ki", "-5Ki", -5120, -5120000},
    {"-1500m", "-1500m", -2, -1500},
    {"-0.5", "-500m", -1, -500},
    {"123456789", "123456789", 123456789, 123456789000},
    {"100000", "100k", 100000, 100000000},
    {"1234m", "1234m", 2, 1234},
    {"999m", "999m", 1, 999},
    {"1001m", "1001m", 2, 1001},
};

Quantity q(std::string_view text) {
  auto parsed = Quantity::parse(text);
  EXPECT_TRUE(parsed) << text;
  return parsed.value_or(Quantity());
}

}  // namespace

TEST(Quantity, SaysWhatUpstreamSays) {
  for (const Case& c : kCases) {
    Quantity quantity = q(c.text);
    EXPECT_EQ(quantity.to_string(), c.canonical) << c.text;
    EXPECT_EQ(quantity.value(), c.value) << c.text;
    EXPECT_EQ(quantity.milli_value(), c.milli) << c.text;
    EXPECT_EQ(q(quantity.to_string()), quantity) << c.text;
    EXPECT_EQ(q(quantity.to_string()).to_string(), c.canonical) << c.text;
  }
}

TEST(Quantity, RefusesWhatIsNone) {
  for (std::string_view text : {"",     "x",    "1x",   "1.2.3", "Ki", "1 ", " 1", "1e",  "--1", "+-1",
                                "1KiB", "1 Gi", "0x10", "1_000", "e3", ".",  "-",  "1ki", "1GI", "1mm"}) {
    EXPECT_FALSE(Quantity::parse(text)) << text;
  }
  EXPECT_FALSE(Quantity::parse(std::string(1000, '9')));
}

TEST(Quantity, SaturatesInsteadOfOverflowing) {
  EXPECT_EQ(q("12E").value(), INT64_MAX);
  EXPECT_EQ(q("-12E").milli_value(), INT64_MIN);
  EXPECT_EQ(q("1e60").value(), INT64_MAX);
  EXPECT_EQ((q("9E") + q("9E")).value(), INT64_MAX);
  EXPECT_GT(q("9E"), q("8E"));
}

TEST(Quantity, AddsSubtractsAndCompares) {
  EXPECT_EQ((q("1Gi") - q("1Mi")).to_string(), "1023Mi");
  EXPECT_EQ((q("1500m") + q("500m")).to_string(), "2");
  EXPECT_EQ((q("100m") - q("250m")).to_string(), "-150m");
  EXPECT_EQ((Quantity() + q("1Gi")).to_string(), "1Gi");
  EXPECT_EQ((Quantity::of_milli(1) + Quantity::of(2)).to_string(), "2001m");
  EXPECT_EQ(Quantity::of_bytes(3 << 20).to_string(), "3Mi");
  EXPECT_EQ(q("1"), q("1000m"));
  EXPECT_LT(q("1G"), q("1Gi"));
  EXPECT_TRUE(Quantity().empty());
  EXPECT_FALSE(q("0").empty());
  EXPECT_TRUE(q("0").is_zero());
  EXPECT_EQ(q("1.1m").milli_value(), 2) << "rounded up";
  EXPECT_DOUBLE_EQ(q("1500m").as_double(), 1.5);
}
