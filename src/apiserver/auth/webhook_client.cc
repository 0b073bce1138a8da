#include "apiserver/auth/webhook_client.h"

#include "base/random.h"

namespace redoubt::apiserver {

namespace {

constexpr int kTries = 5;
constexpr double kFirstPauseMs = 500, kGrowth = 1.5, kJitter = 0.2;

}  // namespace

Task<Result<std::string>> ask_webhook(HttpsCaller& caller, std::string review, std::chrono::milliseconds within) {
  auto deadline = std::chrono::steady_clock::now() + within;
  double pause_ms = kFirstPauseMs;
  for (int attempt = 1;; ++attempt) {
    auto answer = co_await caller.call("POST", review);
    Status why;
    if (answer && answer->status >= 200 && answer->status < 300) co_return std::move(answer->body);
    if (answer) {
      why = service_unavailable(fmt::format("the webhook answered {}", answer->status)).error();
      if (answer->status != 429 && answer->status < 500) co_return Error(why);
    } else {
      why = answer.error();
    }
    auto pause = std::chrono::milliseconds(
        static_cast<int64_t>(pause_ms * (1 + kJitter * static_cast<double>(random_below(1000)) / 1000)));
    if (attempt == kTries || std::chrono::steady_clock::now() + pause >= deadline) co_return Error(why);
    co_await sleep_for(pause);
    pause_ms *= kGrowth;
  }
}

}  // namespace redoubt::apiserver
