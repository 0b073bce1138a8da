"""Writes the static tables of every type: schema::Type and schema::Field, and the documentation blob."""
import zlib
from pathlib import Path

FILES = 6  # the tables are split, so that both cores compile them


def quote(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def ident(message):
    return message.proto.replace(".", "_").replace("-", "_")


class Docs:
    """All documentation in one text; number 0 is the empty one."""

    def __init__(self):
        self.texts, self.numbers = [""], {"": 0}

    def number(self, text):
        if text not in self.numbers:
            self.numbers[text] = len(self.texts)
            self.texts.append(text)
        return self.numbers[text]

    def write(self, folder):
        blob = b"\0".join(t.replace("\0", " ").encode() for t in self.texts)
        packed = zlib.compress(blob, 9)
        (folder / "documentation.z").write_bytes(packed)
        (folder / "documentation_size.h").write_text(f"#pragma once\n#define SCHEMA_DOCUMENTATION_BYTES {len(blob)}\n#define SCHEMA_DOCUMENTATION_TEXTS {len(self.texts)}\n")


class Enums:
    """The lists of one file's enum values, each written once."""

    def __init__(self):
        self.names = {}

    def name(self, values):
        return self.names.setdefault(tuple(values), f"enum_{len(self.names)}")

    def text(self):
        return "".join(f"static constexpr std::string_view {name}[] = {{{', '.join(map(quote, values))}}};\n" for values, name in self.names.items())


def field_row(f, docs, keys_name, enums):
    bits = []
    for flag in ("repeated", "map", "required", "pointer", "omitempty", "inlined", "map_atomic", "patch_merge", "patch_retain_keys"):
        if getattr(f, flag):
            bits.append(f".{flag}=true")
    ordered = {"repeated": 0, "map": 1, "required": 2, "pointer": 3, "omitempty": 4, "inlined": 5, "map_atomic": 7, "patch_merge": 8, "patch_retain_keys": 9}
    row = [f".name={quote(f.json)}", f".tag={f.number}", f".kind=FieldKind::{f.kind}"]
    flags = sorted(bits, key=lambda b: ordered[b[1:].split("=")[0]])
    row += [b for b in flags if ordered[b[1:].split("=")[0]] < 6]
    if f.list_type != "None":
        row.append(f".list_type=ListType::{f.list_type}")
    row += [b for b in flags if ordered[b[1:].split("=")[0]] > 6]
    if f.patch_merge_key:
        row.append(f".patch_merge_key={quote(f.patch_merge_key)}")
    if f.list_map_keys:
        row.append(f".list_map_keys={keys_name}")
    if f.default:
        row.append(f".default_json={quote(f.default)}")
    if f.enum_values:
        row.append(f".enum_values={enums.name(f.enum_values)}")
    if f.message is not None:
        row.append(f".type=&type_{ident(f.message)}")
    row.append(f".doc={docs.number(f.doc)}")
    return "{" + ", ".join(row) + "}"


def write(messages, folder):
    docs = Docs()
    ordered = sorted(messages.values(), key=lambda m: m.openapi)
    declarations = "".join(f"extern const Type type_{ident(m)};\n" for m in ordered)
    (folder / "type_declarations.h").write_text(f"#pragma once\n#include \"schema/type.h\"\nnamespace redoubt::schema::generated {{\n{declarations}}}\n")
    per_file = (len(ordered) + FILES - 1) // FILES
    for i in range(FILES):
        out, enums = [], Enums()
        for m in ordered[i * per_file:(i + 1) * per_file]:
            name, rows = ident(m), []
            for n, f in enumerate(m.fields):
                keys = f"keys_{name}_{n}"
                if f.list_map_keys:
                    out.append(f"static constexpr std::string_view {keys}[] = {{{', '.join(map(quote, f.list_map_keys))}}};\n")
                rows.append(field_row(f, docs, keys, enums))
            if rows:
                out.append(f"static constexpr Field fields_{name}[] = {{\n" + ",\n".join(rows) + "};\n")
            fields = f".fields=fields_{name}, " if rows else ""
            wrapper = ", .list_wrapper=true" if m.list_wrapper else ""
            out.append(f"constinit const Type type_{name} = {{.name={quote(m.openapi)}, .proto_name={quote(m.proto)}, {fields}.doc={docs.number(m.doc)}{wrapper}}};\n")
        head = '#include "schema/generated/type_declarations.h"\nnamespace redoubt::schema::generated {\n'
        out = [head, enums.text(), *out, "}\n"]
        (folder / f"types_{i}.cc").write_text("".join(out))
    rows = "".join(f"&type_{ident(m)},\n" for m in ordered)
    (folder / "all_types.cc").write_text(
        '#include "schema/generated/type_declarations.h"\nnamespace redoubt::schema::generated {\n'
        f"extern const Type* const kAllTypes[];\nextern const unsigned kAllTypesCount;\nconst Type* const kAllTypes[] = {{\n{rows}}};\nconst unsigned kAllTypesCount = {len(ordered)};\n}}\n")
    docs.write(folder)
    return [f"types_{i}.cc" for i in range(FILES)] + ["all_types.cc"]
