#include "watchers.h"

#include <algorithm>
#include <atomic>
#include <boost/asio/post.hpp>
#include <cstdio>

#include "base/event.h"
#include "objects.h"

namespace redoubt::bench {

namespace {

using std::chrono::steady_clock;

constexpr std::string_view kPath = "/api/v1/namespaces/bench/configmaps";

struct Object {
  std::atomic<int64_t> sent_ns{0};
  std::atomic<size_t> seen{0};
};

struct Shared {
  explicit Shared(const WatchLoad& l, steady_clock::time_point u)
      : load(l), name(fmt::format("\"name\":\"{}-", l.name)), until(u), objects(l.objects) {}
  const WatchLoad& load;
  std::string name;  // as it stands in an event, before the object's number
  steady_clock::time_point until;
  std::vector<Object> objects;
  std::atomic<size_t> next{0};
  std::atomic<size_t> watching{0};
  std::atomic<bool> over{false};
  Event delivered{Executor()};  // on the writers' loop
  Executor writers_loop;
};

int64_t now_ns() {
  return steady_clock::now().time_since_epoch().count();
}

// Counts the events of one watch; frames end with a line feed.
class Reader {
 public:
  Reader(Shared& shared, std::vector<float>& milliseconds) : shared_(shared), milliseconds_(milliseconds) {}
  void take(std::string_view piece) {
    int64_t now = now_ns();
    while (!piece.empty()) {
      size_t end = piece.find('\n');
      std::string_view line = piece.substr(0, end);
      if (end == std::string_view::npos) {
        left_ += line;
        return;
      }
      if (!left_.empty()) {
        left_ += line;
        line = left_;
      }
      event(line, now);
      left_.clear();
      piece.remove_prefix(end + 1);
    }
  }

 private:
  void event(std::string_view line, int64_t now) {
    size_t at = line.find(shared_.name);
    if (at == std::string_view::npos) return;
    size_t number = std::strtoul(line.data() + at + shared_.name.size(), nullptr, 10);
    if (number >= shared_.objects.size()) return;
    Object& object = shared_.objects[number];
    milliseconds_.push_back(static_cast<float>(static_cast<double>(now - object.sent_ns) / 1e6));
    if (++object.seen == shared_.load.watchers) {
      boost::asio::post(shared_.writers_loop, [&shared = shared_] { shared.delivered.notify(); });
    }
  }
  Shared& shared_;
  std::vector<float>& milliseconds_;
  std::string left_;
};

Task<void> watch(Shared& shared, Connection& connection, std::string revision, std::vector<float>& milliseconds) {
  auto response = co_await connection.open(
      get(fmt::format("{}?watch=true&resourceVersion={}&timeoutSeconds=120", kPath, revision)));
  if (!response || response->status != 200) {
    std::fprintf(stderr, "bench: a watch failed\n");
    shared.over = true;
    co_return;
  }
  ++shared.watching;
  Reader reader(shared, milliseconds);
  while (true) {
    auto piece = co_await response->body->read_some();
    if (!piece || piece->empty()) co_return;
    reader.take(piece->view());
  }
}

Task<void> write(Shared& shared, Connection& connection) {
  for (size_t i; (i = shared.next++) < shared.objects.size();) {
    if (steady_clock::now() > shared.until || shared.over) co_return;
    Object& object = shared.objects[i];
    object.sent_ns = now_ns();
    auto answer =
        co_await connection.send(post(std::string(kPath), config_map(fmt::format("{}-{:06}", shared.load.name, i))));
    if (!answer || answer->status != 201) {
      std::fprintf(stderr, "bench: a create failed\n");
      co_return;
    }
    while (object.seen < shared.load.watchers) {
      if (steady_clock::now() > shared.until) co_return;
      (void)co_await shared.delivered.wait_for(std::chrono::milliseconds(500));
    }
  }
}

std::string current_revision(Target& target) {
  std::string list = target.ask(get(std::string(kPath) + "?limit=1")).body;
  constexpr std::string_view kMember = "\"resourceVersion\":\"";
  size_t at = list.find(kMember) + kMember.size();
  return list.substr(at, list.find('"', at) - at);
}

}  // namespace

Timing run_watchers(Target& target, const WatchLoad& load) {
  net::LoopPool& loops = target.loops();
  Shared shared(load, steady_clock::now() + load.limit);
  shared.writers_loop = loops.executor(0);
  std::string revision = current_revision(target);
  std::vector<std::unique_ptr<Connection>> connections(load.connections);
  std::vector<std::vector<float>> milliseconds(load.watchers);
  std::vector<std::unique_ptr<Scope>> scopes(loops.size());
  run_on_all(loops, [&](size_t loop) -> Task<void> {
    scopes[loop] = std::make_unique<Scope>(loops.executor(loop), "watchers");
    for (size_t i = loop; i < connections.size(); i += loops.size())
      connections[i] = std::make_unique<Connection>(loops.executor(loop), target.config());
    for (size_t i = 0; i < load.watchers; ++i) {
      size_t at = i % connections.size();
      if (at % loops.size() == loop) scopes[loop]->spawn(watch(shared, *connections[at], revision, milliseconds[i]));
    }
    while (shared.watching < load.watchers && !shared.over && steady_clock::now() < shared.until)
      co_await sleep_for(std::chrono::milliseconds(5));
  });
  auto began = steady_clock::now();
  run_on_all(loops, [&](size_t loop) -> Task<void> {
    if (loop != 0) co_return;
    Connection connection(loops.executor(0), target.config());
    Scope scope(loops.executor(0), "writers");
    for (size_t i = 0; i < load.writers; ++i) scope.spawn(write(shared, connection));
    co_await scope.wait_idle();
  });
  Timing out;
  out.seconds = std::chrono::duration<double>(steady_clock::now() - began).count();
  run_on_all(loops, [&](size_t loop) -> Task<void> {
    co_await scopes[loop]->join();
    scopes[loop] = nullptr;
    for (size_t i = loop; i < connections.size(); i += loops.size()) connections[i] = nullptr;
  });
  for (const auto& one : milliseconds) out.milliseconds.insert(out.milliseconds.end(), one.begin(), one.end());
  std::sort(out.milliseconds.begin(), out.milliseconds.end());
  out.done = out.milliseconds.size();
  out.failed = load.watchers * load.objects - std::min(out.done, load.watchers * load.objects);
  return out;
}

}  // namespace redoubt::bench
