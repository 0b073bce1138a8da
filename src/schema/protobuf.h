// Constants of protobuf's wire form as Kubernetes uses it; no part of the folder's interface.
// https://protobuf.dev/programming-guides/encoding/
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace redoubt::schema {

inline constexpr uint32_t kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5;

// Before every protobuf object of the API; a runtime.Unknown follows.
inline constexpr std::string_view kProtobufMagic{"k8s\0", 4};

// Deep enough for a CRD's schema, shallow enough for any stack.
inline constexpr size_t kMaxProtobufDepth = 200;

// The years 1 to 9999, which RFC 3339 can write.
inline constexpr int64_t kFirstSecond = -62135596800, kLastSecond = 253402300799;

}  // namespace redoubt::schema
