// Every bound of apiserver/auth, with its reason.
#pragma once
#include <chrono>
#include <cstddef>

namespace redoubt::apiserver {

// Verified tokens remembered; about 700 bytes each. Beyond it the memory starts afresh.
inline constexpr size_t kMaxVerifiedTokens = 4096;
// How long an object that is being deleted still backs its tokens after its time, so that containers can finish.
inline constexpr std::chrono::seconds kDeletionLeeway{60};
// Clocks of issuers may be ahead of ours by this much.
inline constexpr std::chrono::seconds kClockLeeway{5};
inline constexpr std::chrono::seconds kIssuerClockLeeway{300};  // as upstream's OIDC verifier gives others' "nbf"

// Answers of one webhook that are remembered.
inline constexpr size_t kMaxRememberedAnswers = 4096;
// Questions to one webhook under way at once; further ones are refused, so that a slow webhook can't pile up requests.
inline constexpr size_t kMaxQuestionsUnderWay = 1000;
// A webhook's answer, and an issuer's documents: reviews and key lists are a few KB.
inline constexpr size_t kMaxAnswerBytes = 1024 * 1024;
// A SubjectAccessReview above this is not remembered: requests choose its text (upstream's bound).
inline constexpr size_t kMaxRememberedQuestionBytes = 10'000;

// Issuer documents: how long a fetch may take, between failed fetches (doubling), and how old keys get before they are
// fetched anew in the background.
inline constexpr std::chrono::seconds kIssuerTimeout{30};
inline constexpr std::chrono::seconds kMinIssuerBackoff{1};
inline constexpr std::chrono::seconds kMaxIssuerBackoff{60};
inline constexpr std::chrono::minutes kMaxKeyAge{10};
// Fetches that tokens with unknown keys may cause: this many at once, then one in so many seconds. Who sends garbage
// must not make us hammer the issuer.
inline constexpr double kUnknownKeyBurst = 5;
inline constexpr double kUnknownKeySeconds = 10;

// JWT issuers in a configuration file (upstream's bound).
inline constexpr size_t kMaxJwtIssuers = 64;
// Configuration files are looked at this often for a change.
inline constexpr std::chrono::seconds kReloadInterval{5};
inline constexpr size_t kMaxConfigBytes = 3 * 1024 * 1024;

}  // namespace redoubt::apiserver
