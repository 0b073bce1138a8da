#include "base/random.h"

#include <fmt/format.h>
#include <openssl/rand.h>

#include <cstdlib>

#include "base/log.h"

namespace redoubt {

void random_bytes(std::span<unsigned char> into) {
  if (RAND_bytes(into.data(), static_cast<int>(into.size())) != 1) {
    // Going on with predictable names and keys would be worse than stopping.
    log_error("the kernel's random generator failed");
    std::abort();
  }
}

uint64_t random_u64() {
  uint64_t value = 0;
  random_bytes({reinterpret_cast<unsigned char*>(&value), sizeof value});
  return value;
}

uint64_t random_below(uint64_t bound) {
  // Values of the last, incomplete round are thrown away, so that every result is equally likely.
  uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
  uint64_t value = random_u64();
  while (value >= limit) value = random_u64();
  return value % bound;
}

std::string random_suffix(size_t length) {
  // No vowels (no words) and nothing that looks like something else.
  static constexpr std::string_view kAlphabet = "bcdfghjklmnpqrstvwxz2456789";
  std::string out;
  for (size_t i = 0; i < length; ++i) out += kAlphabet[random_below(kAlphabet.size())];
  return out;
}

std::string random_uuid() {
  unsigned char b[16];
  random_bytes(b);
  b[6] = (b[6] & 0x0F) | 0x40;
  b[8] = (b[8] & 0x3F) | 0x80;
  std::string out;
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
    out += fmt::format("{:02x}", b[i]);
  }
  return out;
}

}  // namespace redoubt
