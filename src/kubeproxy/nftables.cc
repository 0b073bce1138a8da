#include "kubeproxy/nftables.h"

#include <charconv>

#include "kubeproxy/rules.h"
#include "nft/nft.h"

namespace redoubt::kubeproxy {

std::optional<uint32_t> installed_generation(Family family) {
  auto printed = nft::print(fmt::format("list set {} {} generation", family == Family::IPv4 ? "ip" : "ip6", kTable));
  if (!printed) return std::nullopt;
  std::string_view text = *printed;
  size_t at = text.find("elements = { 0x");
  if (at == std::string_view::npos) return std::nullopt;
  text.remove_prefix(at + sizeof "elements = { 0x" - 1);
  uint32_t out = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), out, 16).ec != std::errc()) return std::nullopt;
  return out;
}

}  // namespace redoubt::kubeproxy
