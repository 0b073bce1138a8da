"""The schema as the generator sees it: proto messages joined with what their Go structs say."""
import re
from dataclasses import dataclass, field

from google.protobuf import descriptor_pb2

import gosource

SPECIAL = {
    "k8s.io.apimachinery.pkg.api.resource.Quantity": "Quantity",
    "k8s.io.apimachinery.pkg.util.intstr.IntOrString": "IntOrString",
    "k8s.io.apimachinery.pkg.apis.meta.v1.Time": "Time",
    "k8s.io.apimachinery.pkg.apis.meta.v1.MicroTime": "MicroTime",
    "k8s.io.apimachinery.pkg.apis.meta.v1.Duration": "Duration",
    "k8s.io.apimachinery.pkg.apis.meta.v1.FieldsV1": "FieldsV1",
    "k8s.io.apimachinery.pkg.runtime.RawExtension": "RawExtension",
}
for version in ("v1", "v1beta1"):
    for name in ("JSON", "JSONSchemaPropsOrArray", "JSONSchemaPropsOrBool", "JSONSchemaPropsOrStringArray"):
        SPECIAL[f"k8s.io.apiextensions_apiserver.pkg.apis.apiextensions.{version}.{name}"] = "Json"

SCALARS = {9: "String", 5: "Int32", 3: "Int64", 8: "Bool", 12: "Bytes", 1: "Double"}

# The kinds of meta/v1 that belong to its group; all others there are part of every group, and say "v1" alone.
META_GROUP_KINDS = {"PartialObjectMetadata", "PartialObjectMetadataList", "Table", "TableOptions"}


@dataclass
class Field:
    json: str
    number: int
    kind: str
    message: object = None  # Message, for kind Message
    repeated: bool = False
    map: bool = False
    required: bool = False
    pointer: bool = False
    omitempty: bool = False
    inlined: bool = False
    list_type: str = "None"
    map_atomic: bool = False
    patch_merge: bool = False
    patch_retain_keys: bool = False
    patch_merge_key: str = ""
    list_map_keys: list = field(default_factory=list)
    default: str = ""
    enum_values: list = field(default_factory=list)
    doc: str = ""


@dataclass
class Message:
    name: str          # Go's and proto's: "Pod"
    proto: str         # "k8s.io.api.core.v1.Pod"
    package: str       # "k8s.io.api.core.v1"
    group: str = ""
    version: str = ""
    fields: list = field(default_factory=list)
    doc: str = ""
    list_wrapper: bool = False
    is_kind: bool = False        # has kind and apiVersion
    is_list: bool = False
    namespaced: bool = True
    genclient: bool = False

    @property
    def openapi(self):
        rest = self.proto[len("k8s.io."):]
        if rest.startswith("apiextensions_apiserver."):
            rest = "apiextensions-apiserver." + rest[len("apiextensions_apiserver."):]
        elif rest.startswith("kube_aggregator."):
            rest = "kube-aggregator." + rest[len("kube_aggregator."):]
        return "io.k8s." + rest

    @property
    def resource(self):
        lower = (self.name.removesuffix("List") if self.is_list else self.name).lower()
        if lower in ("endpoints",):
            return lower
        if re.search(r"(s|x|z|ch|sh)$", lower):
            return lower + "es"
        if re.search(r"[^aeiou]y$", lower):
            return lower[:-1] + "ies"
        return lower + "s"


def split_comment(text):
    """A comment's prose (one paragraph a line, indented lines kept) and its markers. What follows --- is for upstream's developers."""
    paragraphs, current, markers = [], "", []
    for line in text.splitlines() + [""]:
        line = line[1:].rstrip() if line.startswith(" ") else line.rstrip()
        stripped = line.strip()
        if stripped == "---":
            break
        if stripped.startswith("+"):
            markers.append(stripped[1:])
        elif stripped.startswith("TODO"):
            continue
        elif not stripped:
            if current:
                paragraphs.append(current)
            current = ""
        elif line[0] in " \t" and current:
            current += "\n" + line
        else:
            current += (" " if current else "") + stripped
    if current:
        paragraphs.append(current)
    return "\n\n".join(paragraphs), markers


def apply_markers(f, markers):
    for marker in markers:
        key, _, value = marker.partition("=")
        if key == "optional":
            f.required = False
        elif key == "listType":
            f.list_type = value.capitalize()
        elif key == "listMapKey":
            f.list_map_keys.append(value)
        elif key in ("mapType", "structType") and value == "atomic":
            f.map_atomic = True
        elif key == "patchMergeKey":
            f.patch_merge_key = value
        elif key == "patchStrategy":
            f.patch_merge = "merge" in value.split(",")
            f.patch_retain_keys = "retainKeys" in value.split(",")
        elif key == "default" and not value.startswith("ref("):
            f.default = value


def load(descriptor_file, include):
    files = descriptor_pb2.FileDescriptorSet()
    with open(descriptor_file, "rb") as data:
        files.ParseFromString(data.read())
    messages, entries, raw = {}, {}, []
    for file in files.file:
        if "testapigroup" in file.name:
            continue
        package = gosource.read_package(f"{include}/{file.name.rsplit('/', 1)[0]}")
        comments = {tuple(l.path): l.leading_comments for l in file.source_code_info.location}
        for i, proto in enumerate(file.message_type):
            full = f"{file.package}.{proto.name}"
            for nested in proto.nested_type:
                if nested.options.map_entry:
                    entries[f".{full}.{nested.name}"] = nested.field[1]
            message = Message(proto.name, full, file.package, package.group, file.package.rsplit(".", 1)[1])
            message.doc, _ = split_comment(comments.get((4, i), ""))
            go = package.structs.get(proto.name)
            if go is None and proto.name in package.aliases:
                folder, name = package.aliases[proto.name]
                go = gosource.read_package(f"{include}/{folder}").structs.get(name)
            message.list_wrapper = proto.name in package.slices and [f.name for f in proto.field] == ["items"]
            if go:
                message.is_kind = go.has_type_meta
                message.genclient = any(m.startswith("+genclient") for m in go.markers)
                message.namespaced = "+genclient:nonNamespaced" not in go.markers
            if file.package.endswith(".apis.meta.v1") and proto.name not in META_GROUP_KINDS:
                message.group = ""
            messages[full] = message
            raw.append((message, proto, go, comments, i, package))
    for message, proto, go, comments, i, package in raw:
        for j, p in enumerate(proto.field):
            g = go.by_number(p.number) if go else None
            f = make_field(p, g, comments.get((4, i, 2, j), ""), messages, entries)
            if g and f.kind == "String" and not f.map:
                f.enum_values = gosource.enum_values(package, g.type, include)
            message.fields.append(f)
    type_meta = messages["k8s.io.apimachinery.pkg.apis.meta.v1.TypeMeta"].fields
    for message in messages.values():
        items = next((f for f in message.fields if f.json == "items" and f.message is not None), None)
        message.is_list = message.is_kind and items is not None and message.name == items.message.name + "List"
        if message.is_list:
            message.namespaced = items.message.namespaced
        if message.is_kind:
            meta = [Field(f.json, 0, "String", omitempty=True, doc=f.doc) for f in type_meta]
            message.fields = meta + [f for f in message.fields if f.json not in ("kind", "apiVersion")]
    return messages


def make_field(p, g, comment, messages, entries):
    doc, markers = split_comment(comment)
    f = Field(g.json if g and g.json else p.json_name if p.json_name else p.name, p.number, "String", doc=doc)
    if not (g and g.json):
        f.json = p.name
    if g:
        f.pointer = g.type.startswith("*")
        f.omitempty = g.omitempty
        f.inlined = g.inline
    f.required = not f.omitempty and not f.inlined
    label_repeated = p.label == 3
    kind, type_name = p.type, p.type_name
    if kind == 11 and type_name in entries:
        f.map = True
        value = entries[type_name]
        kind, type_name, label_repeated = value.type, value.type_name, False
    f.repeated = label_repeated
    if kind == 11:
        proto_name = type_name.lstrip(".")
        if proto_name in SPECIAL:
            f.kind = SPECIAL[proto_name]
        else:
            f.kind, f.message = "Message", messages[proto_name]
    else:
        f.kind = SCALARS[kind]
    apply_markers(f, markers)
    return f
