#include "controllers/certificates/rules.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace redoubt::controllers {

namespace {

constexpr std::string_view kNodePrefix = "system:node:";

bool has(const std::vector<std::string>& list, std::string_view wanted) {
  return std::find(list.begin(), list.end(), wanted) != list.end();
}

// An address in one form, so that two texts of it are equal.
std::string canonical(const std::string& address) {
  unsigned char raw[16];
  char text[INET6_ADDRSTRLEN];
  for (int family : {AF_INET, AF_INET6}) {
    if (inet_pton(family, address.c_str(), raw) == 1) return inet_ntop(family, raw, text, sizeof text);
  }
  return address;
}

// Loopback, unspecified, link-local and multicast addresses are no node's own.
bool is_special(const std::string& address) {
  for (const char* cidr : {"127.0.0.0/8", "0.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3", "::1/128", "::/128",
                           "fe80::/10", "ff00::/8", "::ffff:0:0/96"}) {
    if (in_cidr(address, cidr)) return true;
  }
  return false;
}

// Upstream's exact sets: the needed usages, and key encipherment or not.
std::string wrong_usages(const std::vector<std::string>& usages, std::string_view purpose) {
  for (const std::string& usage : usages) {
    if (usage != "digital signature" && usage != "key encipherment" && usage != purpose)
      return fmt::format("the usage \"{}\" is not for this signer", usage);
  }
  if (!has(usages, purpose)) return fmt::format("the usage \"{}\" is missing", purpose);
  return "";
}

}  // namespace

std::string node_of_subject(const pki::Request& request) {
  const std::string& name = request.subject.common_name;
  if (!name.starts_with(kNodePrefix) || request.subject.organizations != std::vector<std::string>{"system:nodes"} ||
      request.other_names)
    return "";
  return name.substr(kNodePrefix.size());
}

std::string misfit(std::string_view signer, const pki::Request& request, const std::vector<std::string>& usages) {
  bool serving = signer == kServingSigner;
  if (std::string wrong = wrong_usages(usages, serving ? "server auth" : "client auth"); !wrong.empty()) return wrong;
  if (signer == kClientSigner) {
    if (has(request.subject.organizations, "system:masters")) return "system:masters can't be asked for";
    return "";
  }
  if (!has(usages, "digital signature")) return "the usage \"digital signature\" is missing";
  if (request.subject.organizations != std::vector<std::string>{"system:nodes"})
    return "the subject's organization is not [system:nodes]";
  if (node_of_subject(request).empty()) return "the subject's common name does not begin with [system:node:]";
  if (!request.emails.empty()) return "email subjectAltNames are not allowed";
  if (!request.uris.empty()) return "URI subjectAltNames are not allowed";
  if (serving && request.dns_names.empty() && request.ip_addresses.empty())
    return "DNS or IP subjectAltName is required";
  if (!serving && !request.dns_names.empty()) return "DNS subjectAltNames are not allowed";
  if (!serving && !request.ip_addresses.empty()) return "IP subjectAltNames are not allowed";
  return "";
}

bool in_cidr(const std::string& address, const std::string& cidr) {
  size_t slash = cidr.find('/');
  int bits = 0;
  if (slash == std::string::npos ||
      std::from_chars(cidr.data() + slash + 1, cidr.data() + cidr.size(), bits).ec != std::errc())
    return false;
  unsigned char a[16], b[16];
  int family = cidr.find(':') == std::string::npos ? AF_INET : AF_INET6;
  if (inet_pton(family, address.c_str(), a) != 1 || inet_pton(family, cidr.substr(0, slash).c_str(), b) != 1)
    return false;
  int size = family == AF_INET ? 32 : 128;
  if (bits < 0 || bits > size) return false;
  for (int i = 0; i < bits; ++i) {
    if (((a[i / 8] ^ b[i / 8]) >> (7 - i % 8)) & 1) return false;
  }
  return true;
}

std::string why_not_own(const pki::Request& request, const ServingFacts& facts) {
  for (const std::string& dns : request.dns_names) {
    if (dns != facts.node) return fmt::format("the DNS name {} is not the node's name", dns);
  }
  std::vector<std::string> seen;
  for (const std::string& address : facts.seen) seen.push_back(canonical(address));
  for (const std::string& text : request.ip_addresses) {
    std::string address = canonical(text);
    if (is_special(address)) return fmt::format("the address {} is no node's own", address);
    bool was_seen = has(seen, address);
    bool allowed = std::any_of(facts.allow.begin(), facts.allow.end(),
                               [&](const std::string& cidr) { return in_cidr(address, cidr); });
    AddressOwner owner = facts.owner(address);
    switch (owner.kind) {
      case OwnerKind::Node:
        return fmt::format("the address {} belongs to node {}", address, owner.name);
      case OwnerKind::Service:
        return fmt::format("the address {} belongs to Service {}", address, owner.name);
      case OwnerKind::ApiServer:
        // Only a node on that very machine connects from there.
        if (!was_seen) return fmt::format("the address {} belongs to an API server", address);
        break;
      case OwnerKind::None:
        break;
    }
    if (!was_seen && !allowed)
      return fmt::format(
          "the node was not seen to connect from the address {}, and no --node-address-allow network holds it (seen: "
          "{})",
          address, facts.seen.empty() ? "none" : fmt::format("{}", fmt::join(facts.seen, ", ")));
  }
  return "";
}

}  // namespace redoubt::controllers
