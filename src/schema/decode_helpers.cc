#include "schema/decode_helpers.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <unordered_map>

namespace redoubt::schema {
namespace {

// Length of the valid UTF-8 sequence that starts at `at`, or 0 (RFC 3629: no overlongs, no surrogates).
size_t sequence_length(const unsigned char* at, const unsigned char* end) {
  unsigned char lead = *at;
  if (lead < 0x80) return 1;
  size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || static_cast<size_t>(end - at) < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((at[i] & 0xC0) != 0x80) return 0;
  }
  if ((lead == 0xE0 && at[1] < 0xA0) || (lead == 0xED && at[1] > 0x9F) || (lead == 0xF0 && at[1] < 0x90) ||
      (lead == 0xF4 && at[1] > 0x8F))
    return 0;
  return length;
}

// Objects up to this size are searched member by member.
constexpr size_t kSmallObject = 16;

}  // namespace

std::string_view clean_utf8(std::string_view text, Arena& arena) {
  if (simdjson::validate_utf8(text.data(), text.size())) return text;
  std::string out;
  const auto* at = reinterpret_cast<const unsigned char*>(text.data());
  const auto* end = at + text.size();
  while (at != end) {
    size_t length = sequence_length(at, end);
    if (length == 0) {
      out += "\xEF\xBF\xBD";
      ++at;
    } else {
      out.append(reinterpret_cast<const char*>(at), length);
      at += length;
    }
  }
  return arena.copy(out);
}

std::string path_text(const PathFrame* frame) {
  if (frame == nullptr) return {};
  std::string out = path_text(frame->parent);
  if (frame->step == PathFrame::Step::Item) return out + fmt::format("[{}]", frame->index);
  if (!out.empty()) out += '.';
  return out.append(frame->name);
}

std::string field_path_text(const PathFrame* frame) {
  if (frame == nullptr) return {};
  std::string out = field_path_text(frame->parent);
  if (frame->step != PathFrame::Step::Field) return out;
  if (!out.empty()) out += '.';
  return out.append(frame->name);
}

JsonForm json_form(const Type& owner, const Field& field) {
  if (owner.proto_name.empty() || !owner.name.ends_with(".JSONSchemaProps")) return JsonForm::Any;
  if (field.name == "items") return JsonForm::SchemaOrArray;
  if (field.name == "additionalProperties" || field.name == "additionalItems") return JsonForm::SchemaOrBool;
  if (field.name == "dependencies") return JsonForm::SchemaOrStrings;
  return JsonForm::Any;
}

void keep_last_duplicates(Value& object) {
  Member* first = object.begin_members();
  size_t size = object.size(), kept = 0;
  if (size <= kSmallObject) {
    for (size_t i = 0; i < size; ++i) {
      size_t k = 0;
      while (k < kept && first[k].key != first[i].key) ++k;
      first[k] = first[i];
      if (k == kept) ++kept;
    }
  } else {
    std::unordered_map<std::string_view, size_t> seen;
    seen.reserve(size);
    for (size_t i = 0; i < size; ++i) {
      auto [it, added] = seen.try_emplace(first[i].key, kept);
      first[it->second] = first[i];
      if (added) ++kept;
    }
  }
  object.truncate(kept);
}

}  // namespace redoubt::schema
