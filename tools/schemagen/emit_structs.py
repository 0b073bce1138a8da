"""Writes the plain C++ structs of the groups that our own components use, and one table a struct."""
from emit_types import quote

# The packages that get structs, by the C++ namespace below k8s.
NAMESPACES = {
    "k8s.io.apimachinery.pkg.apis.meta.v1": ("meta", "v1"),
    "k8s.io.api.core.v1": ("core", "v1"),
    "k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.v1": ("apiextensions", "v1"),
    "k8s.io.kube_aggregator.pkg.apis.apiregistration.v1": ("apiregistration", "v1"),
}
for group, version in (("admissionregistration", "v1"), ("apps", "v1"), ("authentication", "v1"), ("authorization", "v1"), ("autoscaling", "v1"),
                       ("autoscaling", "v2"), ("batch", "v1"), ("certificates", "v1"), ("coordination", "v1"), ("discovery", "v1"), ("events", "v1"), ("flowcontrol", "v1"),
                       ("networking", "v1"), ("node", "v1"), ("policy", "v1"), ("rbac", "v1"), ("resource", "v1"), ("scheduling", "v1"), ("storage", "v1")):
    NAMESPACES[f"k8s.io.api.{group}.{version}"] = (group, version)

KEYWORDS = {"namespace", "template", "operator", "default", "continue", "protected", "private", "public", "class", "delete", "new", "switch", "case",
            "register", "volatile", "static", "export", "import", "enum", "union", "struct", "not", "and", "or", "xor", "int", "string_", "auto", "bool", "this"}

CPP = {"String": "std::string", "Int32": "int32_t", "Int64": "int64_t", "Bool": "bool", "Double": "double", "Bytes": "schema::ByteString",
       "Quantity": "schema::Quantity", "IntOrString": "schema::IntOrString", "Time": "schema::Time", "MicroTime": "schema::MicroTime",
       "Duration": "schema::Duration", "FieldsV1": "schema::RawJson", "RawExtension": "schema::RawJson", "Json": "schema::RawJson"}
ZERO = {"Int32": " = 0", "Int64": " = 0", "Bool": " = false", "Double": " = 0"}


def header_name(package):
    group, version = NAMESPACES[package]
    return f"{group}_{version}"


def member_name(json):
    name = "".join(c if c.isalnum() else "_" for c in json).lstrip("_")
    return name + "_" if name in KEYWORDS else name


def cpp_name(message):
    group, version = NAMESPACES[message.package]
    return f"k8s::{group}::{version}::{message.name}"


def flat_fields(message):
    """A message's fields with inlined ones' members in their place, as JSON shows them."""
    for f in message.fields:
        if f.inlined and f.message is not None and not f.repeated and not f.map:
            yield from flat_fields(f.message)
        else:
            yield f


def depends_by_value(message):
    for f in flat_fields(message):
        if f.message is not None and f.message.package in NAMESPACES and not f.repeated and not f.map:
            yield f.message


def boxed_field(m, f, boxed):
    """An optional struct lies apart, so that what is absent costs a pointer: a Volume is one of thirty sources."""
    return f.message is not None and (f.pointer or (m.proto, f.message.proto) in boxed)


def order(messages):
    """Each struct after those that it holds by value; what closes a circle becomes a Box."""
    done, active, result, boxed = set(), set(), [], set()

    def visit(m):
        if m.proto in done:
            return
        active.add(m.proto)
        for d in depends_by_value(m):
            if d.proto in active:
                boxed.add((m.proto, d.proto))
            else:
                visit(d)
        active.discard(m.proto)
        done.add(m.proto)
        result.append(m)
    for m in messages:
        visit(m)
    return result, boxed


def member_type(m, f, boxed):
    base = cpp_name(f.message) if f.message is not None else CPP[f.kind]
    if f.map:
        return f"std::map<std::string, {base}>"
    if f.repeated:
        return f"std::vector<{base}>"
    if boxed_field(m, f, boxed):
        return f"schema::Box<{base}>"
    return f"std::optional<{base}>" if f.pointer else base


def special_members(name, scope=""):
    return [f"{scope}{name}()", f"{scope}{name}(const {name}&)", f"{scope}{name}({name}&&) noexcept",
            f"{name}& {scope}operator=(const {name}&)", f"{name}& {scope}operator=({name}&&) noexcept", f"{scope}~{name}()"]


def write_header(package, messages, boxed):
    group, version = NAMESPACES[package]
    includes, forwards, body = set(), [], []
    for m in messages:
        for f in flat_fields(m):
            if f.message is not None and f.message.package != package:
                includes.add(header_name(f.message.package))
        forwards.append(f"struct {m.name};")
        lines = [f"struct {m.name} {{"]
        if m.is_kind and m.group is not None:
            api = f"{m.group}/{m.version}" if m.group else m.version
            lines += [f'  static constexpr std::string_view kGroup = "{m.group}", kVersion = "{m.version}", kApiVersion = "{api}", kKind = "{m.name}", '
                      f'kResource = "{m.resource}";', f"  static constexpr bool kNamespaced = {str(m.namespaced).lower()};"]
        for f in flat_fields(m):
            init = ""
            if m.is_kind and f.json in ("kind", "apiVersion") and f.number == 0:
                init = "{kKind}" if f.json == "kind" else "{kApiVersion}"
            elif not f.map and not f.repeated and not f.pointer:
                init = ZERO.get(f.kind, "")
            lines.append(f"  {member_type(m, f, boxed)} {member_name(f.json)}{init};")
        # Compiled once, in the package's own source, instead of in each of a hundred files that hold a Pod.
        lines += [f"  {special};" for special in special_members(m.name)]
        lines.append("};")
        body.append("\n".join(lines))
    ns = f"k8s::{group}::{version}"
    text = ["// Generated from upstream's schema; see tools/schemagen.", "#pragma once", "#include <map>", "#include <optional>", "#include <string>",
            "#include <string_view>", "#include <vector>", "", '#include "schema/scalars.h"', '#include "schema/typed.h"']
    text += [f'#include "schema/k8s/{name}.h"' for name in sorted(includes)]
    text += ["", f"namespace {ns} {{", "namespace schema = ::redoubt::schema;", *forwards, "", *body, "", f"}}  // namespace {ns}", "", "namespace redoubt::schema {"]
    text += [f"template <> const StructTable& struct_table<{ns}::{m.name}>();" for m in messages]
    text += ["}  // namespace redoubt::schema", ""]
    return "\n".join(text)


def write_tables(package, messages, boxed):
    out = [f'#include "schema/k8s/{header_name(package)}.h"', '#include "schema/struct_table.h"', "", '#pragma clang diagnostic ignored "-Winvalid-offsetof"',
           "namespace redoubt::schema {", "namespace {"]
    ends = []
    for m in messages:
        name, rows = cpp_name(m), []
        for f in flat_fields(m):
            member = member_name(f.json)
            base = cpp_name(f.message) if f.message is not None else CPP[f.kind]
            boxing = boxed_field(m, f, boxed)
            shape = "Map" if f.map else "List" if f.repeated else "Optional" if f.pointer or boxing else "Plain"
            ops = {"Map": f"&map_ops<{base}>", "List": f"&list_ops<{base}>", "Optional": f"&box_ops<{base}>" if boxing else f"&optional_ops<{base}>", "Plain": "nullptr"}[shape]
            table = f"&struct_table<{base}>" if f.message is not None else "nullptr"
            rows.append(f"    {{{quote(f.json)}, FieldKind::{f.kind}, Shape::{shape}, {str(f.omitempty).lower()}, offsetof({name}, {member}), {ops}, {table}}}")
        out.append(f"constexpr StructField fields_{m.name}[] = {{\n" + ",\n".join(rows) + "};" if rows else f"constexpr std::array<StructField, 0> fields_{m.name}{{}};")
        out.append(f"constexpr StructTable table_{m.name}{{{quote(m.name)}, fields_{m.name}, {str(m.list_wrapper).lower()}}};")
        ends.append(f"template <> const StructTable& struct_table<{name}>() {{ return table_{m.name}; }}")
    group, version = NAMESPACES[package]
    members = [f"{special} = default;" for m in messages for special in special_members(m.name, f"{m.name}::")]
    return "\n".join(out + ["}  // namespace", *ends, "}  // namespace redoubt::schema", "",
                            f"namespace k8s::{group}::{version} {{", *members, f"}}  // namespace k8s::{group}::{version}", ""])


def write(messages, folder):
    wanted = [m for m in messages.values() if m.package in NAMESPACES]
    ordered, boxed = order(sorted(wanted, key=lambda m: m.proto))
    sources = []
    (folder / "k8s").mkdir(exist_ok=True)
    for package in NAMESPACES:
        mine = [m for m in ordered if m.package == package]
        (folder / "k8s" / f"{header_name(package)}.h").write_text(write_header(package, mine, boxed))
        source = f"structs_{header_name(package)}.cc"
        (folder / "generated" / source).write_text(write_tables(package, mine, boxed))
        sources.append(source)
    return sources
