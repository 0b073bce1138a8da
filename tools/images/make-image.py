#!/usr/bin/env python3
"""Makes a small container image from files on this machine; no registry and no daemon takes part.

    make-image.py OUT.tar NAME:TAG [--entrypoint JSON] [--cmd JSON] [--env K=V]... SOURCE=PATH...

Each SOURCE=PATH puts the file SOURCE at PATH, its mode kept; SOURCE=@busybox puts a static busybox into /bin together with a
link for each of its applets. The archive is what `ctr images import` takes (the docker-archive layout).
"""
import argparse
import hashlib
import io
import json
import os
import subprocess
import tarfile

BASE_DIRS = {"bin": 0o755, "etc": 0o755, "tmp": 0o1777, "root": 0o700, "var": 0o755}
BASE_FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\nnobody:x:65534:\n",
}


class Layer:
    """One uncompressed layer, with parent folders added before what is in them."""

    def __init__(self):
        self.buffer = io.BytesIO()
        self.tar = tarfile.open(fileobj=self.buffer, mode="w")
        self.folders = set()

    def folder(self, path, mode=0o755):
        if path in self.folders or not path:
            return
        self.folder(os.path.dirname(path))
        self.folders.add(path)
        entry = tarfile.TarInfo(path)
        entry.type, entry.mode = tarfile.DIRTYPE, mode
        self.tar.addfile(entry)

    def text(self, path, content):
        self.folder(os.path.dirname(path))
        entry = tarfile.TarInfo(path)
        entry.mode, data = 0o644, content.encode()
        entry.size = len(data)
        self.tar.addfile(entry, io.BytesIO(data))

    def file(self, source, path):
        self.folder(os.path.dirname(path))
        with open(source, "rb") as data:
            entry = tarfile.TarInfo(path)
            status = os.stat(source)
            entry.mode, entry.size = status.st_mode & 0o7777, status.st_size
            self.tar.addfile(entry, data)

    def link(self, path, target):
        entry = tarfile.TarInfo(path)
        entry.type, entry.linkname = tarfile.SYMTYPE, target
        self.tar.addfile(entry)

    def busybox(self, source):
        self.file(source, "bin/busybox")
        for applet in subprocess.check_output([source, "--list"], text=True).split():
            if applet != "busybox":
                self.link("bin/" + applet, "/bin/busybox")

    def bytes(self):
        self.tar.close()
        return self.buffer.getvalue()


def make_layer(files):
    layer = Layer()
    for path, mode in BASE_DIRS.items():
        layer.folder(path, mode)
    for path, content in BASE_FILES.items():
        layer.text(path, content)
    for source, path in files:
        if path == "@busybox":
            layer.busybox(source)
        else:
            layer.file(source, path.lstrip("/"))
    return layer.bytes()


def write_archive(out, name, layer, config):
    config["rootfs"] = {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]}
    config_bytes = json.dumps(config).encode()
    config_name = hashlib.sha256(config_bytes).hexdigest() + ".json"
    manifest = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    with tarfile.open(out, "w") as archive:
        for member, data in (("layer.tar", layer), (config_name, config_bytes), ("manifest.json", manifest)):
            entry = tarfile.TarInfo(member)
            entry.size, entry.mode = len(data), 0o644
            archive.addfile(entry, io.BytesIO(data))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("name")
    parser.add_argument("files", nargs="*", metavar="SOURCE=PATH")
    parser.add_argument("--entrypoint", type=json.loads)
    parser.add_argument("--cmd", type=json.loads)
    parser.add_argument("--env", action="append", default=["PATH=/bin:/sbin:/usr/bin:/usr/sbin"])
    args = parser.parse_intermixed_args()
    run = {"Env": args.env, "Entrypoint": args.entrypoint, "Cmd": args.cmd}
    layer = make_layer([tuple(item.split("=", 1)) for item in args.files])
    write_archive(args.out, args.name, layer, {"architecture": "amd64", "os": "linux", "config": run})


if __name__ == "__main__":
    main()
