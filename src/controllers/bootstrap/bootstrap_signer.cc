// bootstrapsigner: keeps ConfigMap kube-public/cluster-info true, and signed with each token that may sign.
#include <algorithm>

#include "base/log.h"
#include "controllers/bootstrap/cluster_info.h"
#include "controllers/run_all.h"

namespace redoubt::controllers {

namespace {

constexpr const char *kNamespace = "kube-public", *kName = "cluster-info";

class BootstrapSigner : public Publisher<ClusterInfo> {
 public:
  BootstrapSigner(client::Client& api, ClusterInfo info)
      : api_(api),
        info_(std::move(info)),
        secrets_(api, "kube-system", client::ListOptions{.field_selector = std::string("type=") + kTokenSecretType}),
        config_maps_(api, kNamespace, client::ListOptions{.field_selector = std::string("metadata.name=") + kName}),
        queue_(api.executor(), "bootstrap-signer", [this](std::string) { return reconcile(); }, 1) {
    secrets_.on_change([this](const auto& before, const auto& after) {
      if (before && !after) ended(*before);
      queue_.add(kName);
    });
    config_maps_.on_change([this](const auto&, const auto&) { queue_.add(kName); });
  }
  Task<void> run() override {
    queue_.add(kName);
    co_await run_all(api_.executor(), "bootstrap-signer", secrets_.run(), config_maps_.run(), queue_.run());
  }
  void replace(ClusterInfo info) override {
    if (info == info_) return;
    info_ = std::move(info);
    queue_.add(kName);
  }

 private:
  void ended(const core::Secret& secret) {
    auto token = read_token_secret(secret);
    if (!token) return;
    bool over = token->is_over(now());
    ended_.push_back({token->token.id, over ? "expired" : "deleted", over ? *token->ends : now()});
  }

  Task<Result<client::WorkQueue::Outcome>> reconcile() {
    co_await secrets_.wait_synced();
    co_await config_maps_.wait_synced();
    auto there = config_maps_.get(kNamespace, kName);
    Timestamp present = now();
    std::vector<TokenSecret> tokens;
    std::optional<Timestamp> next;
    for (const auto& [key, secret] : secrets_.objects()) {
      auto token = read_token_secret(*secret);
      if (!token) continue;
      if (token->signs && token->ends && *token->ends > present && (!next || *token->ends < *next)) next = token->ends;
      tokens.push_back(std::move(*token));
    }
    core::ConfigMap map;
    if (there) map = *there;
    map.metadata.name = kName;
    map.metadata.namespace_ = kNamespace;
    std::map<std::string, std::string> wanted = cluster_info_data(info_, tokens, present);
    std::string note = ended_note(map, tokens);
    std::string& noted = map.metadata.annotations[std::string(kEndedTokensAnnotation)];
    if (!there || map.data != wanted || noted != note) {
      noted = std::move(note);
      map.data = std::move(wanted);
      auto written = there ? co_await api_.update(std::move(map)) : co_await api_.create(std::move(map));
      if (!written) co_return Error(written.error());
      ended_.clear();
    }
    client::WorkQueue::Outcome out;
    if (next) out.again_after = std::chrono::ceil<std::chrono::milliseconds>(*next - present) + kAfterEnd;
    co_return out;
  }

  // What was known before, without tokens that are there again, and what ended since.
  std::string ended_note(const core::ConfigMap& map, const std::vector<TokenSecret>& tokens) const {
    auto it = map.metadata.annotations.find(std::string(kEndedTokensAnnotation));
    std::vector<EndedToken> all;
    if (it != map.metadata.annotations.end()) all = parse_ended_tokens(it->second);
    auto note = [&](EndedToken one) {
      std::erase_if(all, [&](const EndedToken& other) { return other.id == one.id; });
      all.push_back(std::move(one));
    };
    for (const EndedToken& one : ended_) note(one);
    auto present = [&](const std::string& id) {
      return std::any_of(tokens.begin(), tokens.end(),
                         [&](const TokenSecret& t) { return t.token.id == id && !t.is_over(now()); });
    };
    for (const TokenSecret& token : tokens) {
      if (token.is_over(now())) note({token.token.id, "expired", *token.ends});
    }
    // Tokens that signed and went while nobody looked.
    constexpr std::string_view kPrefix = "jws-kubeconfig-";
    for (const auto& [key, value] : map.data) {
      if (!key.starts_with(kPrefix)) continue;
      std::string id = key.substr(kPrefix.size());
      bool known = std::any_of(all.begin(), all.end(), [&](const EndedToken& one) { return one.id == id; });
      if (!known && !present(id)) note({id, "deleted", now()});
    }
    std::erase_if(all, [&](const EndedToken& one) { return present(one.id); });
    return format_ended_tokens(std::move(all));
  }

  // A token's end is looked at a moment after it, so that it has passed by everybody's clock here.
  static constexpr std::chrono::milliseconds kAfterEnd{50};
  client::Client& api_;
  ClusterInfo info_;
  std::vector<EndedToken> ended_;  // since the last write
  client::Informer<core::Secret> secrets_;
  client::Informer<core::ConfigMap> config_maps_;
  client::WorkQueue queue_;
};

}  // namespace

std::unique_ptr<Publisher<ClusterInfo>> make_bootstrap_signer(client::Client& api, ClusterInfo info) {
  return std::make_unique<BootstrapSigner>(api, std::move(info));
}

}  // namespace redoubt::controllers
