// tokencleaner: a bootstrap token's Secret is deleted at its end.
#include "base/log.h"
#include "controllers/bootstrap/token_secret.h"
#include "controllers/controllers.h"
#include "controllers/run_all.h"

namespace redoubt::controllers {

namespace {

class TokenCleaner : public Controller {
 public:
  explicit TokenCleaner(client::Client& api)
      : api_(api),
        secrets_(api, "kube-system", client::ListOptions{.field_selector = std::string("type=") + kTokenSecretType}),
        queue_(api.executor(), "token-cleaner", [this](std::string key) { return reconcile(std::move(key)); }, 1) {
    secrets_.on_change([this](const auto&, const auto& after) {
      if (after) queue_.add(after->metadata.name);
    });
  }
  Task<void> run() override { co_await run_all(api_.executor(), "token-cleaner", secrets_.run(), queue_.run()); }

 private:
  Task<Result<client::WorkQueue::Outcome>> reconcile(std::string name) {
    auto secret = secrets_.get("kube-system", name);
    client::WorkQueue::Outcome out;
    if (!secret) co_return out;
    auto token = read_token_secret(*secret);
    if (!token || !token->ends) co_return out;
    Timestamp present = now();
    if (!token->is_over(present)) {
      out.again_after = std::chrono::ceil<std::chrono::milliseconds>(*token->ends - present);
      co_return out;
    }
    client::DeleteOptions options;
    options.uid = secret->metadata.uid;
    auto gone = co_await api_.remove<core::Secret>("kube-system", name, options);
    if (!gone && !gone.error().is("NotFound") && gone.error().code() != 409) co_return Error(gone.error());
    log_info("a bootstrap token has run out", {{"token", token->token.id}});
    co_return out;
  }

  client::Client& api_;
  client::Informer<core::Secret> secrets_;
  client::WorkQueue queue_;
};

}  // namespace

std::unique_ptr<Controller> make_token_cleaner(client::Client& api) {
  return std::make_unique<TokenCleaner>(api);
}

}  // namespace redoubt::controllers
