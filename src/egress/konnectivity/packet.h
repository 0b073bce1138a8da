// Konnectivity's one message, on the wire as upstream's client.proto has it (proto3): what an API server, a proxy
// server and an agent say to each other. Written by hand: a handful of fields, and the payload of DATA, which comes
// last, is passed on without a copy.
// https://github.com/kubernetes-sigs/apiserver-network-proxy/blob/master/konnectivity-client/proto/client/client.proto
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/status.h"

namespace redoubt::konnectivity {

enum class PacketType : uint32_t {
  DialReq = 0,   // protocol, address, random
  DialRsp = 1,   // error, connect_id, random
  CloseReq = 2,  // connect_id
  CloseRsp = 3,  // error, connect_id
  Data = 4,      // connect_id, data
  DialCls = 5,   // random
  Drain = 6,     // nothing
  // Ours, and sent only to a peer that said it knows them (header.h): the peer may send so many more bytes on a
  // connection; and one direction of a connection has ended.
  Window = 64,  // connect_id, window
  End = 65,     // connect_id
};
// "DIAL_REQ", as metrics name it; "Unknown" for what upstream does not have.
std::string_view packet_type_name(PacketType type);

struct Packet {
  PacketType type = PacketType::DialReq;
  int64_t connect_id = 0;
  int64_t random = 0;
  std::string protocol;
  std::string address;
  std::string error;
  Bytes data;
  uint64_t window = 0;
};

// Reads a packet; `data` shares the message's memory. BadRequest when it is malformed. A type that is not known is no
// error: such packets are passed over. Texts are cut to their bounds and hold valid UTF-8 only.
Result<Packet> decode_packet(const Bytes& message);
// The pieces of a message; the last is `data` itself.
BytesList encode_packet(const Packet& packet);

}  // namespace redoubt::konnectivity
