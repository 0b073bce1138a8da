#!/usr/bin/python3
"""Generates the schema from upstream's modules.

    generate.py INCLUDE OUT     INCLUDE: what fetch-modules.sh made; OUT/schema/{generated,k8s}: tables, structs, documentation

Needs protoc and Debian's python3-protobuf. Prints the list of C++ sources made.
"""
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import emit_structs  # noqa: E402
import emit_types  # noqa: E402
import model  # noqa: E402


def main():
    include, out = Path(sys.argv[1]), Path(sys.argv[2]) / "schema"
    generated = out / "generated"
    generated.mkdir(parents=True, exist_ok=True)
    protos = sorted(str(p.relative_to(include)) for m in ("api", "apimachinery", "apiextensions-apiserver", "kube-aggregator")
                    for p in (include / "k8s.io" / m).resolve().rglob("generated.proto") for p in [include / "k8s.io" / m / p.relative_to((include / "k8s.io" / m).resolve())])
    descriptors = out / "descriptors.pb"
    result = subprocess.run(["protoc", f"-I{include}", "--include_source_info", "--include_imports", "-o", str(descriptors), *protos],
                            stderr=subprocess.PIPE, text=True)
    if result.returncode != 0:
        sys.exit("\n".join(line for line in result.stderr.splitlines() if "warning" not in line))
    messages = model.load(descriptors, include)
    sources = emit_types.write(messages, generated) + emit_structs.write(messages, out)
    (generated / "sources.txt").write_text(";".join(sources))


if __name__ == "__main__":
    main()
