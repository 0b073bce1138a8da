#include "kubelet/server/log_reader.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "net/loop.h"

using namespace redoubt;
using namespace redoubt::kubelet;
using namespace std::chrono_literals;

namespace {

struct Folder {
  Folder() {
    char name[] = "/tmp/redoubt-log-XXXXXX";
    path = ::mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::string path;
};

void append(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::app) << text;
}

std::string read(const std::string& path, LogOptions options, std::function<bool()> running = [] { return false; }) {
  std::string out;
  net::run_until_done([&]() -> Task<void> {
    auto done = co_await read_log(path, options, running, [&](std::string text) -> Task<Result<void>> {
      out += text;
      co_return Result<void>{};
    });
    EXPECT_TRUE(done.has_value());
  });
  return out;
}

const std::string kLog =
    "2026-01-02T03:04:01.000000000Z stdout F one\n"
    "2026-01-02T03:04:02.000000000Z stderr F two\n"
    "2026-01-02T03:04:03.000000000Z stdout P thr\n"
    "2026-01-02T03:04:03.000000001Z stdout F ee\n"
    "no line of a log\n"
    "2026-01-02T03:04:04.000000000Z stderr F four\n";

}  // namespace

TEST(LogReader, GivesWhatTheOptionsAskFor) {
  Folder folder;
  std::string path = folder.path + "/0.log";
  append(path, kLog);
  using Stream = LogOptions::Stream;
  EXPECT_EQ(read(path, {}), "one\ntwo\nthree\nfour\n");
  EXPECT_EQ(read(path, {.stream = Stream::Stdout}), "one\nthree\n");
  EXPECT_EQ(read(path, {.stream = Stream::Stderr}), "two\nfour\n");
  EXPECT_EQ(read(path, {.tail_lines = 1}), "four\n");
  EXPECT_EQ(read(path, {.tail_lines = 0}), "");
  EXPECT_EQ(read(path, {.tail_lines = 100}), "one\ntwo\nthree\nfour\n");
  EXPECT_EQ(read(path, {.limit_bytes = 6}), "one\ntw");
  EXPECT_EQ(read(path, {.since = parse_rfc3339("2026-01-02T03:04:04Z")}), "four\n");
  EXPECT_EQ(read(path, {.timestamps = true, .tail_lines = 1}), "2026-01-02T03:04:04.000000000Z four\n");
}

TEST(LogReader, FollowsAcrossARotationWithoutLosingALine) {
  Folder folder;
  std::string path = folder.path + "/0.log";
  append(path, "2026-01-02T03:04:01.0Z stdout F first\n");
  int step = 0;
  // Called before each read: what happens to the file between reads.
  auto running = [&] {
    ++step;
    if (step == 3) {
      std::filesystem::rename(path, path + ".1");
      append(path, "2026-01-02T03:04:03.0Z stdout F new\n");
      append(path + ".1", "2026-01-02T03:04:02.0Z stdout F late\n");
    }
    if (step == 7) append(path, "2026-01-02T03:04:04.0Z stdout F last\n");
    return step < 9;
  };
  EXPECT_EQ(read(path, {.follow = true}, running), "first\nlate\nnew\nlast\n");
}

TEST(LogReader, BeginsAnewWhenTheFileWasCutOff) {
  Folder folder;
  std::string path = folder.path + "/0.log";
  append(path, "2026-01-02T03:04:01.0Z stdout F a rather long first line\n");
  int step = 0;
  auto running = [&] {
    if (++step == 3) {
      std::filesystem::resize_file(path, 0);
      append(path, "2026-01-02T03:04:02.0Z stdout F b\n");
    }
    return step < 6;
  };
  EXPECT_EQ(read(path, {.follow = true}, running), "a rather long first line\nb\n");
}

TEST(LogReader, EndsWithTheContainerAfterItsLastLine) {
  Folder folder;
  std::string path = folder.path + "/0.log";
  append(path, "2026-01-02T03:04:01.0Z stdout F first\n");
  int step = 0;
  auto running = [&] {
    if (++step == 3) append(path, "2026-01-02T03:04:02.0Z stdout F last words\n");
    return step < 3;
  };
  EXPECT_EQ(read(path, {.follow = true}, running), "first\nlast words\n");
}
