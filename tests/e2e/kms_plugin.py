"""A KMS v2 plug-in (k8s.io/kms, v2.KeyManagementService) on a unix socket: Status, Encrypt, Decrypt, by AES-GCM with keys that it never tells.

Messages are put together by hand: three of them, of strings and bytes, need no generated code.
"""
import os
import threading
from concurrent import futures

import grpc
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def fields(message):
    """Length-delimited fields by number; the last of each."""
    out, at = {}, 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
    while at < len(message):
        tag = varint()
        assert tag & 7 == 2, "strings, bytes and messages only"
        size = varint()
        out[tag >> 3], at = message[at:at + size], at + size
    return out


def message(*values):
    """Fields 1, 2, ..., each left out when it is empty."""
    out = b""
    for number, value in enumerate(values, 1):
        data = value.encode() if isinstance(value, str) else value
        if data:
            size, length = b"", len(data)
            while length > 0x7F:
                size, length = size + bytes([length & 0x7F | 0x80]), length >> 7
            out += bytes([number << 3 | 2]) + size + bytes([length]) + data
    return out


class Plugin:
    """Keys outlive start() and stop(); `key_id` is the one in use, `healthz` what it says of itself."""

    def __init__(self, path):
        self.path, self.server = path, None
        self.keys, self.key_id, self.healthz = {}, "", "ok"
        self.calls = {"Status": 0, "Encrypt": 0, "Decrypt": 0}
        self.lock = threading.Lock()
        self.rotate("key-1")

    def rotate(self, key_id):
        with self.lock:
            self.keys[key_id], self.key_id = AESGCM(os.urandom(32)), key_id

    def start(self):
        self.server = grpc.server(futures.ThreadPoolExecutor(4))
        methods = {name: grpc.unary_unary_rpc_method_handler(getattr(self, name.lower())) for name in self.calls}
        self.server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("v2.KeyManagementService", methods),))
        self.server.add_insecure_port(f"unix://{self.path}")
        self.server.start()
        return self

    def stop(self):
        self.server.stop(None).wait()

    __enter__ = start

    def __exit__(self, *_):
        self.stop()

    def status(self, _request, _context):
        with self.lock:
            self.calls["Status"] += 1
            return message("v2", self.healthz, self.key_id)

    def encrypt(self, request, _context):
        with self.lock:
            self.calls["Encrypt"] += 1
            nonce = os.urandom(12)
            return message(nonce + self.keys[self.key_id].encrypt(nonce, fields(request)[1], None), self.key_id,
                           message("version.mine.example", b"1"))

    def decrypt(self, request, context):
        asked = fields(request)
        sealed, key_id, annotations = asked[1], asked[3].decode(), fields(asked[4])
        with self.lock:
            self.calls["Decrypt"] += 1
            if key_id not in self.keys or annotations != {1: b"version.mine.example", 2: b"1"}:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"no key {key_id}")
            return message(self.keys[key_id].decrypt(sealed[:12], sealed[12:], None))
