#include "podnetwork/keys.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace redoubt::podnetwork {
namespace {

using namespace std::chrono_literals;

class Keys : public testing::Test {
 protected:
  Keys() { std::filesystem::create_directories(folder_); }
  ~Keys() override { std::filesystem::remove_all(folder_); }
  std::string folder_ = testing::TempDir() + "podnetwork-keys";
  std::string file_ = folder_ + "/wireguard.key";
};

TEST_F(Keys, ThePublicHalfIsTheOneThatOthersCompute) {
  // By `openssl pkey -pubout`.
  EXPECT_EQ(public_key_of("dwdtCnMYpX08FsFyUbJmRd9ML5LrwJkqwXf7pR25LCo=").value_or(""),
            "+KlTWi0v9gXo4UTVT071xiMTogVduyH93T/ZwpnrAV0=");
  EXPECT_FALSE(public_key_of("short"));
}

TEST_F(Keys, AreKeptForThisMachineOnlyAndMadeAnewAfterTheirTime) {
  auto first = load_key(file_, 3600s);
  ASSERT_TRUE(first);
  struct stat info{};
  ASSERT_EQ(::stat(file_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
  EXPECT_EQ(load_key(file_, 3600s)->public_key, first->public_key);
  std::filesystem::last_write_time(file_, std::filesystem::file_time_type::clock::now() - 2h);
  EXPECT_NE(load_key(file_, 3600s)->public_key, first->public_key);
}

TEST_F(Keys, ADamagedFileIsReplaced) {
  std::ofstream(file_) << "nonsense\n";
  auto key = load_key(file_, 0s);
  ASSERT_TRUE(key);
  EXPECT_TRUE(is_key(key->public_key));
}

TEST_F(Keys, WhatIsNoKeyIsTold) {
  EXPECT_TRUE(is_key("hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo="));
  EXPECT_FALSE(is_key("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="));
  EXPECT_FALSE(is_key("hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=\nEndpoint = 192.0.2.1:1"));
  EXPECT_FALSE(is_key(""));
}

}  // namespace
}  // namespace redoubt::podnetwork
