// Base64 (RFC 4648: standard and URL-safe) and hex.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace redoubt {

std::string base64_encode(std::string_view bytes);
// Standard alphabet with padding; line breaks allowed, as Go's decoder allows them. Nothing for anything else.
std::optional<std::string> base64_decode(std::string_view text);
// URL-safe alphabet, no padding (JWT, WebSocket subprotocol tokens).
std::string base64url_encode(std::string_view bytes);
std::optional<std::string> base64url_decode(std::string_view text);
std::string hex_encode(std::string_view bytes);
std::optional<std::string> hex_decode(std::string_view text);

}  // namespace redoubt
