#include "apiserver/encryption/kms_envelope.h"

#include <fmt/format.h>

#include <functional>

#include "apiserver/encryption/limits.h"

namespace redoubt::apiserver::encryption {

namespace {

void put_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

void put_bytes(std::string& out, unsigned field, std::string_view value) {
  if (value.empty()) return;
  put_varint(out, field << 3 | 2);
  put_varint(out, value.size());
  out += value;
}

void put_map(std::string& out, unsigned field, const std::map<std::string, std::string>& map) {
  for (const auto& [key, value] : map) {
    std::string entry;
    put_bytes(entry, 1, key);
    put_bytes(entry, 2, value);
    put_varint(out, field << 3 | 2);
    put_varint(out, entry.size());
    out += entry;
  }
}

bool get_varint(std::string_view& in, uint64_t& value) {
  value = 0;
  for (unsigned shift = 0; shift < 64 && !in.empty(); shift += 7) {
    auto byte = static_cast<unsigned char>(in.front());
    in.remove_prefix(1);
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return true;
  }
  return false;
}

// Calls `field` for each field with its bytes (length-delimited) or its number; unknown ones are for it to ignore.
bool read_message(std::string_view in, const std::function<bool(unsigned, std::string_view, uint64_t)>& field) {
  while (!in.empty()) {
    uint64_t tag = 0, value = 0;
    if (!get_varint(in, tag) || tag >> 3 == 0 || tag >> 3 > 0x1fffffff) return false;
    auto number = static_cast<unsigned>(tag >> 3);
    switch (tag & 7) {
      case 0:
        if (!get_varint(in, value) || !field(number, {}, value)) return false;
        break;
      case 1:
      case 5: {
        size_t size = (tag & 7) == 1 ? 8 : 4;
        if (in.size() < size) return false;
        in.remove_prefix(size);
        break;
      }
      case 2:
        if (!get_varint(in, value) || value > in.size()) return false;
        if (!field(number, in.substr(0, value), 0)) return false;
        in.remove_prefix(value);
        break;
      default:
        return false;
    }
  }
  return true;
}

bool read_map_entry(std::string_view bytes, std::map<std::string, std::string>& into) {
  std::string key, value;
  bool ok = read_message(bytes, [&](unsigned number, std::string_view text, uint64_t) {
    if (number == 1) key = text;
    if (number == 2) value = text;
    return true;
  });
  into[key] = std::move(value);
  return ok;
}

Error malformed(std::string_view what) {
  return internal_error(fmt::format("{}: malformed protobuf", what));
}

// A DNS name with a dot in it, as an annotation's key has to be.
bool is_qualified_name(std::string_view text) {
  if (text.size() > 253 || text.find('.') == std::string_view::npos) return false;
  bool start = true;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    bool word = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    bool end = i + 1 == text.size() || text[i + 1] == '.';
    if (c == '.' ? start : !word && (c != '-' || start || end)) return false;
    start = c == '.';
  }
  return !start;
}

}  // namespace

std::string to_bytes(const EncryptedObject& object) {
  std::string out;
  put_bytes(out, 1, object.data);
  put_bytes(out, 2, object.key_id);
  put_bytes(out, 3, object.encrypted_dek);
  put_map(out, 4, object.annotations);
  if (object.source != DekSource::AesGcmKey) {
    put_varint(out, 5 << 3);
    put_varint(out, static_cast<uint64_t>(object.source));
  }
  return out;
}

Result<void> check_encrypted_object(const EncryptedObject& object) {
  if (object.data.empty()) return internal_error("encrypted data is empty");
  if (object.encrypted_dek.empty()) return internal_error("encrypted DEK source is empty");
  if (object.encrypted_dek.size() > kMaxEncryptedDekBytes) {
    return internal_error(fmt::format("encrypted DEK source is {} bytes, which exceeds the max size of {}",
                                      object.encrypted_dek.size(), kMaxEncryptedDekBytes));
  }
  if (object.key_id.empty()) return internal_error("keyID is empty");
  if (object.key_id.size() > kMaxKeyIdBytes) {
    return internal_error(
        fmt::format("keyID is {} bytes, which exceeds the max size of {}", object.key_id.size(), kMaxKeyIdBytes));
  }
  size_t total = 0;
  for (const auto& [key, value] : object.annotations) {
    if (!is_qualified_name(key)) return internal_error("an annotation's key is no fully qualified domain name");
    total += key.size() + value.size();
  }
  if (total > kMaxAnnotationBytes) {
    return internal_error(
        fmt::format("total size of annotations is {}, which exceeds the max size of {}", total, kMaxAnnotationBytes));
  }
  return {};
}

Result<EncryptedObject> parse_encrypted_object(std::string_view bytes) {
  EncryptedObject out;
  out.source = DekSource::AesGcmKey;  // proto3: the absent field is zero
  uint64_t source = 0;
  bool ok = read_message(bytes, [&](unsigned number, std::string_view text, uint64_t value) {
    if (number == 1) out.data = text;
    if (number == 2) out.key_id = text;
    if (number == 3) out.encrypted_dek = text;
    if (number == 4) return out.annotations.size() < kMaxAnnotationBytes && read_map_entry(text, out.annotations);
    if (number == 5) source = value;
    return true;
  });
  if (!ok) return malformed("an encrypted object");
  if (source > 1) return internal_error(fmt::format("unknown encryptedDEKSourceType: {}", source));
  out.source = static_cast<DekSource>(source);
  RD_TRYV(check_encrypted_object(out));
  return out;
}

Result<KmsStatus> parse_kms_status(std::string_view bytes) {
  KmsStatus out;
  bool ok = read_message(bytes, [&](unsigned number, std::string_view text, uint64_t) {
    if (number == 1) out.version = text;
    if (number == 2) out.healthz = text;
    if (number == 3) out.key_id = text;
    return true;
  });
  if (!ok) return malformed("a KMS status");
  return out;
}

std::string encrypt_request(std::string_view plain, std::string_view uid) {
  std::string out;
  put_bytes(out, 1, plain);
  put_bytes(out, 2, uid);
  return out;
}

Result<EncryptAnswer> parse_encrypt_answer(std::string_view bytes) {
  EncryptAnswer out;
  bool ok = read_message(bytes, [&](unsigned number, std::string_view text, uint64_t) {
    if (number == 1) out.ciphertext = text;
    if (number == 2) out.key_id = text;
    if (number == 3) return out.annotations.size() < kMaxAnnotationBytes && read_map_entry(text, out.annotations);
    return true;
  });
  if (!ok) return malformed("a KMS answer");
  return out;
}

std::string decrypt_request(const EncryptedObject& object, std::string_view uid) {
  std::string out;
  put_bytes(out, 1, object.encrypted_dek);
  put_bytes(out, 2, uid);
  put_bytes(out, 3, object.key_id);
  put_map(out, 4, object.annotations);
  return out;
}

Result<std::string> parse_decrypt_answer(std::string_view bytes) {
  std::string out;
  bool ok = read_message(bytes, [&](unsigned number, std::string_view text, uint64_t) {
    if (number == 1) out = text;
    return true;
  });
  if (!ok) return malformed("a KMS answer");
  return out;
}

}  // namespace redoubt::apiserver::encryption
