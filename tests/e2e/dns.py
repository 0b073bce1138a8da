"""A small DNS resolver for tests: it knows a few names, and counts what it is asked."""
import socket
import struct
import threading


class Resolver:
    """Answers A questions over UDP on ADDRESS:53 from a table; everything else does not exist."""

    def __init__(self, address, table):
        self.table, self.asked = table, []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, 53))
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        while True:
            try:
                data, whom = self.socket.recvfrom(4096)
            except OSError:
                return
            self.socket.sendto(self.answer(data), whom)

    def answer(self, data):
        name, at = [], 12
        while data[at]:
            name.append(data[at + 1:at + 1 + data[at]].decode())
            at += 1 + data[at]
        question = data[12:at + 5]
        kind = struct.unpack(">H", data[at + 1:at + 3])[0]
        text = ".".join(name).lower()
        self.asked.append(text)
        address = self.table.get(text)
        flags = 0x8180 if address else 0x8183
        records = b""
        if address and kind == 1:
            records = b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 60, 4) + socket.inet_aton(address)
        return data[:2] + struct.pack(">HHHHH", flags, 1, 1 if records else 0, 0, 0) + question + records

    def close(self):
        self.socket.close()
