"""Reads from Go sources what .proto files leave out: JSON names, pointers, omitempty, embedding, enums, kinds and their scope."""
import functools
import re
from dataclasses import dataclass, field
from pathlib import Path

STRUCT = re.compile(r"^type (\w+) struct \{")
NAMED = re.compile(r"^type (\w+) (\[\]|map\[)(.*)$")
ALIAS = re.compile(r"^type (\w+) (\w+)\.(\w+)$")
IMPORT = re.compile(r'^(?:import )?\t?(\w+) "(k8s\.io/[^"]+)"$')
NAMED_STRING = re.compile(r"^type (\w+) string$")
CONSTANT = re.compile(r'^(?:const )?\t?\w+ +(\w+) += "([^"]*)"')
FIELD = re.compile(r"^\t(?:(\w+) +)?([\w.*\[\]]+(?:\{\})?) +`(.*)`")
TAG = re.compile(r'(\w+):"([^"]*)"')


@dataclass
class GoField:
    name: str
    type: str
    json: str
    omitempty: bool
    inline: bool
    number: int  # protobuf field number, 0 when it has none
    embedded: bool


@dataclass
class GoStruct:
    name: str
    fields: list = field(default_factory=list)
    markers: list = field(default_factory=list)

    @property
    def has_type_meta(self):
        return any(f.type.split(".")[-1] == "TypeMeta" and f.inline for f in self.fields)

    def by_number(self, number):
        return next((f for f in self.fields if f.number == number), None)


@dataclass
class GoPackage:
    group: str = ""
    structs: dict = field(default_factory=dict)
    slices: set = field(default_factory=set)  # type X []string
    enums: dict = field(default_factory=dict)  # type X string under +enum: X -> its constants
    imports: dict = field(default_factory=dict)  # name in this package -> folder
    aliases: dict = field(default_factory=dict)  # type X other.Y: X -> (folder of other, Y)


def parse_field(line):
    match = FIELD.match(line)
    if not match:
        return None
    name, go_type, tags = match.group(1), match.group(2), dict(TAG.findall(match.group(3)))
    if "json" not in tags or tags["json"] == "-":
        return None
    json_name, *options = tags["json"].split(",")
    number = 0
    parts = tags.get("protobuf", "").split(",")
    if len(parts) > 1 and parts[1].isdigit():
        number = int(parts[1])
    embedded = name is None
    inline = "inline" in options or (embedded and not json_name)
    return GoField(name or go_type.split(".")[-1].lstrip("*"), go_type, json_name, "omitempty" in options or "omitzero" in options, inline,
                   number, embedded)


@functools.cache
def read_package(folder):
    package = GoPackage()
    constants = []
    for path in sorted(Path(folder).glob("*.go")):
        if path.name.endswith("_test.go") or path.name.startswith("zz_") or path.name in ("generated.pb.go", "types_swagger_doc_generated.go"):
            continue
        current, markers, imports = None, [], package.imports
        for line in path.read_text().splitlines():
            if line.startswith("const GroupName = "):
                package.group = line.split('"')[1]
            if current is None:
                if line.startswith("//"):
                    text = line[2:].strip()
                    if text.startswith("+"):
                        markers.append(text)
                    continue
                match = STRUCT.match(line)
                if match:
                    current = GoStruct(match.group(1), markers=markers)
                    package.structs[current.name] = current
                    if line.rstrip().endswith("}"):
                        current = None
                else:
                    if match := IMPORT.match(line):
                        imports[match.group(1)] = match.group(2)
                    if (match := ALIAS.match(line)) and match.group(2) in imports:
                        package.aliases[match.group(1)] = (imports[match.group(2)], match.group(3))
                    if (match := NAMED_STRING.match(line)) and "+enum" in markers:
                        package.enums[match.group(1)] = []
                    if match := CONSTANT.match(line):
                        constants.append(match.groups())
                    match = NAMED.match(line)
                    if match and match.group(2) == "[]":
                        package.slices.add(match.group(1))
                if line.strip():
                    markers = []
                continue
            if line.startswith("}"):
                current = None
                continue
            parsed = parse_field(line)
            if parsed:
                current.fields.append(parsed)
    for name, value in constants:
        if name in package.enums and value not in package.enums[name]:
            package.enums[name].append(value)
    return package


def enum_values(package, go_type, include):
    """The values of a field whose Go type is an enum, of this package or of one that it imports."""
    name = go_type.lstrip("*[]")
    if "." in name:
        other, name = name.split(".")
        if other not in package.imports:
            return []
        package = read_package(f"{include}/{package.imports[other]}")
    return sorted(package.enums.get(name, []))
