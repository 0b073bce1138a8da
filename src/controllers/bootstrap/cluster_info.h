// ConfigMap kube-public/cluster-info: what a node that joins is told, and how it can tell that it is true.
//
//   kubeconfig             the API server's address and authorities, no user; what kubeadm's discovery reads
//   kubelet-ca.crt         the authorities of kubelets' serving certificates, for agents to know when theirs is
//   replaced jws-kubeconfig-ID      the first of them signed with bootstrap token ID (detached JWS, HS256)
// The annotation redoubt.dev/ended-tokens lists tokens that were deleted or ran out, by their public ids, so that a
// node that comes with one is told which it was.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "controllers/bootstrap/token_secret.h"
#include "controllers/controllers.h"

namespace redoubt::controllers {

inline constexpr std::string_view kEndedTokensAnnotation = "redoubt.dev/ended-tokens";

std::string cluster_info_kubeconfig(const ClusterInfo& info);
// The whole data, signed with those of `tokens` that sign and are not over.
std::map<std::string, std::string> cluster_info_data(const ClusterInfo& info, const std::vector<TokenSecret>& tokens,
                                                     Timestamp present);

// How a token ended; the last 100 are kept.
struct EndedToken {
  std::string id;
  std::string how;  // "expired" or "deleted"
  Timestamp when{};
};
std::vector<EndedToken> parse_ended_tokens(std::string_view annotation);
std::string format_ended_tokens(std::vector<EndedToken> tokens);

}  // namespace redoubt::controllers
