#include "nft/nft.h"

#include <nftables/libnftables.h>

namespace redoubt::nft {

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

Result<void> apply(const std::string& script) {
  Context context;
  if (nft_run_cmd_from_buffer(context.nft, script.c_str()) == 0) return {};
  std::string why = nft_ctx_get_error_buffer(context.nft);
  return internal_error("nftables: " + why.substr(0, kShownErrorBytes));
}

std::optional<std::string> print(const std::string& list_command) {
  Context context;
  if (nft_run_cmd_from_buffer(context.nft, list_command.c_str()) != 0) return std::nullopt;
  return nft_ctx_get_output_buffer(context.nft);
}

}  // namespace redoubt::nft
