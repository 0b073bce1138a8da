// Random names, ids and secrets, all from the kernel's generator by way of OpenSSL. Any thread.
#pragma once
#include <cstdint>
#include <span>
#include <string>

namespace redoubt {

void random_bytes(std::span<unsigned char> into);
uint64_t random_u64();
// Uniform in [0, bound).
uint64_t random_below(uint64_t bound);
// `length` characters of Kubernetes' safe alphabet (bcdfghjklmnpqrstvwxz2456789), as generateName appends them.
std::string random_suffix(size_t length = 5);
// A version 4 UUID, lower case: metadata.uid.
std::string random_uuid();

}  // namespace redoubt
