#include <cmath>

#include "base/encoding.h"
#include "base/time.h"
#include "schema/codec.h"
#include "schema/decode_helpers.h"
#include "schema/protobuf.h"

namespace redoubt::schema {
namespace {

using TypeOf = const Type* (*)(std::string_view api_version, std::string_view kind);

// A message's bytes, read tag by tag. Every reader says false where the bytes end too early.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  bool done() const { return at_ == end_; }

  bool varint(uint64_t& out) {
    out = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ == end_) return false;
      auto byte = static_cast<uint8_t>(*at_++);
      out |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return true;
    }
    return false;
  }
  bool tag(uint32_t& number, uint32_t& wire) {
    uint64_t key = 0;
    if (!varint(key) || key > UINT32_MAX || key >> 3 == 0) return false;
    number = static_cast<uint32_t>(key >> 3);
    wire = static_cast<uint32_t>(key & 7);
    return true;
  }
  bool bytes(std::string_view& out) {
    uint64_t length = 0;
    if (!varint(length) || length > static_cast<uint64_t>(end_ - at_)) return false;
    out = {at_, static_cast<size_t>(length)};
    at_ += length;
    return true;
  }
  bool fixed64(uint64_t& out) {
    if (end_ - at_ < 8) return false;
    out = 0;
    for (int i = 7; i >= 0; --i) out = out << 8 | static_cast<uint8_t>(at_[i]);
    at_ += 8;
    return true;
  }
  bool skip(uint32_t wire) {
    uint64_t ignored = 0;
    std::string_view view;
    switch (wire) {
      case kVarint:
        return varint(ignored);
      case kFixed64:
        return fixed64(ignored);
      case kBytes:
        return bytes(view);
      case kFixed32:
        if (end_ - at_ < 4) return false;
        at_ += 4;
        return true;
      default:
        return false;  // groups: nothing of Kubernetes uses them
    }
  }

 private:
  const char* at_;
  const char* end_;
};

Error malformed(const Type& type) {
  return bad_request(fmt::format("proto: {}: the message is cut short or malformed", type.name));
}

class Decoder {
 public:
  Decoder(Arena& arena, const DecodeLimits& limits, TypeOf type_of)
      : arena_(arena), limits_(limits), type_of_(type_of) {}

  Result<Value> message(std::string_view bytes, const Type& type, size_t depth) {
    Value out = Value::object(arena_);
    RD_TRYV(members_into(out, bytes, type, depth));
    if (!type.list_wrapper) return out;
    Value* items = out.find(type.fields[0].name);
    return items != nullptr ? *items : Value::array(arena_);
  }

  Result<Value> unknown(std::string_view bytes, size_t depth) {
    if (!bytes.starts_with(kProtobufMagic)) {
      return bad_request("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]");
    }
    std::string_view api_version, kind, raw, encoding;
    Reader reader(bytes.substr(kProtobufMagic.size()));
    while (!reader.done()) {
      uint32_t number = 0, wire = 0;
      std::string_view view;
      if (!reader.tag(number, wire)) return bad_request("proto: runtime.Unknown: malformed");
      if (wire != kBytes || number > 3) {
        if (!reader.skip(wire)) return bad_request("proto: runtime.Unknown: malformed");
        continue;
      }
      if (!reader.bytes(view)) return bad_request("proto: runtime.Unknown: malformed");
      if (number == 2) raw = view;
      if (number == 3) encoding = view;
      if (number != 1) continue;
      Reader meta(view);
      while (!meta.done()) {
        if (!meta.tag(number, wire) || wire != kBytes || !meta.bytes(view)) {
          return bad_request("proto: runtime.TypeMeta: malformed");
        }
        if (number == 1) api_version = clean_utf8(view, arena_);
        if (number == 2) kind = clean_utf8(view, arena_);
      }
    }
    if (!encoding.empty()) {
      return bad_request(fmt::format("the content encoding \"{}\" of a protobuf object is not supported",
                                     encoding.substr(0, kShownBytes)));
    }
    const Type* type = type_of_ == nullptr ? nullptr : type_of_(api_version, kind);
    if (type == nullptr) {
      return bad_request(fmt::format("no kind \"{}\" is registered for version \"{}\"", kind.substr(0, kShownBytes),
                                     api_version.substr(0, kShownBytes)));
    }
    Value out = Value::object(arena_);
    if (!kind.empty()) out.append(arena_, "kind", Value::string(kind));
    if (!api_version.empty()) out.append(arena_, "apiVersion", Value::string(api_version));
    RD_TRYV(members_into(out, raw, *type, depth));
    return out;
  }

 private:
  static constexpr size_t kShownBytes = 100;

  // The fields of a message come in order, so that the search begins at the one found last.
  static const Field* field_of(const Type& type, uint32_t number, size_t& hint) {
    for (size_t i = 0; i < type.fields.size(); ++i, ++hint) {
      if (hint >= type.fields.size()) hint = 0;
      if (type.fields[hint].tag == number) return &type.fields[hint];
    }
    return nullptr;
  }

  Result<void> members_into(Value& object, std::string_view bytes, const Type& type, size_t depth) {
    if (depth > std::min(limits_.max_depth, kMaxProtobufDepth)) {
      return bad_request(fmt::format("exceeded max depth of {}", std::min(limits_.max_depth, kMaxProtobufDepth)));
    }
    Reader reader(bytes);
    size_t hint = 0;
    while (!reader.done()) {
      uint32_t number = 0, wire = 0;
      if (!reader.tag(number, wire)) return malformed(type);
      const Field* field = field_of(type, number, hint);
      if (field == nullptr) {
        if (!reader.skip(wire)) return malformed(type);
        continue;
      }
      RD_TRYV(member(object, reader, wire, type, *field, depth));
    }
    for (const Field& field : type.fields) {
      if (!field.map) continue;
      if (Value* map = object.find(field.name)) keep_last_duplicates(*map);
    }
    return {};
  }

  Result<void> member(Value& object, Reader& reader, uint32_t wire, const Type& owner, const Field& field,
                      size_t depth) {
    if (field.map) {
      std::string_view entry;
      if (wire != kBytes || !reader.bytes(entry)) return malformed(owner);
      return map_entry(container(object, field), entry, owner, field, depth);
    }
    if (field.inlined && field.kind == FieldKind::Message && !field.repeated) {
      std::string_view inner;
      if (wire != kBytes || !reader.bytes(inner)) return malformed(owner);
      return members_into(object, inner, *field.type, depth + 1);
    }
    if (field.repeated) {
      Value list = container(object, field);
      if (wire == kBytes && is_scalar(field.kind)) {  // packed
        std::string_view packed;
        if (!reader.bytes(packed)) return malformed(owner);
        Reader inner(packed);
        while (!inner.done()) {
          RD_TRY(Value item, one(inner, field.kind == FieldKind::Double ? kFixed64 : kVarint, owner, field, depth));
          list.push_back(arena_, item);
        }
        return {};
      }
      RD_TRY(Value item, one(reader, wire, owner, field, depth));
      list.push_back(arena_, item);
      return {};
    }
    RD_TRY(Value value, one(reader, wire, owner, field, depth));
    if (is_absent(value, field)) {
      object.erase(field.name);
    } else if (Value* there = object.find(field.name)) {
      *there = value;
    } else {
      object.append(arena_, field.name, value);
    }
    return {};
  }

  // The list or map of a field, made on its first item.
  Value container(Value& object, const Field& field) {
    if (Value* there = object.find(field.name)) return *there;
    return object.append(arena_, field.name, field.map ? Value::object(arena_) : Value::array(arena_));
  }

  Result<void> map_entry(Value map, std::string_view entry, const Type& owner, const Field& field, size_t depth) {
    Reader reader(entry);
    std::string_view key;
    Value value;
    bool has_value = false;
    while (!reader.done()) {
      uint32_t number = 0, wire = 0;
      if (!reader.tag(number, wire)) return malformed(owner);
      if (number == 1 && wire == kBytes) {
        if (!reader.bytes(key)) return malformed(owner);
      } else if (number == 2) {
        RD_TRY(value, one(reader, wire, owner, field, depth));
        has_value = true;
      } else if (!reader.skip(wire)) {
        return malformed(owner);
      }
    }
    if (!has_value) {  // a zero value may be left out of an entry
      Reader nothing{is_scalar(field.kind) ? std::string_view("\0\0\0\0\0\0\0\0", 8) : std::string_view("\0", 1)};
      uint32_t wire = field.kind == FieldKind::Double ? kFixed64 : is_scalar(field.kind) ? kVarint : kBytes;
      RD_TRY(value, one(nothing, wire, owner, field, depth));
    }
    map.append(arena_, clean_utf8(key, arena_), value);
    return {};
  }

  static bool is_scalar(FieldKind kind) {
    return kind == FieldKind::Bool || kind == FieldKind::Int32 || kind == FieldKind::Int64 || kind == FieldKind::Double;
  }

  // What JSON leaves out: zero values under omitempty, zero times, empty raw values.
  static bool is_absent(const Value& value, const Field& field) {
    if (value.is_null()) return true;
    if (field.pointer || !field.omitempty) return false;
    switch (field.kind) {
      case FieldKind::Bool:
        return !value.as_bool();
      case FieldKind::Int32:
      case FieldKind::Int64:
      case FieldKind::Double:
        return value.as_double() == 0;
      case FieldKind::String:
      case FieldKind::Bytes:
        return value.as_string().empty();
      case FieldKind::Message:
        return value.empty();
      default:
        return false;
    }
  }

  Result<Value> one(Reader& reader, uint32_t wire, const Type& owner, const Field& field, size_t depth) {
    uint64_t number = 0;
    if (field.kind == FieldKind::Double) {
      if (wire != kFixed64 || !reader.fixed64(number)) return malformed(owner);
      double out = std::bit_cast<double>(number);
      if (!std::isfinite(out)) return bad_request(fmt::format("proto: {}: a number is not finite", owner.name));
      return Value::number(out);
    }
    if (is_scalar(field.kind)) {
      if (wire != kVarint || !reader.varint(number)) return malformed(owner);
      if (field.kind == FieldKind::Bool) return Value::boolean(number != 0);
      if (field.kind == FieldKind::Int32) return Value::integer(static_cast<int32_t>(static_cast<uint32_t>(number)));
      return Value::integer(static_cast<int64_t>(number));
    }
    std::string_view bytes;
    if (wire != kBytes || !reader.bytes(bytes)) return malformed(owner);
    switch (field.kind) {
      case FieldKind::String:
        return Value::string(clean_utf8(bytes, arena_));
      case FieldKind::Bytes:
        return Value::string(arena_.copy(base64_encode(bytes)));
      case FieldKind::Message:
        return message(bytes, *field.type, depth + 1);
      case FieldKind::Json:
        return json_field(bytes, owner, field, depth);
      default:
        return special(bytes, owner, field, depth);
    }
  }

  // The small messages that JSON shows as one value: up to three fields of integers and texts.
  struct Small {
    int64_t numbers[4] = {};
    std::string_view texts[4];
  };
  static bool read_small(std::string_view bytes, Small& out) {
    Reader reader(bytes);
    while (!reader.done()) {
      uint32_t number = 0, wire = 0;
      if (!reader.tag(number, wire)) return false;
      uint64_t integer = 0;
      if (number < 4 && wire == kVarint) {
        if (!reader.varint(integer)) return false;
        out.numbers[number] = static_cast<int64_t>(integer);
      } else if (number < 4 && wire == kBytes) {
        if (!reader.bytes(out.texts[number])) return false;
      } else if (!reader.skip(wire)) {
        return false;
      }
    }
    return true;
  }

  Result<Value> special(std::string_view bytes, const Type& owner, const Field& field, size_t depth) {
    Small small;
    if (!read_small(bytes, small)) return malformed(owner);
    switch (field.kind) {
      case FieldKind::Quantity:
        return Value::string(small.texts[1].empty() ? "0" : clean_utf8(small.texts[1], arena_));
      case FieldKind::IntOrString:
        if (small.numbers[1] == 1) return Value::string(clean_utf8(small.texts[3], arena_));
        return Value::integer(static_cast<int32_t>(small.numbers[2]));
      case FieldKind::Duration:
        return Value::string(arena_.copy(format_go_duration(std::chrono::nanoseconds(small.numbers[1]))));
      case FieldKind::Time:
      case FieldKind::MicroTime: {
        if (bytes.empty()) return Value::null();  // the zero time
        int64_t seconds = small.numbers[1], nanos = small.numbers[2];
        if (seconds < kFirstSecond || seconds > kLastSecond || nanos < 0 || nanos > 999'999'999) {
          return bad_request(fmt::format("proto: {}.{}: the time is out of range", owner.name, field.name));
        }
        Timestamp at{std::chrono::seconds(seconds)};
        if (field.kind == FieldKind::Time) return Value::string(arena_.copy(format_rfc3339(at)));
        return Value::string(arena_.copy(format_rfc3339_micro(at + std::chrono::microseconds(nanos / 1000))));
      }
      default:
        return raw_json(small.texts[1], owner, field, depth);
    }
  }

  // RawExtension and FieldsV1 and JSON: JSON text in a bytes field; a RawExtension may hold a protobuf object instead.
  Result<Value> raw_json(std::string_view raw, const Type& owner, const Field& field, size_t depth) {
    if (raw.empty()) return Value::null();
    if (field.kind == FieldKind::RawExtension && raw.starts_with(kProtobufMagic)) return unknown(raw, depth + 1);
    DecodeLimits limits = limits_;
    limits.max_depth -= std::min(limits.max_depth, depth);
    auto value = parse_json(raw, arena_, limits);
    if (!value) return Error(value.error().with_context(fmt::format("{}.{}", owner.name, field.name)));
    return value;
  }

  Result<Value> json_field(std::string_view bytes, const Type& owner, const Field& field, size_t depth) {
    JsonForm form = json_form(owner, field);
    if (form == JsonForm::Any) return special(bytes, owner, field, depth);
    Value schema, list = Value::array(arena_), allows = Value::boolean(false);
    Reader reader(bytes);
    while (!reader.done()) {
      uint32_t number = 0, wire = 0;
      uint64_t integer = 0;
      std::string_view view;
      if (!reader.tag(number, wire)) return malformed(owner);
      bool is_schema = form == JsonForm::SchemaOrBool ? number == 2 : number == 1;
      if (wire == kVarint && form == JsonForm::SchemaOrBool && number == 1) {
        if (!reader.varint(integer)) return malformed(owner);
        allows = Value::boolean(integer != 0);
      } else if (wire == kBytes && number <= 2) {
        if (!reader.bytes(view)) return malformed(owner);
        if (is_schema) {
          RD_TRY(schema, message(view, owner, depth + 1));
        } else if (form == JsonForm::SchemaOrArray) {
          RD_TRY(Value item, message(view, owner, depth + 1));
          list.push_back(arena_, item);
        } else {
          list.push_back(arena_, Value::string(clean_utf8(view, arena_)));
        }
      } else if (!reader.skip(wire)) {
        return malformed(owner);
      }
    }
    if (form == JsonForm::SchemaOrArray && !list.empty()) return list;
    if (form == JsonForm::SchemaOrStrings && !list.empty()) return list;
    if (!schema.is_null()) return schema;
    return form == JsonForm::SchemaOrBool ? allows : list;
  }

  Arena& arena_;
  const DecodeLimits& limits_;
  TypeOf type_of_;
};

Result<void> check_size(std::string_view bytes, const DecodeLimits& limits) {
  if (bytes.size() <= limits.max_bytes) return {};
  return request_entity_too_large(
      fmt::format("the protobuf message is {} bytes, the limit is {}", bytes.size(), limits.max_bytes));
}

}  // namespace

Result<Value> parse_protobuf(std::string_view bytes, Arena& arena, TypeOf type_of, const DecodeLimits& limits) {
  RD_TRYV(check_size(bytes, limits));
  return Decoder(arena, limits, type_of).unknown(bytes, 0);
}

Result<Value> parse_protobuf_message(std::string_view bytes, const Type& type, Arena& arena,
                                     const DecodeLimits& limits) {
  RD_TRYV(check_size(bytes, limits));
  return Decoder(arena, limits, nullptr).message(bytes, type, 0);
}

}  // namespace redoubt::schema
