"""A TUN device from which every packet comes back after a while: slow_wire.py DEVICE MILLISECONDS READY"""
import collections
import fcntl
import os
import select
import struct
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000


def main():
    device, milliseconds, ready = sys.argv[1], float(sys.argv[2]), sys.argv[3]
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", device.encode(), IFF_TUN | IFF_NO_PI))
    with open(ready, "w"):
        pass
    waiting = collections.deque()
    while True:
        timeout = max(0, waiting[0][0] - time.monotonic()) if waiting else 1
        if select.select([tun], [], [], timeout)[0]:
            try:
                while True:
                    waiting.append((time.monotonic() + milliseconds / 1000, os.read(tun, 65536)))
            except BlockingIOError:
                pass
        while waiting and waiting[0][0] <= time.monotonic():
            try:
                os.write(tun, waiting.popleft()[1])
            except OSError:
                pass


main()
