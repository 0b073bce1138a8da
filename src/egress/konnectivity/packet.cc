#include "egress/konnectivity/packet.h"

#include <optional>

#include "egress/konnectivity/limits.h"

namespace redoubt::konnectivity {

namespace {

enum WireType { kVarint = 0, kFixed64 = 1, kLength = 2, kFixed32 = 5 };

struct Field {
  uint32_t number = 0;
  WireType wire = kVarint;
  uint64_t value = 0;
  std::string_view bytes;
};

// Reads one message's fields in order.
class Fields {
 public:
  explicit Fields(std::string_view text) : rest_(text) {}
  bool ok() const { return ok_; }

  std::optional<Field> next() {
    if (rest_.empty() || !ok_) return std::nullopt;
    Field field;
    uint64_t key = 0;
    if (!varint(key)) return fail();
    field.wire = static_cast<WireType>(key & 7);
    if (key >> 3 == 0 || key >> 3 > 0x1FFFFFFF) return fail();
    field.number = static_cast<uint32_t>(key >> 3);
    switch (field.wire) {
      case kVarint:
        if (!varint(field.value)) return fail();
        return field;
      case kFixed64:
        return skip(8) ? std::optional(field) : fail();
      case kFixed32:
        return skip(4) ? std::optional(field) : fail();
      case kLength: {
        uint64_t size = 0;
        if (!varint(size) || size > rest_.size()) return fail();
        field.bytes = rest_.substr(0, size);
        rest_.remove_prefix(size);
        return field;
      }
    }
    return fail();
  }

 private:
  bool varint(uint64_t& value) {
    value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (rest_.empty()) return false;
      auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      value |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return true;
    }
    return false;
  }
  bool skip(size_t n) {
    if (rest_.size() < n) return false;
    rest_.remove_prefix(n);
    return true;
  }
  std::optional<Field> fail() {
    ok_ = false;
    return std::nullopt;
  }

  std::string_view rest_;
  bool ok_ = true;
};

// The payload's field in Packet; 0: no such type.
uint32_t payload_field(PacketType type) {
  switch (type) {
    case PacketType::DialReq:
      return 2;
    case PacketType::DialRsp:
      return 3;
    case PacketType::Data:
      return 4;
    case PacketType::CloseReq:
      return 5;
    case PacketType::CloseRsp:
      return 6;
    case PacketType::DialCls:
      return 7;
    case PacketType::Drain:
      return 8;
    case PacketType::Window:
    case PacketType::End:
      return 64;
  }
  return 0;
}

bool is_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    auto c = static_cast<unsigned char>(text[i]);
    size_t n = c < 0x80 ? 1 : c >= 0xC2 && c < 0xE0 ? 2 : c >= 0xE0 && c < 0xF0 ? 3 : c >= 0xF0 && c < 0xF5 ? 4 : 0;
    if (n == 0 || i + n > text.size()) return false;
    for (size_t k = 1; k < n; ++k) {
      if ((static_cast<unsigned char>(text[i + k]) & 0xC0) != 0x80) return false;
    }
    auto second = n > 1 ? static_cast<unsigned char>(text[i + 1]) : 0;
    if ((c == 0xE0 && second < 0xA0) || (c == 0xED && second > 0x9F) || (c == 0xF0 && second < 0x90) ||
        (c == 0xF4 && second > 0x8F)) {
      return false;
    }
    i += n;
  }
  return true;
}

// A peer's text goes on to others, whose protobuf refuses what is no UTF-8.
std::string text_of(std::string_view bytes, size_t limit) {
  std::string out(bytes.substr(0, limit));
  if (!is_utf8(out)) {
    for (char& c : out) {
      if (static_cast<unsigned char>(c) >= 0x80) c = '?';
    }
  }
  return out;
}

void put_varint(std::string& out, uint64_t value) {
  while (value >= 0x80) {
    out += static_cast<char>(value | 0x80);
    value >>= 7;
  }
  out += static_cast<char>(value);
}
void put_number(std::string& out, uint32_t field, uint64_t value) {
  if (value == 0) return;
  put_varint(out, field << 3 | kVarint);
  put_varint(out, value);
}
void put_text(std::string& out, uint32_t field, std::string_view text) {
  if (text.empty()) return;
  put_varint(out, field << 3 | kLength);
  put_varint(out, text.size());
  out += text;
}

Result<void> decode_payload(const Bytes& message, std::string_view bytes, Packet& packet) {
  Fields fields(bytes);
  while (auto field = fields.next()) {
    bool number = field->wire == kVarint, text = field->wire == kLength;
    auto value = static_cast<int64_t>(field->value);
    switch (packet.type) {
      case PacketType::DialReq:
        if (field->number == 1 && text) packet.protocol = text_of(field->bytes, kMaxAddressBytes);
        if (field->number == 2 && text) {
          if (field->bytes.size() > kMaxAddressBytes)
            return bad_request("konnectivity: the address to dial is too long");
          packet.address = text_of(field->bytes, kMaxAddressBytes);
        }
        if (field->number == 3 && number) packet.random = value;
        break;
      case PacketType::DialRsp:
        if (field->number == 1 && text) packet.error = text_of(field->bytes, kMaxErrorBytes);
        if (field->number == 2 && number) packet.connect_id = value;
        if (field->number == 3 && number) packet.random = value;
        break;
      case PacketType::CloseReq:
      case PacketType::End:
        if (field->number == 1 && number) packet.connect_id = value;
        break;
      case PacketType::CloseRsp:
        if (field->number == 1 && text) packet.error = text_of(field->bytes, kMaxErrorBytes);
        if (field->number == 2 && number) packet.connect_id = value;
        break;
      case PacketType::DialCls:
        if (field->number == 1 && number) packet.random = value;
        break;
      case PacketType::Data:
        if (field->number == 1 && number) packet.connect_id = value;
        if (field->number == 2 && text) packet.error = text_of(field->bytes, kMaxErrorBytes);
        if (field->number == 3 && text) {
          packet.data = message.slice(static_cast<size_t>(field->bytes.data() - message.data()), field->bytes.size());
        }
        break;
      case PacketType::Window:
        if (field->number == 1 && number) packet.connect_id = value;
        if (field->number == 2 && number) packet.window = field->value;
        break;
      case PacketType::Drain:
        break;
    }
  }
  if (!fields.ok()) return bad_request("konnectivity: a malformed packet");
  return {};
}

}  // namespace

std::string_view packet_type_name(PacketType type) {
  switch (type) {
    case PacketType::DialReq:
      return "DIAL_REQ";
    case PacketType::DialRsp:
      return "DIAL_RSP";
    case PacketType::CloseReq:
      return "CLOSE_REQ";
    case PacketType::CloseRsp:
      return "CLOSE_RSP";
    case PacketType::Data:
      return "DATA";
    case PacketType::DialCls:
      return "DIAL_CLS";
    case PacketType::Drain:
      return "DRAIN";
    case PacketType::Window:
    case PacketType::End:
      break;
  }
  return "Unknown";
}

Result<Packet> decode_packet(const Bytes& message) {
  Packet packet;
  // The type may come after the payload it is about, so that it is looked for first.
  Fields first(message.view());
  while (auto field = first.next()) {
    if (field->number == 1 && field->wire == kVarint) packet.type = static_cast<PacketType>(field->value);
  }
  if (!first.ok()) return bad_request("konnectivity: a malformed packet");
  uint32_t wanted = payload_field(packet.type);
  Fields second(message.view());
  while (auto field = second.next()) {
    if (wanted != 0 && field->number == wanted && field->wire == kLength)
      RD_TRYV(decode_payload(message, field->bytes, packet));
  }
  return packet;
}

BytesList encode_packet(const Packet& packet) {
  std::string body;
  switch (packet.type) {
    case PacketType::DialReq:
      put_text(body, 1, packet.protocol);
      put_text(body, 2, packet.address);
      put_number(body, 3, static_cast<uint64_t>(packet.random));
      break;
    case PacketType::DialRsp:
      put_text(body, 1, packet.error);
      put_number(body, 2, static_cast<uint64_t>(packet.connect_id));
      put_number(body, 3, static_cast<uint64_t>(packet.random));
      break;
    case PacketType::CloseReq:
    case PacketType::End:
      put_number(body, 1, static_cast<uint64_t>(packet.connect_id));
      break;
    case PacketType::CloseRsp:
      put_text(body, 1, packet.error);
      put_number(body, 2, static_cast<uint64_t>(packet.connect_id));
      break;
    case PacketType::DialCls:
      put_number(body, 1, static_cast<uint64_t>(packet.random));
      break;
    case PacketType::Data:
      put_number(body, 1, static_cast<uint64_t>(packet.connect_id));
      put_text(body, 2, packet.error);
      if (!packet.data.empty()) {
        put_varint(body, 3 << 3 | kLength);
        put_varint(body, packet.data.size());
      }
      break;
    case PacketType::Window:
      put_number(body, 1, static_cast<uint64_t>(packet.connect_id));
      put_number(body, 2, packet.window);
      break;
    case PacketType::Drain:
      break;
  }
  size_t data = packet.type == PacketType::Data ? packet.data.size() : 0;
  std::string head;
  put_number(head, 1, static_cast<uint32_t>(packet.type));
  if (uint32_t field = payload_field(packet.type); field != 0) {
    put_varint(head, field << 3 | kLength);
    put_varint(head, body.size() + data);
    head += body;
  }
  BytesList out;
  out.push_back(Bytes::take(std::move(head)));
  if (data > 0) out.push_back(packet.data);
  return out;
}

}  // namespace redoubt::konnectivity
