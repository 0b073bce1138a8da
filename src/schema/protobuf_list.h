// The parts of a protobuf list, for who has its items' messages at hand and splices them.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

#include "schema/type.h"

namespace redoubt::schema {

// What to_protobuf (schema/codec.h) puts around a message of `size` bytes.
struct ProtobufEnvelope {
  std::string before;
  std::string_view after;
};
ProtobufEnvelope protobuf_envelope(std::string_view api_version, std::string_view kind, size_t size);

// What goes before each item of that size in a list's message.
std::string protobuf_item_head(const Type& list, size_t size);

}  // namespace redoubt::schema
