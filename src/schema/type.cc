#include "schema/type.h"

#include <zlib.h>

#include <mutex>
#include <string>
#include <vector>

#include "base/log.h"
#include "schema/generated/documentation_size.h"

// The documentation, packed with zlib; it stays packed until somebody asks.
asm(".section .rodata\n"
    ".global redoubt_documentation_begin\nredoubt_documentation_begin:\n.incbin \"" SCHEMA_DOCUMENTATION_FILE
    "\"\n.global redoubt_documentation_end\nredoubt_documentation_end:\n.text\n");
extern "C" const unsigned char redoubt_documentation_begin[];
extern "C" const unsigned char redoubt_documentation_end[];

namespace redoubt::schema {

namespace generated {
extern const Type* const kAllTypes[];
extern const unsigned kAllTypesCount;
}  // namespace generated

namespace {

// Most names differ in length or in their first letter: no call for those.
bool same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() && (a.empty() || (a[0] == b[0] && a == b));
}

}  // namespace

const Field* find_field(const Type& type, std::string_view json_name) {
  for (const Field& field : type.fields) {
    if (field.inlined && field.type != nullptr && !field.repeated && !field.map) {
      if (const Field* inner = find_field(*field.type, json_name)) return inner;
    } else if (same_name(field.name, json_name)) {
      return &field;
    }
  }
  return nullptr;
}

const Field* find_field_by_tag(const Type& type, uint32_t tag) {
  for (const Field& field : type.fields) {
    if (field.tag == tag && tag != 0) return &field;
  }
  return nullptr;
}

std::span<const Type* const> all_types() {
  return {generated::kAllTypes, generated::kAllTypesCount};
}

const Type* find_type(std::string_view name) {
  std::string from_proto;
  if (name.starts_with("k8s.io.")) {
    from_proto = "io.k8s." + std::string(name.substr(7));
    for (std::string_view module : {"apiextensions_apiserver", "kube_aggregator"}) {
      if (size_t at = from_proto.find(module); at == 7) from_proto[from_proto.find('_')] = '-';
    }
    name = from_proto;
  }
  auto types = all_types();
  auto it =
      std::lower_bound(types.begin(), types.end(), name, [](const Type* t, std::string_view n) { return t->name < n; });
  return it != types.end() && (*it)->name == name ? *it : nullptr;
}

std::string_view documentation(uint32_t doc) {
  static std::once_flag once;
  static std::string text;
  static std::vector<std::string_view> texts;
  std::call_once(once, [] {
    text.resize(SCHEMA_DOCUMENTATION_BYTES);
    uLongf size = text.size();
    auto packed = static_cast<uLong>(redoubt_documentation_end - redoubt_documentation_begin);
    if (uncompress(reinterpret_cast<Bytef*>(text.data()), &size, redoubt_documentation_begin, packed) != Z_OK ||
        size != text.size()) {
      log_error("the built-in documentation is damaged");
      text.clear();
    }
    texts.reserve(SCHEMA_DOCUMENTATION_TEXTS);
    for (size_t from = 0; from <= text.size();) {
      size_t to = std::min(text.find('\0', from), text.size());
      texts.push_back(std::string_view(text).substr(from, to - from));
      from = to + 1;
    }
  });
  return doc < texts.size() ? texts[doc] : std::string_view();
}

}  // namespace redoubt::schema
