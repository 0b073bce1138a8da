// Limits of auditing, each with its reason.
#pragma once
#include <chrono>
#include <cstddef>

namespace redoubt::apiserver::audit {

// A policy is a page of text; more is a wrong file.
inline constexpr size_t kMaxPolicyBytes = 1024 * 1024;
// Upstream's: what of a User-Agent is kept.
inline constexpr size_t kMaxUserAgentBytes = 1024;
// A client chooses its Audit-ID: it must not be able to blow up every line.
inline constexpr size_t kMaxAuditIdBytes = 256;
// Addresses taken from X-Forwarded-For; a client chooses that header too.
inline constexpr size_t kMaxForwardedAddresses = 32;
// What of a response is kept for RequestResponse: a LIST of everything is no use in a log line.
inline constexpr size_t kMaxBodyBytes = 3 * 1024 * 1024;
// Webhook batches on their way at once; upstream has no bound, and a slow receiver takes all memory.
inline constexpr size_t kMaxWebhookBatchesInFlight = 4;
// Tries of one webhook batch, upstream's.
inline constexpr int kWebhookTries = 5;
inline constexpr std::chrono::seconds kWebhookTimeout{30};
// How long a stop waits for events that are still to be sent.
inline constexpr std::chrono::seconds kFlushOnStop{5};
// A rotated file's size when --audit-log-maxsize is 0, as upstream's logger has it.
inline constexpr size_t kDefaultMaxSizeMegabytes = 100;

}  // namespace redoubt::apiserver::audit
