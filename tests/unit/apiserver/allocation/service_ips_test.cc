#include "apiserver/allocation/service_ips.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <set>

#include "schema/codec.h"
#include "store/sqlite/sqlite_store.h"

namespace redoubt::apiserver {
namespace {

struct Folder {
  std::string path = std::filesystem::temp_directory_path() / fmt::format("service-ips-{}-{}", ::getpid(), counter++);
  Folder() { std::filesystem::create_directories(path); }
  ~Folder() { std::filesystem::remove_all(path); }
  static inline int counter = 0;
};

// A store, what is given from it, and the writes of Services that the API server would make.
struct Allocation : testing::Test {
  Folder folder;
  std::unique_ptr<store::Store> store = [this] {
    store::SqliteOptions options;
    options.path = folder.path + "/db";
    options.index = [](store::Object&, std::string_view) -> Result<void> { return {}; };
    return std::move(*store::open_sqlite_store(std::move(options)));
  }();
  std::unique_ptr<ServiceIps> ips = make("10.96.0.0/24");
  Arena arena;

  std::unique_ptr<ServiceIps> make(std::string_view cidrs, PortRange ports = {}) {
    return std::make_unique<ServiceIps>(*store, *parse_service_networks(cidrs), ports);
  }

  template <class T>
  T run(Task<T> task) {
    // One for all, longer there than the committer's thread, which may still be waking it when the task has ended.
    static boost::asio::io_context loop(1);
    loop.restart();
    std::optional<T> out;
    boost::asio::co_spawn(loop, std::move(task), [&](std::exception_ptr, T value) { out = std::move(value); });
    loop.run();
    return std::move(*out);
  }
  void run(Task<void> task) {
    run([](Task<void> t) -> Task<bool> {
      co_await std::move(t);
      co_return true;
    }(std::move(task)));
  }

  Value service(std::string_view name, std::string_view spec) {
    auto parsed = schema::parse_json(
        arena.copy(fmt::format(R"({{"metadata":{{"namespace":"default","name":"{}"}},"spec":{}}})", name, spec)),
        arena);
    return *parsed;
  }

  store::ObjectPtr write(std::string prefix, std::string key, std::string json,
                         std::vector<std::pair<std::string, std::string>> labels = {}) {
    store::Write write;
    write.resource = std::move(prefix);
    write.key = std::move(key);
    write.precondition = store::Write::Precondition::Any;
    write.object = std::make_shared<store::Object>();
    write.object->key = write.key;
    write.object->name = write.key.substr(write.key.rfind('/') + 1);
    write.object->labels = std::move(labels);
    write.object->resource_version_offset = static_cast<uint32_t>(json.find(R"("name")"));
    write.object->json = Bytes::take(std::move(json));
    return run(store->commit(std::move(write)))->object;
  }
  void remove(std::string prefix, std::string key) {
    store::Write write;
    write.resource = std::move(prefix);
    write.key = std::move(key);
    write.precondition = store::Write::Precondition::Any;
    (void)run(store->commit(std::move(write)));
  }
  static std::string key_of(const Value& s) {
    return fmt::format("/registry/services/specs/default/{}", s.get({"metadata", "name"}).as_string());
  }
  store::ObjectPtr put(const Value& s) { return write("services/specs", key_of(s), schema::to_json(s, nullptr)); }

  // A Service's whole creation; its error, or "".
  std::string create(Value& s) {
    auto given = ips->assign(s, Value(), arena);
    if (!given) return given.error().message();
    if (auto recorded = run(ips->record(*given)); !recorded) {
      run(ips->give_up(std::move(*given)));
      return recorded.error().message();
    }
    ips->keep(*given, put(s)->revision);
    return "";
  }
  void destroy(const Value& s) {
    auto before = store->snapshot("services/specs")->find(key_of(s));
    remove("services/specs", key_of(s));
    run(ips->settle(before, nullptr));
  }
  bool has_object(std::string_view ip) {
    return store->snapshot("ipaddresses")->find(fmt::format("/registry/ipaddresses/{}", ip)) != nullptr;
  }
  static std::string ip_of(const Value& s) { return std::string(s.get({"spec", "clusterIP"}).as_string()); }
};

TEST_F(Allocation, AnAddressIsGivenHeldAndFreedWithItsObject) {
  Value a = service("a", "{}");
  EXPECT_EQ(create(a), "");
  std::string ip = ip_of(a);
  EXPECT_TRUE(Network::parse("10.96.0.0/24")->holds(ip));
  EXPECT_TRUE(has_object(ip));
  Value same = service("same", fmt::format(R"({{"clusterIP":"{0}","clusterIPs":["{0}"]}})", ip));
  EXPECT_NE(
      create(same).find(fmt::format(
          R"(spec.clusterIPs: Invalid value: ["{0}"]: failed to allocate IP {0}: provided IP is already allocated)",
          ip)),
      std::string::npos);
  destroy(a);
  EXPECT_FALSE(has_object(ip));
  EXPECT_EQ(create(same), "");
}

TEST_F(Allocation, OutsideTheRangesIsRefusedWithTheReason) {
  Value far = service("far", R"({"clusterIP":"172.31.0.7","clusterIPs":["172.31.0.7"]})");
  EXPECT_NE(create(far).find("the provided network does not match the current range"), std::string::npos);
  Value edge = service("edge", R"({"clusterIP":"10.96.0.255","clusterIPs":["10.96.0.255"]})");
  EXPECT_NE(create(edge).find("the provided IP (10.96.0.255) is not in the valid range. The range of valid IPs is "
                              "10.96.0.0/24"),
            std::string::npos);
}

TEST_F(Allocation, WhenAllAreGivenAFurtherNetworkHelps) {
  ips = make("10.96.0.0/28");
  std::set<std::string> seen;
  for (int i = 0; i < 14; ++i) {
    Value s = service(fmt::format("s{}", i), "{}");
    ASSERT_EQ(create(s), "");
    EXPECT_TRUE(seen.insert(ip_of(s)).second);
  }
  Value none = service("none", "{}"), still = service("still", "{}"), next = service("next", "{}");
  EXPECT_NE(create(none).find("failed to allocate a serviceIP: range is full"), std::string::npos);
  auto cidr = [&](std::string_view name, std::string_view more) {
    write("servicecidrs", fmt::format("/registry/servicecidrs/{}", name),
          fmt::format(R"({{"metadata":{{"name":"{}"{}}},"spec":{{"cidrs":["172.31.7.0/24"]}}}})", name, more));
  };
  cidr("more", R"(,"deletionTimestamp":"2026-01-01T00:00:00Z")");
  EXPECT_NE(create(still), "");
  cidr("more", "");
  EXPECT_EQ(create(next), "");
  EXPECT_TRUE(Network::parse("172.31.7.0/24")->holds(ip_of(next)));
}

TEST_F(Allocation, AddressesOfOthersAreNotGivenAndNotRemoved) {
  for (int i = 1; i < 255; ++i) {
    std::string ip = fmt::format("10.96.0.{}", i);
    if (i != 77)
      write("ipaddresses", "/registry/ipaddresses/" + ip,
            fmt::format(R"({{"metadata":{{"name":"{}"}},"spec":{{"parentRef":{{"resource":"gateways","name":"g"}}}}}})",
                        ip));
  }
  Value s = service("s", "{}");
  EXPECT_EQ(create(s), "");
  EXPECT_EQ(ip_of(s), "10.96.0.77");
  Value asks = service("asks", R"({"clusterIP":"10.96.0.5","clusterIPs":["10.96.0.5"]})");
  EXPECT_NE(create(asks).find("provided IP is already allocated"), std::string::npos);
  run(ips->repair());
  EXPECT_TRUE(has_object("10.96.0.5"));
}

TEST_F(Allocation, BothFamiliesWhereThereAreBoth) {
  ips = make("10.96.0.0/24,fd00:96::/112");
  Value s = service("s", R"({"ipFamilyPolicy":"RequireDualStack"})");
  EXPECT_EQ(create(s), "");
  Value list = s.get({"spec", "clusterIPs"});
  ASSERT_EQ(list.size(), 2U);
  EXPECT_TRUE(Network::parse("fd00:96::/112")->holds(list.at(1).as_string()));
  EXPECT_TRUE(has_object(list.at(1).as_string()));
  // The second goes when one is enough.
  std::string second(list.at(1).as_string());
  Value old = s.clone(arena), one = s.clone(arena);
  one.object_at(arena, "spec").set(arena, "ipFamilyPolicy", Value::string("SingleStack"));
  auto given = ips->assign(one, old, arena);
  ASSERT_TRUE(given);
  auto before = store->snapshot("services/specs")->find(key_of(s));
  auto now = put(one);
  ips->keep(*given, now->revision);
  run(ips->settle(before, now));
  EXPECT_EQ(one.get({"spec", "clusterIPs"}).size(), 1U);
  EXPECT_FALSE(has_object(second));
  EXPECT_TRUE(has_object(ip_of(one)));
}

TEST_F(Allocation, NodePortsAreGivenHeldAndFreed) {
  ips = make("10.96.0.0/24", *PortRange::parse("30000-30003"));
  Value a = service("a", R"({"type":"NodePort","ports":[{"port":80,"nodePort":30001},{"port":81}]})");
  EXPECT_EQ(create(a), "");
  int64_t second = a.get({"spec", "ports"}).at(1).get({"nodePort"}).as_int();
  EXPECT_TRUE(second >= 30000 && second <= 30003 && second != 30001);
  Value b = service("b", R"({"type":"NodePort","ports":[{"port":80,"nodePort":30001}]})");
  EXPECT_NE(create(b).find("spec.ports[0].nodePort: Invalid value: 30001: provided port is already allocated"),
            std::string::npos);
  Value low = service("low", R"({"type":"NodePort","ports":[{"port":80,"nodePort":80}]})");
  EXPECT_NE(create(low).find("The range of valid ports is 30000-30003"), std::string::npos);
  Value three = service("three", R"({"type":"NodePort","ports":[{"port":1},{"port":2},{"port":3}]})");
  EXPECT_NE(create(three).find("failed to allocate a nodePort: range is full"), std::string::npos);
  // What failed holds nothing.
  Value two = service("two", R"({"type":"NodePort","ports":[{"port":1},{"port":2}]})");
  EXPECT_EQ(create(two), "");
  destroy(a);
  EXPECT_EQ(create(b), "");
}

TEST_F(Allocation, OnePortInTwoProtocolsHasOneNodePort) {
  Value dns =
      service("dns", R"({"type":"NodePort","ports":[{"port":53,"protocol":"UDP"},{"port":53,"protocol":"TCP"}]})");
  EXPECT_EQ(create(dns), "");
  EXPECT_TRUE(
      dns.get({"spec", "ports"}).at(0).get({"nodePort"}).equals(dns.get({"spec", "ports"}).at(1).get({"nodePort"})));
}

TEST_F(Allocation, ALoadBalancerForLocalTrafficHasAHealthCheckPort) {
  Value s = service(
      "s",
      R"({"type":"LoadBalancer","externalTrafficPolicy":"Local","allocateLoadBalancerNodePorts":false,"ports":[{"port":80}]})");
  EXPECT_EQ(create(s), "");
  EXPECT_FALSE(s.get({"spec", "ports"}).at(0).has("nodePort"));
  int64_t health = s.get({"spec", "healthCheckNodePort"}).as_int();
  EXPECT_TRUE(PortRange{}.holds(health));
  Value other = service(
      "other",
      fmt::format(
          R"({{"type":"LoadBalancer","externalTrafficPolicy":"Local","healthCheckNodePort":{},"ports":[{{"port":80}}]}})",
          health));
  EXPECT_NE(create(other).find(fmt::format(
                "failed to allocate requested HealthCheck NodePort {}: provided port is already allocated", health)),
            std::string::npos);
}

TEST_F(Allocation, WhatIsStoredCountsAfterARestart) {
  Value s = service("s", R"({"type":"NodePort","ports":[{"port":80}]})");
  EXPECT_EQ(create(s), "");
  ips = make("10.96.0.0/24");
  int64_t port = s.get({"spec", "ports"}).at(0).get({"nodePort"}).as_int();
  Value again = service("again", fmt::format(R"({{"type":"NodePort","ports":[{{"port":80,"nodePort":{}}}]}})", port));
  EXPECT_NE(create(again).find("provided port is already allocated"), std::string::npos);
}

TEST_F(Allocation, RepairBringsAllIntoAgreement) {
  // A Service from before there were objects; an object whose Service is gone; memory of a Service that was removed
  // behind the allocator's back.
  Value old = service("old", R"({"clusterIP":"10.96.0.40","clusterIPs":["10.96.0.40"]})");
  put(old);
  Value lost = service("lost", R"({"clusterIP":"10.96.0.41","clusterIPs":["10.96.0.41"]})");
  EXPECT_EQ(create(lost), "");
  remove("services/specs", key_of(lost));
  run(ips->repair());
  EXPECT_TRUE(has_object("10.96.0.40"));
  EXPECT_FALSE(has_object("10.96.0.41"));
  Value taken = service("taken", R"({"clusterIP":"10.96.0.40","clusterIPs":["10.96.0.40"]})");
  EXPECT_NE(create(taken).find("already allocated"), std::string::npos);
  Value free = service("free", R"({"clusterIP":"10.96.0.41","clusterIPs":["10.96.0.41"]})");
  EXPECT_EQ(create(free), "");
}

TEST_F(Allocation, RepairLeavesAloneWhatIsBeingWritten) {
  Value s = service("s", R"({"clusterIP":"10.96.0.50","clusterIPs":["10.96.0.50"]})");
  auto given = ips->assign(s, Value(), arena);
  ASSERT_TRUE(given);
  ASSERT_TRUE(run(ips->record(*given)));
  run(ips->repair());
  EXPECT_TRUE(has_object("10.96.0.50"));
  Value other = service("other", R"({"clusterIP":"10.96.0.50","clusterIPs":["10.96.0.50"]})");
  EXPECT_NE(create(other).find("already allocated"), std::string::npos);
  run(ips->give_up(std::move(*given)));
  EXPECT_FALSE(has_object("10.96.0.50"));
  EXPECT_EQ(create(other), "");
}

}  // namespace
}  // namespace redoubt::apiserver
