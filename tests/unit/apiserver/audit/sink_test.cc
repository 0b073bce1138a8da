#include "apiserver/audit/sink.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/metrics.h"
#include "net/http_server.h"
#include "schema/codec.h"

using namespace redoubt;
using namespace redoubt::apiserver;
using namespace redoubt::apiserver::audit;
using namespace std::chrono_literals;
namespace fs = std::filesystem;

namespace {

struct Folder {
  fs::path path = fs::temp_directory_path() / fmt::format("audit-test-{}-{}", ::getpid(), counter++);
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
  static inline int counter = 0;
};

std::string read(const fs::path& path) {
  std::ifstream in(path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

size_t count_files(const fs::path& folder, std::string_view suffix = "") {
  size_t n = 0;
  for (const auto& entry : fs::directory_iterator(folder)) n += entry.path().string().ends_with(suffix) ? 1 : 0;
  return n;
}

template <class Condition>
bool eventually(Condition condition) {
  for (int i = 0; i < 500; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(10ms);
  }
  return false;
}

struct Sample {
  net::Request request;
  UserInfo user;
  Event event;
  Sample() {
    request.target = "/api/v1/pods";
    user.name = "ann";
    event.request = &request;
    event.audit_id = "id-1";
    event.stage = Stage::ResponseComplete;
    event.subject = {&user, "list", true, "", "pods", "", "", "", {}};
    event.code = 200;
  }
};

LogOptions log_to(const fs::path& path, Mode mode = Mode::Blocking) {
  LogOptions options;
  options.file.path = path;
  options.batch.mode = mode;
  return options;
}

uint64_t lost(const char* plugin) {
  return counter("apiserver_audit_error_total", "", {{"plugin", plugin}}).value();
}

bool write_one(Sink& sink, const Event& event) {
  bool written = false;
  net::run_until_done([&]() -> Task<void> { written = co_await sink.write(event); });
  return written;
}

// Takes event lists, or answers what it is told to.
struct Receiver {
  std::mutex mutex;
  std::vector<std::string> bodies;
  std::vector<std::string> tokens;
  std::atomic<int> refuse{0};
  std::atomic<bool> hang{false};
  net::LoopPool loops{1, "receiver"};
  std::unique_ptr<net::HttpServer> server;
  Receiver() {
    net::HttpServerOptions options;
    options.address = "127.0.0.1";
    options.handler = [this](net::Request request, net::Responder& responder) {
      return serve(this, std::move(request), responder);
    };
    server = std::move(*net::HttpServer::start(loops, std::move(options)));
  }
  static Task<void> serve(Receiver* self, net::Request request, net::Responder& responder) {
    auto body = co_await net::read_body(*request.body, 1 << 20);
    while (self->hang) co_await sleep_for(10ms);
    if (self->refuse > 0) {
      --self->refuse;
      co_await responder.send(503, {}, {});
      co_return;
    }
    {
      std::lock_guard lock(self->mutex);
      self->bodies.push_back(*body);
      self->tokens.emplace_back(request.headers.get("authorization").value_or(""));
    }
    co_await responder.send(200, {}, {});
  }
  size_t count() {
    std::lock_guard lock(mutex);
    return bodies.size();
  }
  WebhookOptions options() {
    WebhookOptions out;
    out.target.server = fmt::format("http://127.0.0.1:{}/audit", server->port());
    out.initial_backoff = 20ms;
    out.dial = [](net::Address address) { return net::tcp_connect(std::move(address), 5s); };
    return out;
  }
};

}  // namespace

TEST(AuditLog, HasTheLineOnceABlockingWriteReturns) {
  Folder folder;
  auto sink = make_log_sink(log_to(folder.path / "sub" / "audit.log"));
  ASSERT_TRUE(sink) << sink.error().message();
  Sample s;
  EXPECT_TRUE(write_one(**sink, s.event));
  std::string text = read(folder.path / "sub" / "audit.log");
  EXPECT_NE(text.find("\"auditID\":\"id-1\""), std::string::npos);
  struct stat info{};
  ::stat((folder.path / "sub" / "audit.log").c_str(), &info);
  EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST(AuditLog, KeepsEveryLineOfManyWriters) {
  Folder folder;
  {
    auto sink = make_log_sink(log_to(folder.path / "audit.log"));
    net::LoopPool loops(4, "writers");
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        Sample s;
        for (int i = 0; i < 250; ++i) EXPECT_TRUE(write_one(**sink, s.event));
      });
    }
    for (auto& thread : threads) thread.join();
  }
  std::string text = read(folder.path / "audit.log");
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1000);
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    schema::Arena arena;
    ASSERT_TRUE(schema::parse_json(line, arena)) << line;
  }
}

TEST(AuditLog, WritesWhatIsQueuedBeforeItGoes) {
  Folder folder;
  {
    auto sink = make_log_sink(log_to(folder.path / "audit.log", Mode::Batch));
    Sample s;
    for (int i = 0; i < 100; ++i) write_one(**sink, s.event);
  }
  std::string text = read(folder.path / "audit.log");
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 100);
}

TEST(AuditLog, RotatesBySizeAndKeepsTheNewest) {
  Folder folder;
  auto file = RotatingFile::open({.path = folder.path / "audit.log", .max_backups = 2, .max_size_bytes = 100});
  ASSERT_TRUE(file);
  for (int i = 0; i < 6; ++i) ASSERT_TRUE((*file)->write(std::string(79, static_cast<char>('a' + i)) + "\n"));
  EXPECT_EQ(read(folder.path / "audit.log").substr(0, 1), "f");
  auto left = [&] {
    std::string out;
    for (const auto& entry : fs::directory_iterator(folder.path)) out += read(entry.path()).substr(0, 1);
    std::sort(out.begin(), out.end());
    return out;
  };
  EXPECT_TRUE(eventually([&] { return left() == "def"; })) << left();
}

TEST(AuditLog, CompressesRotatedFilesAndRemovesOldOnes) {
  Folder folder;
  std::ofstream(folder.path / "audit-2020-01-02T03-04-05.678.log") << "old\n";
  std::ofstream(folder.path / "audit-other.log") << "not ours\n";
  auto file = RotatingFile::open(
      {.path = folder.path / "audit.log", .max_age_days = 7, .max_size_bytes = 100, .compress = true});
  ASSERT_TRUE(file);
  for (int i = 0; i < 2; ++i) ASSERT_TRUE((*file)->write(std::string(79, 'x') + "\n"));
  EXPECT_TRUE(
      eventually([&] { return count_files(folder.path, ".log.gz") == 1 && count_files(folder.path, ".log") == 2; }));
  EXPECT_FALSE(fs::exists(folder.path / "audit-2020-01-02T03-04-05.678.log"));
  EXPECT_TRUE(fs::exists(folder.path / "audit-other.log"));
}

TEST(AuditLog, AppendsToWhatIsThere) {
  Folder folder;
  std::ofstream(folder.path / "audit.log") << "before\n";
  auto file = RotatingFile::open({.path = folder.path / "audit.log"});
  ASSERT_TRUE((*file)->write("after\n"));
  EXPECT_EQ(read(folder.path / "audit.log"), "before\nafter\n");
}

TEST(AuditLog, APathThatCannotBeWrittenIsKnownAtStart) {
  auto sink = make_log_sink(log_to("/proc/nowhere/audit.log"));
  ASSERT_FALSE(sink);
  EXPECT_NE(sink.error().message().find("/proc/nowhere/audit.log"), std::string::npos);
}

TEST(AuditLog, AFullDiskIsCountedAndKnownToStrictWriters) {
  auto sink = make_log_sink(log_to("/dev/full", Mode::BlockingStrict));
  ASSERT_TRUE(sink);
  uint64_t before = lost("log");
  Sample s;
  EXPECT_FALSE(write_one(**sink, s.event));
  EXPECT_EQ(lost("log"), before + 1);
}

TEST(AuditLog, TruncatesBodiesFirstAndThenDrops) {
  Folder folder;
  LogOptions options = log_to(folder.path / "audit.log");
  options.truncate = {.enabled = true, .max_event_size = 1000};
  auto sink = make_log_sink(options);
  Sample s;
  std::string body = "{\"x\":\"" + std::string(2000, 'y') + "\"}";
  s.event.level = Level::Request;
  s.event.request_object = body;
  EXPECT_TRUE(write_one(**sink, s.event));
  std::string text = read(folder.path / "audit.log");
  EXPECT_NE(text.find("\"annotations\":{\"audit.k8s.io/truncated\":\"true\"}"), std::string::npos) << text;
  EXPECT_EQ(text.find("yyy"), std::string::npos);
  uint64_t before = lost("truncate");
  s.request.target = "/" + std::string(2000, 'z');
  EXPECT_FALSE(write_one(**sink, s.event));
  EXPECT_EQ(lost("truncate"), before + 1);
}

TEST(AuditWebhook, SendsBatchesAsAnEventList) {
  Receiver receiver;
  WebhookOptions options = receiver.options();
  options.target.bearer_token = "sesame";
  options.batch.max_size = 3;
  Sample s;
  {
    auto sink = make_webhook_sink(options);
    ASSERT_TRUE(sink) << sink.error().message();
    for (int i = 0; i < 7; ++i) write_one(**sink, s.event);
  }
  std::lock_guard lock(receiver.mutex);
  size_t events = 0;
  for (const std::string& body : receiver.bodies) {
    schema::Arena arena;
    auto list = schema::parse_json(body, arena);
    ASSERT_TRUE(list) << body;
    EXPECT_EQ(list->get({"kind"}).as_string(), "EventList");
    EXPECT_LE(list->get({"items"}).size(), 3U);
    events += list->get({"items"}).size();
    EXPECT_EQ(list->get({"items"}).at(0).get({"auditID"}).as_string(), "id-1");
  }
  EXPECT_EQ(events, 7U);
  EXPECT_EQ(receiver.tokens.at(0), "Bearer sesame");
}

TEST(AuditWebhook, TriesAgainUntilTheReceiverTakesIt) {
  Receiver receiver;
  receiver.refuse = 3;
  WebhookOptions options = receiver.options();
  options.batch.mode = Mode::Blocking;
  auto sink = make_webhook_sink(options);
  Sample s;
  EXPECT_TRUE(write_one(**sink, s.event));
  EXPECT_EQ(receiver.count(), 1U);
}

TEST(AuditWebhook, GivesUpAfterFiveTriesAndSaysSo) {
  Receiver receiver;
  receiver.refuse = 1000;
  WebhookOptions options = receiver.options();
  options.initial_backoff = 1ms;
  options.batch.mode = Mode::BlockingStrict;
  auto sink = make_webhook_sink(options);
  uint64_t before = lost("webhook");
  Sample s;
  EXPECT_FALSE(write_one(**sink, s.event));
  EXPECT_EQ(lost("webhook"), before + 1);
  EXPECT_EQ(receiver.refuse, 995);
}

TEST(AuditWebhook, AHangingReceiverCostsABoundedBufferAndThenEvents) {
  Receiver receiver;
  receiver.hang = true;
  WebhookOptions options = receiver.options();
  options.batch.max_size = 1;
  options.batch.buffer_size = 10;
  options.batch.throttle = false;
  auto sink = make_webhook_sink(options);
  uint64_t before = lost("buffered");
  Sample s;
  for (int i = 0; i < 100; ++i) {
    write_one(**sink, s.event);
    if (i < 20) std::this_thread::sleep_for(5ms);
  }
  // Four on their way, one in the collector's hands, ten in the buffer.
  EXPECT_GE(lost("buffered") - before, 84U);
  receiver.hang = false;
  EXPECT_TRUE(eventually([&] { return receiver.count() >= 10; }));
}

TEST(AuditWebhook, IsNotSpokenToInTheClearAcrossTheNetwork) {
  WebhookOptions options;
  options.target.server = "http://192.0.2.7/audit";
  auto sink = make_webhook_sink(options);
  ASSERT_FALSE(sink);
  EXPECT_NE(sink.error().message().find("use https"), std::string::npos);
}
