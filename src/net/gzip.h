// gzip (RFC 1952), as HTTP's content-encoding of that name.
#pragma once
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/status.h"

namespace redoubt::net {

// `level`: 1 (fast) to 9 (small).
std::string gzip(const BytesList& pieces, int level);
// BadRequest for what is no gzip; RequestEntityTooLarge once more than `limit` bytes came out.
Result<std::string> gunzip(std::string_view packed, size_t limit);

}  // namespace redoubt::net
