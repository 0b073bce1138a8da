#include "egress/konnectivity/dialer.h"

#include "fixture.h"

namespace redoubt::konnectivity::test {
namespace {

using egress::PathId;
using egress::Target;

Task<void> expect_greeting(Result<net::StreamPtr> stream) {
  EXPECT_TRUE(stream.has_value()) << stream.error().message();
  if (!stream) co_return;
  co_await (*stream)->write(one("hello"));
  char buffer[16];
  auto got = co_await (*stream)->read_some(buffer);
  EXPECT_TRUE(got && std::string_view(buffer, *got) == "hello");
}

TEST(KonnectivityDialer, ReachesATargetThroughAServerElsewhere) {
  Fixture fixture;
  ProxyClient::Options options;
  options.server = {"127.0.0.1", fixture.listen(fixture.server->grpc_frontend())};
  auto dialer = make_konnectivity_dialer(std::move(options));
  fixture.run([&dialer](Fixture& f) -> Task<void> {
    co_await f.start_agent(f.agent_options());
    Target target{"node-1", *net::parse_address(f.start_target(echo))};
    EXPECT_EQ(dialer->way(PathId::ApiserverPod, target).kind, "konnectivity");
    co_await expect_greeting(co_await dialer->dial(PathId::ApiserverKubelet, target));
    // Plain TCP to the server is not private.
    egress::DialOptions private_only;
    private_only.require_confidential = true;
    auto refused = co_await dialer->dial(PathId::ApiserverPod, target, private_only);
    EXPECT_FALSE(refused.has_value());
    if (!refused) EXPECT_EQ(refused.error().code(), 403);
    dialer.reset();
  });
}

TEST(KonnectivityDialer, InProcessOneIsConfidentialByTheNodesOwnAgentOnly) {
  Fixture fixture;
  auto dialer = make_konnectivity_dialer(fixture.server);
  fixture.run([&dialer](Fixture& f) -> Task<void> {
    Target mine{"node-1", *net::parse_address(f.start_target(echo))}, other = mine;
    other.node = "node-2";
    EXPECT_FALSE(dialer->way(PathId::ApiserverPod, mine).available);
    auto options = f.agent_options();
    options.identifiers = "host=node-1";
    co_await f.start_agent(std::move(options));
    EXPECT_TRUE(dialer->way(PathId::ApiserverPod, mine).confidential);
    EXPECT_FALSE(dialer->way(PathId::ApiserverPod, other).confidential);
    EXPECT_TRUE(dialer->way(PathId::ApiserverPod, other).available);
    egress::DialOptions private_only;
    private_only.require_confidential = true;
    co_await expect_greeting(co_await dialer->dial(PathId::ApiserverPod, mine, private_only));
    co_await expect_greeting(co_await dialer->dial(PathId::ApiserverKubelet, other));
    auto refused = co_await dialer->dial(PathId::ApiserverPod, other, private_only);
    EXPECT_FALSE(refused.has_value());
  });
}

}  // namespace
}  // namespace redoubt::konnectivity::test
