// What kubelets may be given certificates for, as pure functions: the approver's and the signer's common ground.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "pki/certificate.h"

namespace redoubt::controllers {

inline constexpr std::string_view kClientSigner = "kubernetes.io/kube-apiserver-client";
inline constexpr std::string_view kClientKubeletSigner = "kubernetes.io/kube-apiserver-client-kubelet";
inline constexpr std::string_view kServingSigner = "kubernetes.io/kubelet-serving";

// NAME of a subject system:node:NAME in system:nodes and nothing else; empty for any other.
std::string node_of_subject(const pki::Request& request);

// Why a request does not fit its signer's rules (upstream's for the three above); empty when it does.
std::string misfit(std::string_view signer, const pki::Request& request, const std::vector<std::string>& usages);

// Whether an address lies in a network, "10.0.0.0/8".
bool in_cidr(const std::string& address, const std::string& cidr);

// Who else an address belongs to.
enum class OwnerKind { None, Node, Service, ApiServer };
struct AddressOwner {
  OwnerKind kind = OwnerKind::None;
  std::string name;
};

struct ServingFacts {
  std::string node;
  std::vector<std::string> seen;   // addresses the node's credential was used from, by the API server's record
  std::vector<std::string> allow;  // CIDRs, --node-address-allow
  std::function<AddressOwner(const std::string& address)> owner;  // other nodes, Services, API servers
};
// Why the names of a kubelet's serving request are not known to be the node's own; empty when they are.
std::string why_not_own(const pki::Request& request, const ServingFacts& facts);

}  // namespace redoubt::controllers
