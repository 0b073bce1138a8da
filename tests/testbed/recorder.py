"""Records every packet on the given interfaces into a pcap file, until interrupted: recorder.py OUT READY INTERFACE..."""
import select
import signal
import socket
import struct
import sys
import time

ETH_P_ALL = 0x0003


def main():
    out_path, ready_path, *interfaces = sys.argv[1:]
    stop = []
    signal.signal(signal.SIGINT, lambda *_: stop.append(True))
    signal.signal(signal.SIGTERM, lambda *_: stop.append(True))
    sockets = []
    for interface in interfaces:
        s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        s.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE: a burst is not lost
        s.bind((interface, 0))
        s.setblocking(False)
        sockets.append(s)
    with open(out_path, "wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        with open(ready_path, "w"):
            pass
        while True:
            ready, _, _ = select.select(sockets, [], [], 0.1)
            for s in ready:
                try:
                    packet = s.recv(262144)
                except OSError:
                    continue
                now = time.time()
                out.write(struct.pack("<IIII", int(now), int(now % 1 * 1e6), len(packet), len(packet)))
                out.write(packet)
            if stop and not ready:
                break
    lost = 0
    for s in sockets:
        statistics = s.getsockopt(263, 6, 8)  # SOL_PACKET, PACKET_STATISTICS
        lost += struct.unpack("II", statistics)[1]
    if lost:
        print(f"{lost} packets were not recorded", file=sys.stderr)


main()
