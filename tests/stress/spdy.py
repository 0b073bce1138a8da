"""A hand-written client of SPDY/3.1 as Kubernetes' exec and port-forward speak it: what kubectl before 1.29 sent."""
import re
import struct
import zlib
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src" / "net" / "spdy_headers.cc"


def dictionary():
    """The draft's compression dictionary, read from where the program has it."""
    text = SOURCE.read_text()
    body = text[text.index("for (std::string_view word : {") :]
    words = re.findall(r'"([^"]*)"', body[: body.index("}) {")])
    tail = body[body.index("out +=\n") :]
    plain = "".join(re.findall(r'"([^"]*)"', tail[: tail.index(";")]))
    return b"".join(struct.pack(">I", len(w)) + w.encode() for w in words) + plain.encode()


class Spdy:
    """Frames of one connection: bytes to send come from the methods, what arrives goes into feed()."""

    def __init__(self, words):
        self.deflate = zlib.compressobj(zdict=words)
        self.inflate = zlib.decompressobj(zdict=words)
        self.next_id, self.buffer = 1, b""

    def open(self, headers):
        block = struct.pack(">I", len(headers))
        for name, value in headers.items():
            block += struct.pack(">I", len(name)) + name.encode() + struct.pack(">I", len(value)) + value.encode()
        packed = self.deflate.compress(block) + self.deflate.flush(zlib.Z_SYNC_FLUSH)
        stream, self.next_id = self.next_id, self.next_id + 2
        payload = struct.pack(">IIH", stream, 0, 0) + packed
        return stream, struct.pack(">HHI", 0x8003, 1, len(payload)) + payload

    @staticmethod
    def data(stream, payload, fin=False):
        return struct.pack(">II", stream, (0x01000000 if fin else 0) | len(payload)) + payload

    @staticmethod
    def reset(stream):
        return struct.pack(">HHIII", 0x8003, 3, 8, stream, 5)

    def feed(self, data):
        """Events: ("data", stream, bytes, fin), ("reply", stream), ("reset", stream), ("goaway",)."""
        self.buffer += data
        out = []
        while len(self.buffer) >= 8:
            first, second = struct.unpack(">II", self.buffer[:8])
            size, flags = second & 0xFFFFFF, second >> 24
            if len(self.buffer) < 8 + size:
                break
            payload, self.buffer = self.buffer[8 : 8 + size], self.buffer[8 + size :]
            if not first & 0x80000000:
                out.append(("data", first, payload, bool(flags & 1)))
                continue
            kind = first & 0xFFFF
            if kind == 2:
                self.inflate.decompress(payload[4:])
                out.append(("reply", struct.unpack(">I", payload[:4])[0]))
            elif kind == 3:
                out.append(("reset", struct.unpack(">I", payload[:4])[0]))
            elif kind == 7:
                out.append(("goaway",))
        return out
