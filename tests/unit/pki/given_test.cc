// What an administrator gives by files: taken, refused with what is wrong, and while running never worse than before.
#include "pki/given.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "pki/cluster_pki.h"
#include "pki/live_pki.h"
#include "pki/rotation.h"

using namespace redoubt;
using namespace redoubt::pki;

namespace {

using std::chrono::hours;

class GivenFiles : public testing::Test {
 protected:
  GivenFiles() {
    folder_ = std::filesystem::temp_directory_path() / fmt::format("given-{}", ::getpid());
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_ / "files");
    options_.folder = folder_ / "pki";
    options_.apiserver_ip_addresses = {"192.0.2.1"};
  }
  ~GivenFiles() override { std::filesystem::remove_all(folder_); }

  GivenFile put(const std::string& name, const KeyPair& pair) {
    GivenFile out{"--cert", folder_ / "files" / (name + ".crt"), "--key", folder_ / "files" / (name + ".key")};
    EXPECT_TRUE(write_file(out.certificate_file, pair.certificate_pem, 0644));
    EXPECT_TRUE(write_file(out.key_file, pair.private_key_pem, 0600));
    return out;
  }
  void give(std::string_view name, const KeyPair& pair) {
    options_.given[std::string(name)] = put(std::string(name), pair);
  }
  static KeyPair server_of(const KeyPair& ca) {
    Template wanted;
    wanted.subject.common_name = "server";
    wanted.ip_addresses = {"192.0.2.1"};
    wanted.usages = {Usage::ServerAuth};
    return *issue(ca, wanted);
  }
  std::string why_refused() {
    auto made = ensure_cluster_pki(options_);
    return made ? "taken" : made.error().message();
  }

  std::filesystem::path folder_;
  ClusterPkiOptions options_;
};

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

}  // namespace

TEST_F(GivenFiles, SignAndAreTrustedWhereTheyShouldBeAndNowhereElse) {
  KeyPair people = *make_ca("people", hours(1)), nodes = *make_ca("nodes", hours(1)),
          serving = *make_ca("serving", hours(1)), root = *make_ca("root", hours(1));
  give(kClientSigner, people);
  give(kKubeletClientSigner, nodes);
  give(kKubeletServingSigner, serving);
  give("apiserver", server_of(root));
  options_.given[std::string(kRootCa)] = put("root", root);
  options_.given[std::string(kRootCa)].key_file.clear();
  auto made = ensure_cluster_pki(options_);
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_EQ(made->client_signer, people);
  EXPECT_EQ(made->kubelet_client_signer, nodes);
  EXPECT_EQ(made->kubelet_serving_signer, serving);
  auto names = [](std::string_view bundle) {
    std::vector<std::string> out;
    for (const Certificate& one : parse_certificates(bundle)) out.push_back(one.subject.common_name);
    return out;
  };
  using Names = std::vector<std::string>;
  // Nodes go by the first: who signs for them.
  EXPECT_EQ(names(made->client_ca_bundle), (Names{"nodes", "people", "kubernetes"}));
  EXPECT_EQ(names(made->kubelet_ca_bundle), (Names{"serving", "kubernetes-kubelet-serving"}));
  EXPECT_EQ(names(made->root_bundle), (Names{"root", "kubernetes"}));
  EXPECT_EQ(names(made->ca_bundle), (Names{"kubernetes"}));
  // Clients on this machine get by without the given certificate.
  EXPECT_EQ(parse_certificate(made->loopback.certificate_pem)->dns_names, Names{std::string(kLoopbackName)});
  EXPECT_TRUE(is_signed_by(made->loopback.certificate_pem, made->ca.certificate_pem));
  EXPECT_EQ(names(with_root(made->apiserver.certificate_pem, made->root_bundle)), (Names{"server", "root"}));
}

TEST_F(GivenFiles, WithoutThemTheClustersOwnDoAll) {
  auto made = ensure_cluster_pki(options_);
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_EQ(made->client_signer, made->ca);
  EXPECT_EQ(made->kubelet_client_signer, made->ca);
  EXPECT_EQ(made->kubelet_serving_signer, made->kubelet_ca);
  EXPECT_EQ(made->client_ca_bundle, made->ca_bundle);
  EXPECT_EQ(made->root_bundle, made->ca_bundle);
  EXPECT_TRUE(made->loopback.certificate_pem.empty());
  EXPECT_FALSE(std::filesystem::exists(folder_ / "pki" / "given"));
}

TEST_F(GivenFiles, StopTheStartWhenTheyDoNotFit) {
  KeyPair good = *make_ca("good", hours(1)), other = *make_ca("other", hours(1));
  auto refused = [&](const KeyPair& pair) {
    give(kClientSigner, pair);
    return why_refused();
  };
  EXPECT_EQ(refused(good), "taken");
  EXPECT_TRUE(has(refused({good.certificate_pem, other.private_key_pem}),
                  "client-signer.crt is not the certificate of the key"));
  EXPECT_TRUE(has(refused({"", good.private_key_pem}), "--cert: "));
  EXPECT_TRUE(has(refused({good.certificate_pem, "nothing"}), "--key: "));
  EXPECT_TRUE(has(refused(server_of(good)), "is no authority's"));
  // Its successor behind it is fine, a leaf is not: it would be trusted.
  EXPECT_EQ(refused({good.certificate_pem + other.certificate_pem, good.private_key_pem}), "taken");
  EXPECT_TRUE(has(refused({good.certificate_pem + server_of(other).certificate_pem, good.private_key_pem}),
                  "is no authority's"));
  give(kClientSigner, good);
  for (auto [mode, fine] :
       {std::pair(0600, true), std::pair(0400, true), std::pair(0640, false), std::pair(0604, false)}) {
    ASSERT_EQ(::chmod(options_.given[std::string(kClientSigner)].key_file.c_str(), static_cast<mode_t>(mode)), 0);
    EXPECT_EQ(why_refused() == "taken", fine) << why_refused();
  }
}

TEST_F(GivenFiles, AnAuthorityOfKubeletsIsNoneThatClientsKnowTheServerBy) {
  KeyPair root = *make_ca("root", hours(1));
  options_.given[std::string(kRootCa)] = put("root", root);
  options_.given[std::string(kRootCa)].key_file.clear();
  give(kKubeletServingSigner, root);
  EXPECT_TRUE(has(why_refused(), "passes for the API server"));
  give(kKubeletServingSigner, *make_ca("other", hours(1)));
  EXPECT_EQ(why_refused(), "taken");
  // The cluster's own, by whose name clients know it too.
  give(kKubeletServingSigner, *load_pair(options_.folder, "ca"));
  EXPECT_TRUE(has(why_refused(), "passes for the API server"));
}

TEST_F(GivenFiles, AServerThatNoClientCouldVerifyDoesNotStart) {
  KeyPair root = *make_ca("root", hours(1));
  give("apiserver", server_of(root));
  EXPECT_TRUE(has(why_refused(), "no client could verify"));
  options_.given[std::string(kRootCa)] = put("root", root);
  options_.given[std::string(kRootCa)].key_file.clear();
  EXPECT_EQ(why_refused(), "taken");
}

TEST_F(GivenFiles, WhileRunningAWrongOneChangesNothingAndHoldsNothingUp) {
  KeyPair first = *make_ca("first", hours(1)), second = *make_ca("second", hours(1));
  give(kClientSigner, first);
  auto live = std::move(*LivePki::open(options_));
  std::string admin = live->current()->clients.at("admin").certificate_pem;
  // Half a change; and the server's own certificates are looked after all the same.
  put(std::string(kClientSigner), {second.certificate_pem, first.private_key_pem});
  ASSERT_TRUE(reissue_leaf(options_.folder, "admin"));
  ASSERT_TRUE(live->refresh()) << live->refresh().error().message();
  EXPECT_EQ(live->current()->client_signer, first);
  EXPECT_NE(live->current()->clients.at("admin").certificate_pem, admin);
  put(std::string(kClientSigner), second);
  ASSERT_TRUE(*live->refresh());
  EXPECT_EQ(live->current()->client_signer, second);
  EXPECT_FALSE(has(live->current()->client_ca_bundle, first.certificate_pem));
}

TEST_F(GivenFiles, AreListedAndNeitherRenewedNorRotated) {
  KeyPair root = *make_ca("root", hours(1));
  give("apiserver", server_of(root));
  options_.given[std::string(kRootCa)] = put("root", root);
  options_.given[std::string(kRootCa)].key_file.clear();
  give(kKubeletServingSigner, *make_ca("serving", hours(1)));
  ASSERT_EQ(why_refused(), "taken");
  EXPECT_EQ(*recall_given(options_.folder), options_.given);
  std::map<std::string, PkiEntry> listed;
  for (PkiEntry& entry : *list_pki(options_.folder)) listed[entry.name] = entry;
  EXPECT_TRUE(has(listed["apiserver"].external, "apiserver.crt"));
  EXPECT_EQ(listed["apiserver"].authority, "root-ca");
  EXPECT_EQ(listed["admin"].external, "");
  EXPECT_TRUE(has(reissue_leaf(options_.folder, "apiserver").error().message(), "is external"));
  EXPECT_TRUE(has(begin_rotation(options_.folder, "kubelet-ca").error().message(), "is not rotated here"));
  EXPECT_TRUE(begin_rotation(options_.folder, "ca"));
  // No longer given: the server's own again.
  options_.given.clear();
  ASSERT_TRUE(ensure_cluster_pki(options_));
  EXPECT_TRUE(recall_given(options_.folder)->empty());
  EXPECT_TRUE(begin_rotation(options_.folder, "kubelet-ca"));
}

TEST_F(GivenFiles, WhoHasAClientsCertificateIsNoServer) {
  KeyPair people = *make_ca("people", hours(1));
  give(kClientSigner, people);
  Template wanted;
  wanted.subject.common_name = "ann";
  wanted.usages = {Usage::ClientAuth};
  auto made = ensure_cluster_pki(options_);
  ASSERT_TRUE(made);
  KeyPair ann = *issue(people, wanted);
  EXPECT_EQ(verify_serving_chain(ann.certificate_pem, made->client_ca_bundle).error().message(),
            "x509: certificate specifies an incompatible key usage");
}
