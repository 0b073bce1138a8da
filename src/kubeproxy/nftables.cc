#include "kubeproxy/nftables.h"

#include <nftables/libnftables.h>

#include <charconv>

#include "kubeproxy/rules.h"

namespace redoubt::kubeproxy {

namespace {

constexpr size_t kShownErrorBytes = 600;

struct Context {
  Context() : nft(nft_ctx_new(NFT_CTX_DEFAULT)) {
    nft_ctx_buffer_output(nft);
    nft_ctx_buffer_error(nft);
  }
  ~Context() { nft_ctx_free(nft); }
  Context(const Context&) = delete;
  nft_ctx* nft;
};

}  // namespace

Result<void> apply_nft(const std::string& script) {
  Context context;
  if (nft_run_cmd_from_buffer(context.nft, script.c_str()) == 0) return {};
  std::string why = nft_ctx_get_error_buffer(context.nft);
  return internal_error("nftables: " + why.substr(0, kShownErrorBytes));
}

std::optional<uint32_t> installed_generation(Family family) {
  Context context;
  std::string list = fmt::format("list set {} {} generation", family == Family::IPv4 ? "ip" : "ip6", kTable);
  if (nft_run_cmd_from_buffer(context.nft, list.c_str()) != 0) return std::nullopt;
  std::string_view text = nft_ctx_get_output_buffer(context.nft);
  size_t at = text.find("elements = { 0x");
  if (at == std::string_view::npos) return std::nullopt;
  text.remove_prefix(at + sizeof "elements = { 0x" - 1);
  uint32_t out = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), out, 16).ec != std::errc()) return std::nullopt;
  return out;
}

}  // namespace redoubt::kubeproxy
