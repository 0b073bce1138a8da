#include "egress/ssh/dialer.h"

#include <gtest/gtest.h>

#include <future>

#include "base/deadline.h"
#include "net/loop.h"
#include "sshd.h"

using namespace redoubt;
using namespace redoubt::egress;
using namespace redoubt::egress::ssh;
using namespace std::chrono_literals;
using test::Listener;
using test::Sshd;

namespace {

// A server's side: its tunnels on a loop of their own, and a node "n1" that is this machine.
struct Server {
  explicit Server(Sshd& sshd, bool with_file = true, std::string published = {}) : sshd_(sshd) {
    spit(sshd.file("known"), with_file ? fmt::format("[127.0.0.1]:{} {}", sshd.port(), sshd.public_key("host")) : "");
    node_.addresses = {"127.0.0.1"};
    node_.allowed = reverse::NodeAddresses("n1", {"10.0.0.7"}, {"10.244.1.0/24"});
    node_.published_keys = std::move(published);
    SshOptions options;
    options.user = "root";
    options.key_file = sshd.file("user");
    options.known_hosts_file = sshd.file("known");
    options.port = sshd.port();
    options.recheck = 50ms;
    options.node = [this](const std::string& name) -> Result<NodeSsh> {
      std::lock_guard lock(mutex_);
      if (name != "n1") return not_found({"", "nodes"}, name);
      return node_;
    };
    auto made = SshTunnels::make(loops_.executor(0), options);
    EXPECT_TRUE(made) << made.error().message();
    tunnels = std::move(*made);
  }
  ~Server() {
    std::promise<void> done;
    boost::asio::co_spawn(loops_.executor(0), tunnels->stop(), [&](std::exception_ptr) { done.set_value(); });
    done.get_future().wait();
    loops_.stop();
  }
  void publish(std::string keys) {
    std::lock_guard lock(mutex_);
    node_.published_keys = std::move(keys);
  }

  // What a dial of the kubelet at `port` comes to: "ok" once it echoed, else the error.
  std::string try_kubelet(uint16_t port, std::string node = "n1", PathId path = PathId::ApiserverKubelet,
                          std::string host = "10.0.0.7") {
    std::string out;
    net::run_until_done([&]() -> Task<void> {
      return [](Dialer& dialer, PathId p, Target target, std::string& said) -> Task<void> {
        auto stream = co_await dialer.dial(p, std::move(target), {.timeout = 5s});
        if (!stream) {
          said = stream.error().message();
          co_return;
        }
        BytesList pieces;
        pieces.push_back(Bytes::of_static("hello"));
        if (!co_await (*stream)->write(std::move(pieces))) co_return;
        (void)co_await (*stream)->shutdown_write();
        auto back = co_await net::read_to_end(**stream, 100);
        said = back && *back == "hello" ? "ok" : "no echo";
      }(*tunnels, path, Target{node, {host, port}}, out);
    });
    return out;
  }

  static void spit(const std::string& path, const std::string& text) { test::spit(path, text); }

  Sshd& sshd_;
  net::LoopPool loops_{1, "ssh"};
  std::mutex mutex_;
  NodeSsh node_;
  std::unique_ptr<SshTunnels> tunnels;
};

bool soon(std::function<bool()> condition) {
  for (int i = 0; i < 500; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(20ms);
  }
  return false;
}

}  // namespace

TEST(SshTunnels, ReachesAKubeletOnTheNodesLoopback) {
  Sshd sshd;
  Listener kubelet(Listener::echo);
  Server server(sshd);
  Way way = server.tunnels->way(PathId::ApiserverKubelet, {"n1", {"10.0.0.7", 10250}});
  EXPECT_TRUE(way.available) << way.why_not;
  EXPECT_TRUE(way.confidential);
  EXPECT_EQ(server.try_kubelet(kubelet.port()), "ok");
  EXPECT_TRUE(soon([&] { return server.tunnels->list().size() == 1 && server.tunnels->list()[0].up; }));
  TunnelInfo info = server.tunnels->list()[0];
  EXPECT_EQ(info.node, "n1");
  EXPECT_TRUE(info.identity.starts_with("host key SHA256:"));
}

TEST(SshTunnels, CarriesNothingButTheNodesOwnTraffic) {
  Sshd sshd;
  Server server(sshd);
  for (std::string host : {"10.0.0.8", "10.244.2.7", "127.0.0.1", "169.254.169.254"}) {
    std::string said = server.try_kubelet(80, "n1", PathId::ApiserverPod, host);
    EXPECT_NE(said.find(host), std::string::npos) << said;
    EXPECT_EQ(server.tunnels->list().size(), 0U) << "it was dialled";
  }
  EXPECT_NE(server.try_kubelet(80, "n2").find("nodes \"n2\" not found"), std::string::npos);
}

TEST(SshTunnels, ANodeOfWhichNoKeyIsKnownIsNotDialled) {
  Sshd sshd;
  Listener kubelet(Listener::echo);
  Server server(sshd, false);
  Way way = server.tunnels->way(PathId::ApiserverKubelet, {"n1", {"10.0.0.7", 10250}});
  EXPECT_FALSE(way.available);
  EXPECT_NE(way.why_not.find("--ssh-known-hosts"), std::string::npos) << way.why_not;
  EXPECT_NE(server.try_kubelet(kubelet.port()).find("host key"), std::string::npos);
}

TEST(SshTunnels, TheKeyThatTheNodePublishesCountsWhereTheFileHasNone) {
  Sshd sshd;
  sshd.make_key("other");
  Listener kubelet(Listener::echo);
  {
    Server server(sshd, false, sshd.public_key("host"));
    EXPECT_EQ(server.try_kubelet(kubelet.port()), "ok");
    // The Node takes it back: the connection ends, and no other is made.
    server.publish(sshd.public_key("other"));
    EXPECT_TRUE(
        soon([&] { return server.try_kubelet(kubelet.port()).find("none of those known") != std::string::npos; }));
  }
  {
    // What a node says of itself can't overrule the file.
    Server server(sshd, false, sshd.public_key("host"));
    test::spit(sshd.file("known"), fmt::format("[127.0.0.1]:{} {}", sshd.port(), sshd.public_key("other")));
    std::this_thread::sleep_for(200ms);
    EXPECT_NE(server.try_kubelet(kubelet.port()).find("none of those known"), std::string::npos);
  }
  {
    Server server(sshd, false, sshd.public_key("host"));
    test::spit(sshd.file("known"), "@revoked * " + sshd.public_key("host"));
    EXPECT_TRUE(soon([&] { return server.try_kubelet(kubelet.port()).find("host key") != std::string::npos; }));
  }
}

TEST(SshTunnels, ComesBackAfterTheServerWasGone) {
  Sshd sshd;
  Listener kubelet(Listener::echo);
  Server server(sshd);
  EXPECT_EQ(server.try_kubelet(kubelet.port()), "ok");
  sshd.stop();
  EXPECT_TRUE(soon([&] { return server.try_kubelet(kubelet.port()) != "ok"; }));
  sshd.start();
  EXPECT_TRUE(soon([&] { return server.try_kubelet(kubelet.port()) == "ok"; }));
}

TEST(SshTunnels, TakesANewKeyWithoutARestart) {
  Sshd sshd;
  Listener kubelet(Listener::echo);
  Server server(sshd);
  EXPECT_EQ(server.try_kubelet(kubelet.port()), "ok");
  sshd.make_key("next");
  sshd.authorize("next");
  std::filesystem::copy_file(sshd.file("next"), sshd.file("user"), std::filesystem::copy_options::overwrite_existing);
  // The connection that the old key opened takes no more streams; the new key opens the next.
  Timestamp before = server.tunnels->list().empty() ? Timestamp{} : server.tunnels->list()[0].since;
  EXPECT_TRUE(soon([&] {
    auto all = server.tunnels->list();
    return server.try_kubelet(kubelet.port()) == "ok" && !all.empty() && all[0].up && all[0].since != before;
  }));
}

TEST(SshTunnels, AFileThatCantBeUsedIsAnErrorAtTheStart) {
  Sshd sshd;
  net::LoopPool loops(1, "ssh");
  SshOptions options;
  options.user = "root";
  options.key_file = sshd.file("none");
  EXPECT_NE(SshTunnels::make(loops.executor(0), options).error().message().find("--ssh-keyfile"), std::string::npos);
  options.key_file = sshd.file("host.pub");
  EXPECT_FALSE(SshTunnels::make(loops.executor(0), options));
  std::filesystem::permissions(sshd.file("user"), std::filesystem::perms(0644));
  options.key_file = sshd.file("user");
  EXPECT_NE(SshTunnels::make(loops.executor(0), options).error().message().find("0600"), std::string::npos);
}
