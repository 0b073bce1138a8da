#include <cmath>

#include "base/encoding.h"
#include "base/time.h"
#include "schema/codec.h"
#include "schema/decode_helpers.h"
#include "schema/protobuf.h"
#include "schema/protobuf_list.h"

namespace redoubt::schema {
namespace {

// Writes a message from its end to its beginning, so that each length is known when it is written and nothing is moved.
class BackWriter {
 public:
  size_t written() const { return buffer_.size() - at_; }
  std::string take() const { return buffer_.substr(at_); }

  void text(std::string_view text) {
    if (text.empty()) return;
    if (text.size() > at_) grow(text.size());
    at_ -= text.size();
    std::memcpy(buffer_.data() + at_, text.data(), text.size());
  }
  void varint(uint64_t value) {
    char bytes[10];
    size_t n = 0;
    for (; value >= 0x80; value >>= 7) bytes[n++] = static_cast<char>(value | 0x80);
    bytes[n++] = static_cast<char>(value);
    text({bytes, n});
  }
  void fixed64(uint64_t value) {
    char bytes[8];
    for (char& byte : bytes) {
      byte = static_cast<char>(value);
      value >>= 8;
    }
    text({bytes, 8});
  }
  void tag(uint32_t number, uint32_t wire) { varint(number << 3 | wire); }
  // Closes a length-delimited field whose content began when written() was `before`.
  void close(uint32_t number, size_t before) {
    varint(written() - before);
    tag(number, kBytes);
  }
  void bytes_field(uint32_t number, std::string_view content) {
    size_t before = written();
    text(content);
    close(number, before);
  }
  void varint_field(uint32_t number, uint64_t value) {
    varint(value);
    tag(number, kVarint);
  }

 private:
  void grow(size_t need) {
    size_t used = written();
    std::string larger(std::max(buffer_.size() * 2, used + need + 256), '\0');
    std::memcpy(larger.data() + larger.size() - used, buffer_.data() + at_, used);
    at_ = larger.size() - used;
    buffer_ = std::move(larger);
  }
  std::string buffer_ = std::string(1024, '\0');
  size_t at_ = buffer_.size();  // where the written part begins
};

class Encoder {
 public:
  Result<void> message(const Value& value, const Type& type) {
    if (type.list_wrapper) return field(value, type.fields[0], type);
    if (!value.is_object()) return bad_request(fmt::format("{} is no object", type.name));
    for (size_t i = type.fields.size(); i-- > 0;) {
      const Field& f = type.fields[i];
      if (f.tag == 0) continue;
      if (f.inlined && f.kind == FieldKind::Message && !f.repeated && !f.map) {
        size_t before = out.written();
        RD_TRYV(message(value, *f.type));
        if (out.written() != before) out.close(f.tag, before);
        continue;
      }
      const Value* member = value.find(f.name);
      if (member == nullptr || member->is_null()) continue;
      RD_TRYV(field(*member, f, type));
    }
    return {};
  }

  BackWriter out;

 private:
  static Error mismatch(const Type& owner, const Field& field) {
    return bad_request(fmt::format("{}.{} has a value of another type than its schema says", owner.name, field.name));
  }

  Result<void> field(const Value& value, const Field& field, const Type& owner) {
    if (field.map) {
      if (!value.is_object()) return mismatch(owner, field);
      std::vector<const Member*> sorted;
      sorted.reserve(value.size());
      for (const Member& member : members(value)) sorted.push_back(&member);
      std::sort(sorted.begin(), sorted.end(), [](const Member* a, const Member* b) { return a->key > b->key; });
      for (const Member* member : sorted) {
        size_t before = out.written();
        RD_TRYV(one(member->value, field, owner, 2));
        out.bytes_field(1, member->key);
        out.close(field.tag, before);
      }
      return {};
    }
    if (!field.repeated) return one(value, field, owner, field.tag);
    if (!value.is_array()) return mismatch(owner, field);
    for (size_t i = value.size(); i-- > 0;) RD_TRYV(one(value.at(i), field, owner, field.tag));
    return {};
  }

  Result<void> one(const Value& value, const Field& field, const Type& owner, uint32_t tag) {
    size_t before = out.written();
    switch (field.kind) {
      case FieldKind::Bool:
        if (!value.is_bool()) return mismatch(owner, field);
        out.varint_field(tag, value.as_bool() ? 1 : 0);
        return {};
      case FieldKind::Int32:
      case FieldKind::Int64:
        if (!value.is_int()) return mismatch(owner, field);
        out.varint_field(tag, static_cast<uint64_t>(value.as_int()));
        return {};
      case FieldKind::Double:
        if (!value.is_number()) return mismatch(owner, field);
        out.fixed64(std::bit_cast<uint64_t>(value.as_double()));
        out.tag(tag, kFixed64);
        return {};
      case FieldKind::String:
        if (!value.is_string()) return mismatch(owner, field);
        out.bytes_field(tag, value.as_string());
        return {};
      case FieldKind::Bytes: {
        auto decoded = base64_decode(value.as_string());
        if (!value.is_string() || !decoded) return mismatch(owner, field);
        out.bytes_field(tag, *decoded);
        return {};
      }
      case FieldKind::Message:
        RD_TRYV(message(value, *field.type));
        break;
      case FieldKind::Json:
        RD_TRYV(json(value, field, owner));
        break;
      default:
        RD_TRYV(special(value, field, owner));
    }
    out.close(tag, before);
    return {};
  }

  Result<void> special(const Value& value, const Field& field, const Type& owner) {
    switch (field.kind) {
      case FieldKind::Quantity:
        if (!value.is_string()) return mismatch(owner, field);
        out.bytes_field(1, value.as_string());
        return {};
      case FieldKind::IntOrString:
        if (!value.is_string() && !value.is_int()) return mismatch(owner, field);
        out.bytes_field(3, value.as_string());
        out.varint_field(2, static_cast<uint64_t>(value.as_int()));
        out.varint_field(1, value.is_string() ? 1 : 0);
        return {};
      case FieldKind::Duration: {
        auto duration = parse_go_duration(value.as_string());
        if (!duration) return mismatch(owner, field);
        out.varint_field(1, static_cast<uint64_t>(duration->count()));
        return {};
      }
      case FieldKind::Time:
      case FieldKind::MicroTime: {
        if (value.is_string() && value.as_string().empty()) return {};
        auto time = parse_rfc3339(value.as_string());
        if (!time) return mismatch(owner, field);
        auto seconds = std::chrono::floor<std::chrono::seconds>(*time);
        auto nanos = field.kind == FieldKind::Time ? 0 : std::chrono::nanoseconds(*time - seconds).count();
        out.varint_field(2, static_cast<uint64_t>(nanos));
        out.varint_field(1, static_cast<uint64_t>(seconds.time_since_epoch().count()));
        return {};
      }
      default:
        if (!value.is_null()) out.bytes_field(1, to_json(value, nullptr));
        return {};
    }
  }

  Result<void> json(const Value& value, const Field& field, const Type& owner) {
    JsonForm form = json_form(owner, field);
    if (form == JsonForm::Any) {
      out.bytes_field(1, to_json(value, nullptr));
      return {};
    }
    if (value.is_object()) {
      size_t before = out.written();
      RD_TRYV(message(value, owner));
      out.close(form == JsonForm::SchemaOrBool ? 2 : 1, before);
      // Go's decoder of SchemaOrBool sets both when it reads an object.
      if (form == JsonForm::SchemaOrBool) out.varint_field(1, 1);
      return {};
    }
    if (form == JsonForm::SchemaOrBool) {
      if (!value.is_bool()) return mismatch(owner, field);
      out.varint_field(1, value.as_bool() ? 1 : 0);
      return {};
    }
    if (!value.is_array()) return mismatch(owner, field);
    for (size_t i = value.size(); i-- > 0;) {
      const Value& item = value.at(i);
      size_t before = out.written();
      if (form == JsonForm::SchemaOrArray) {
        RD_TRYV(message(item, owner));
        out.close(2, before);
      } else {
        if (!item.is_string()) return mismatch(owner, field);
        out.bytes_field(2, item.as_string());
      }
    }
    return {};
  }
};

}  // namespace

Result<std::string> to_protobuf_message(const Value& value, const Type& type) {
  Encoder encoder;
  RD_TRYV(encoder.message(value, type));
  return encoder.out.take();
}

ProtobufEnvelope protobuf_envelope(std::string_view api_version, std::string_view kind, size_t size) {
  BackWriter out;
  out.varint(size);
  out.tag(2, kBytes);
  size_t before = out.written();
  out.bytes_field(2, kind);
  out.bytes_field(1, api_version);
  out.close(1, before);
  out.text(kProtobufMagic);
  // contentEncoding: none; contentType: protobuf.
  return {out.take(), std::string_view("\x1a\0\x22\0", 4)};
}

std::string protobuf_item_head(const Type& list, size_t size) {
  const Field* items = find_field(list, "items");
  BackWriter out;
  out.varint(size);
  out.tag(items != nullptr ? items->tag : 2, kBytes);
  return out.take();
}

Result<std::string> to_protobuf(const Value& value, const Type& type) {
  RD_TRY(std::string message, to_protobuf_message(value, type));
  auto envelope =
      protobuf_envelope(value.get({"apiVersion"}).as_string(), value.get({"kind"}).as_string(), message.size());
  return envelope.before.append(message).append(envelope.after);
}

std::string watch_event_protobuf(std::string_view event_type, std::string_view object) {
  BackWriter out;
  size_t before = out.written();
  out.bytes_field(1, object);  // RawExtension.raw
  out.close(2, before);
  out.bytes_field(1, event_type);
  return out.take();
}

}  // namespace redoubt::schema
