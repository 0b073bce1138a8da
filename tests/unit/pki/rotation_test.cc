// Authorities and signing keys replaced in phases, and those who trust them.
#include "pki/rotation.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <future>
#include <thread>

#include "net/loop.h"
#include "pki/cluster_pki.h"
#include "pki/live.h"
#include "pki/live_pki.h"

using namespace redoubt;
using namespace redoubt::pki;

namespace {

class Rotation : public testing::Test {
 protected:
  Rotation() {
    folder_ = std::filesystem::temp_directory_path() / fmt::format("rotation-{}", ::getpid());
    std::filesystem::remove_all(folder_);
    options_.folder = folder_;
    options_.apiserver_ip_addresses = {"127.0.0.1"};
    first_ = *ensure_cluster_pki(options_);
  }
  ~Rotation() override { std::filesystem::remove_all(folder_); }
  ClusterPki now_there() { return *ensure_cluster_pki(options_); }

  std::filesystem::path folder_;
  ClusterPkiOptions options_;
  ClusterPki first_;
};

}  // namespace

TEST_F(Rotation, TrustsTheNextBeforeItSignsAndTheOldAfter) {
  ASSERT_TRUE(begin_rotation(folder_, "ca"));
  ClusterPki trusted = now_there();
  EXPECT_EQ(trusted.ca, first_.ca);
  EXPECT_EQ(trusted.apiserver, first_.apiserver);
  EXPECT_EQ(parse_certificates(trusted.ca_bundle).size(), 2U);

  ASSERT_TRUE(advance_rotation(folder_, "ca"));
  ClusterPki switched = now_there();
  EXPECT_NE(switched.ca, first_.ca);
  EXPECT_TRUE(belongs_together(switched.ca));
  EXPECT_TRUE(is_signed_by(switched.apiserver.certificate_pem, switched.ca.certificate_pem));
  EXPECT_TRUE(is_signed_by(switched.clients.at("admin").certificate_pem, switched.ca.certificate_pem));
  EXPECT_EQ(parse_certificates(switched.ca_bundle).size(), 2U);
  // What signs is listed first.
  EXPECT_EQ(parse_certificates(switched.ca_bundle)[0].spki_hash,
            parse_certificate(switched.ca.certificate_pem)->spki_hash);
  // Other authorities are left alone.
  EXPECT_EQ(switched.kubelet_ca, first_.kubelet_ca);

  ASSERT_TRUE(finish_rotation(folder_, "ca"));
  EXPECT_EQ(now_there().ca_bundle, switched.ca.certificate_pem);
  EXPECT_EQ(*rotation_phase(folder_, "ca"), RotationPhase::None);
}

TEST_F(Rotation, RefusesPhasesOutOfOrder) {
  EXPECT_FALSE(advance_rotation(folder_, "ca"));
  EXPECT_FALSE(finish_rotation(folder_, "ca"));
  EXPECT_FALSE(cancel_rotation(folder_, "ca"));
  EXPECT_FALSE(begin_rotation(folder_, "nonsense"));
  ASSERT_TRUE(begin_rotation(folder_, "ca"));
  EXPECT_FALSE(begin_rotation(folder_, "ca"));
  EXPECT_FALSE(finish_rotation(folder_, "ca"));
  ASSERT_TRUE(cancel_rotation(folder_, "ca"));
  EXPECT_EQ(now_there().ca_bundle, first_.ca_bundle);
  ASSERT_TRUE(begin_rotation(folder_, "ca"));
  ASSERT_TRUE(advance_rotation(folder_, "ca"));
  EXPECT_FALSE(begin_rotation(folder_, "ca"));
  EXPECT_FALSE(cancel_rotation(folder_, "ca"));
}

TEST_F(Rotation, IsCompletedAfterACrashBetweenItsTwoRenames) {
  ASSERT_TRUE(begin_rotation(folder_, "ca"));
  std::string next = *read_file(folder_ / "ca-next.crt");
  ASSERT_TRUE(write_file(folder_ / "ca-previous.crt", first_.ca.certificate_pem, 0644));
  std::filesystem::rename(folder_ / "ca-next.key", folder_ / "ca.key");
  ClusterPki healed = now_there();
  EXPECT_EQ(healed.ca.certificate_pem, next);
  EXPECT_TRUE(belongs_together(healed.ca));
  EXPECT_EQ(*rotation_phase(folder_, "ca"), RotationPhase::Switched);
}

TEST_F(Rotation, OfTheTokenKeyKeepsOldTokensRightUntilItIsFinished) {
  auto keys = *LiveVerifier::from_pem(first_.service_account_verifiers);
  auto signer = *LiveSigner::from_pem(first_.service_account_key);
  std::string old = signer->sign(R"({"sub":"a"})");
  ASSERT_TRUE(begin_rotation(folder_, "sa"));
  ASSERT_TRUE(advance_rotation(folder_, "sa"));
  ClusterPki switched = now_there();
  ASSERT_TRUE(keys->replace(switched.service_account_verifiers));
  ASSERT_TRUE(signer->replace(switched.service_account_key));
  std::string fresh = signer->sign(R"({"sub":"a"})");
  EXPECT_TRUE(keys->verify(old));
  EXPECT_TRUE(keys->verify(fresh));
  uint64_t generation = keys->generation();
  ASSERT_TRUE(finish_rotation(folder_, "sa"));
  ASSERT_TRUE(keys->replace(now_there().service_account_verifiers));
  EXPECT_FALSE(keys->verify(old));
  EXPECT_TRUE(keys->verify(fresh));
  EXPECT_NE(keys->generation(), generation);
}

TEST_F(Rotation, ReissuedLeavesKeepTheirNames) {
  ASSERT_TRUE(reissue_leaf(folder_, "apiserver"));
  ClusterPki there = now_there();
  EXPECT_NE(there.apiserver, first_.apiserver);
  EXPECT_EQ(there.clients, first_.clients);
  auto certificate = *parse_certificate(there.apiserver.certificate_pem);
  EXPECT_EQ(certificate.ip_addresses, std::vector<std::string>{"127.0.0.1"});
  EXPECT_FALSE(reissue_leaf(folder_, "ca"));
  EXPECT_FALSE(reissue_leaf(folder_, "nothing"));
}

TEST_F(Rotation, LivePkiRenewsInTimeAndTellsWhoAsked) {
  ClusterPkiOptions brief = options_;
  brief.folder += "-brief";
  brief.leaf_lifetime = std::chrono::seconds(2);  // backdated by one: due 1.1 s after it was made
  auto live = *LivePki::open(brief);
  auto before = live->current();
  EXPECT_FALSE(*live->refresh());
  net::LoopPool loops(1, "test");
  std::promise<std::string> told;
  auto subscription =
      live->subscribe(loops.executor(0), [&](const ClusterPki& pki) { told.set_value(pki.apiserver.certificate_pem); });
  std::this_thread::sleep_for(std::chrono::milliseconds(2100));
  EXPECT_TRUE(*live->refresh());
  auto future = told.get_future();
  ASSERT_EQ(future.wait_for(std::chrono::seconds(5)), std::future_status::ready);
  EXPECT_EQ(future.get(), live->current()->apiserver.certificate_pem);
  EXPECT_NE(live->current()->apiserver, before->apiserver);
  EXPECT_EQ(live->current()->ca, before->ca);
  subscription.reset();
  loops.stop();
  std::filesystem::remove_all(brief.folder);
}

TEST(LiveTrust, KeepsItsGenerationWhenNothingChanged) {
  KeyPair a = *make_ca("a", std::chrono::hours(1)), b = *make_ca("b", std::chrono::hours(1));
  auto trust = *LiveTrust::from_pem(a.certificate_pem);
  uint64_t generation = trust->generation();
  ASSERT_TRUE(trust->replace(a.certificate_pem));
  EXPECT_EQ(trust->generation(), generation);
  EXPECT_FALSE(trust->replace("nonsense"));
  EXPECT_EQ(trust->generation(), generation);
  ASSERT_TRUE(trust->replace(a.certificate_pem + b.certificate_pem));
  EXPECT_NE(trust->generation(), generation);
}
