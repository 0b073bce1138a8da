#!/usr/bin/env python3
"""Mixed streams with random aborts against a running cluster: exec over WebSockets and SPDY/3.1, port-forwards both ways, logs, pod proxies.

streams.py --kubeconfig FILE [--minutes 60] [--workers 24] [--seed 1] [--pid SERVER_PID]

Makes a namespace and a pod of its own. Ends with 0 when every session that was not aborted gave what it should, no process was left in the
pod, no stream towards the cluster stayed open, and the server's memory (with --pid) at the end is near what it was after the first tenth.
"""
import argparse
import asyncio
import base64
import json
import os
import random
import re
import ssl
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from spdy import Spdy, dictionary

NAMESPACE, POD = "stress-streams", "web"
WORDS = dictionary()


class Broken(Exception):
    """A session that was not aborted did not give what it should."""


class Api:
    def __init__(self, kubeconfig):
        self.kubeconfig = kubeconfig
        config = json.loads(self.kubectl("config", "view", "--raw", "-o", "json"))
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.host, self.port = re.match(r"https://([^:/]+):(\d+)", cluster["server"]).groups()
        folder = tempfile.mkdtemp()
        for name, data in (("ca", cluster["certificate-authority-data"]), ("crt", user["client-certificate-data"]), ("key", user["client-key-data"])):
            Path(folder, name).write_bytes(base64.b64decode(data))
        self.tls = ssl.create_default_context(cafile=f"{folder}/ca")
        self.tls.load_cert_chain(f"{folder}/crt", f"{folder}/key")
        self.base = f"/api/v1/namespaces/{NAMESPACE}/pods/{POD}"

    def kubectl(self, *args, **more):
        done = subprocess.run(["kubectl", "--kubeconfig", self.kubeconfig, *args], capture_output=True, text=True, timeout=120, **more)
        if done.returncode != 0:
            raise SystemExit(f"kubectl {' '.join(args)}: {done.stderr}")
        return done.stdout

    async def connect(self):
        return await asyncio.open_connection(self.host, int(self.port), ssl=self.tls, limit=1 << 20)

    async def request(self, method, path, headers=(), body=b""):
        reader, writer = await self.connect()
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}", *headers]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await writer.drain()
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        return int(head.split()[1]), head, reader, writer


def drop(writer):
    writer.transport.abort()


class WebSocket:
    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer

    @classmethod
    async def open(cls, api, path, protocol):
        key = base64.b64encode(os.urandom(16)).decode()
        status, head, reader, writer = await api.request("GET", path, ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
                                                                       f"Sec-WebSocket-Key: {key}", f"Sec-WebSocket-Protocol: {protocol}"])
        if status != 101:
            drop(writer)
            raise Broken(f"upgrade of {path}: {head.splitlines()[0]}")
        return cls(reader, writer)

    async def send(self, payload, opcode=2):
        mask = os.urandom(4)
        size = len(payload)
        head = bytes([0x80 | opcode])
        head += bytes([0x80 | size]) if size < 126 else struct.pack(">BH", 0xFE, size) if size < 65536 else struct.pack(">BQ", 0xFF, size)
        key = (mask * (size // 4 + 1))[:size]
        self.writer.write(head + mask + (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big"))
        await self.writer.drain()

    async def read(self):
        """A message's bytes; None at the end."""
        out = b""
        while True:
            first, second = await self.reader.readexactly(2)
            size = second & 0x7F
            if size == 126:
                size = struct.unpack(">H", await self.reader.readexactly(2))[0]
            elif size == 127:
                size = struct.unpack(">Q", await self.reader.readexactly(8))[0]
            payload = await self.reader.readexactly(size)
            if first & 0xF == 8:
                return None
            if first & 0xF in (9, 10):
                continue
            out += payload
            if first & 0x80:
                return out


def exec_path(api, command, stdin=False):
    words = "&".join(f"command={w.replace(' ', '%20').replace(';', '%3B').replace('/', '%2F')}" for w in command)
    return f"{api.base}/exec?stdout=true&stderr=true{'&stdin=true' if stdin else ''}&{words}"


async def websocket_echo(api, dice):
    """cat gives back what it is given, and ends when its input does."""
    socket = await WebSocket.open(api, exec_path(api, ["cat"], True), "v5.channel.k8s.io")
    data = os.urandom(dice.randrange(1, 400_000))
    stop = dice.random() < 0.4

    async def write():
        for at in range(0, len(data), 30_000):
            await socket.send(b"\0" + data[at : at + 30_000])
            if stop and dice.random() < 0.2:
                drop(socket.writer)
                return
        await socket.send(b"\xff\0")
    writing = asyncio.create_task(write())
    got, status = b"", None
    try:
        while (message := await socket.read()) is not None:
            if message[:1] == b"\1":
                got += message[1:]
            elif message[:1] == b"\3":
                status = json.loads(message[1:])
    except (asyncio.IncompleteReadError, ConnectionError):
        if not stop:
            raise
    finally:
        writing.cancel()
        drop(socket.writer)
    if not stop and (got != data or status["status"] != "Success"):
        raise Broken(f"echo: {len(got)} of {len(data)} bytes, {status}")


async def websocket_slow_reader(api, dice):
    """Much output, of which little is read before the client goes. (containerd 1.6 then leaves the writer blocked in the container, whoever
    the client of its API is: such processes are not counted at the end.)"""
    socket = await WebSocket.open(api, exec_path(api, ["head", "-c", "50000000", "/dev/zero"]), "v4.channel.k8s.io")
    for _ in range(dice.randrange(1, 20)):
        await socket.read()
    await asyncio.sleep(dice.random() * 2)
    drop(socket.writer)


async def websocket_sleeper(api, dice):
    """A command that says nothing, left by its client."""
    socket = await WebSocket.open(api, exec_path(api, ["sh", "-c", "cat; exit 0"], True), "v5.channel.k8s.io")
    await asyncio.sleep(dice.random() * 3)
    drop(socket.writer)


async def spdy_session(api, path, protocol, method="POST"):
    status, head, reader, writer = await api.request(method, path, ["Connection: Upgrade", "Upgrade: SPDY/3.1", f"X-Stream-Protocol-Version: {protocol}"])
    if status != 101:
        drop(writer)
        raise Broken(f"upgrade of {path}: {head.splitlines()[0]}")
    return Spdy(WORDS), reader, writer


async def spdy_echo(api, dice):
    """The same as websocket_echo for an old client."""
    spdy, reader, writer = await spdy_session(api, exec_path(api, ["cat"], True), "v4.channel.k8s.io")
    streams = {}
    for kind in ("error", "stdin", "stdout", "stderr"):
        streams[kind], frame = spdy.open({"streamtype": kind})
        writer.write(frame)
    data = os.urandom(dice.randrange(1, 400_000))
    stop = dice.random() < 0.4

    async def write():
        for at in range(0, len(data), 30_000):
            writer.write(spdy.data(streams["stdin"], data[at : at + 30_000]))
            await writer.drain()
            if stop and dice.random() < 0.2:
                drop(writer)
                return
        writer.write(spdy.data(streams["stdin"], b"", True))
    writing = asyncio.create_task(write())
    got, error, ended = b"", b"", False
    try:
        while not ended:
            piece = await reader.read(65536)
            if not piece:
                break
            for event in spdy.feed(piece):
                if event[0] == "data" and event[1] == streams["stdout"]:
                    got += event[2]
                if event[0] == "data" and event[1] == streams["error"]:
                    error += event[2]
                    ended = ended or event[3]
                if event[0] == "goaway":
                    ended = True
    except ConnectionError:
        if not stop:
            raise
    finally:
        writing.cancel()
        drop(writer)
    if not stop and (got != data or b"Success" not in error):
        raise Broken(f"spdy echo: {len(got)} of {len(data)} bytes, {error[:200]}")


async def forward(dice, send, read):
    """Several connections through one forward, some of them reset."""
    spdy = Spdy(WORDS)
    wanted = {}
    for request in range(dice.randrange(1, 6)):
        headers = {"streamtype": "error", "port": "8080", "requestid": str(request)}
        error, frame = spdy.open(headers)
        await send(frame)
        await send(spdy.data(error, b"", True))
        data, frame = spdy.open(dict(headers, streamtype="data"))
        await send(frame)
        if dice.random() < 0.2:
            await send(spdy.reset(data))
            continue
        await send(spdy.data(data, b"GET /index.html HTTP/1.0\r\n\r\n"))
        wanted[data] = b""
    open_ones = set(wanted)
    if dice.random() < 0.3:
        await asyncio.sleep(dice.random())
        return
    while open_ones:
        piece = await read()
        if not piece:
            break
        for event in spdy.feed(piece):
            if event[0] == "data" and event[1] in wanted:
                wanted[event[1]] += event[2]
                if event[3]:
                    open_ones.discard(event[1])
            if event[0] == "reset":
                open_ones.discard(event[1])
    for answer in wanted.values():
        if not answer.endswith(b"served\n"):
            raise Broken(f"port-forward: {answer[:200]}")


async def spdy_forward(api, dice):
    _, reader, writer = await spdy_session(api, f"{api.base}/portforward", "portforward.k8s.io")

    async def send(frame):
        writer.write(frame)
        await writer.drain()
    try:
        await forward(dice, send, lambda: reader.read(65536))
    finally:
        drop(writer)


async def tunnelled_forward(api, dice):
    socket = await WebSocket.open(api, f"{api.base}/portforward", "SPDY/3.1+portforward.k8s.io")
    try:
        await forward(dice, socket.send, socket.read)
    finally:
        drop(socket.writer)


async def follow_logs(api, dice):
    status, head, reader, writer = await api.request("GET", f"{api.base}/log?follow=true&tailLines=5")
    if status != 200:
        drop(writer)
        raise Broken(f"logs: {head.splitlines()[0]}")
    await reader.readline()
    await asyncio.sleep(dice.random() * 3)
    drop(writer)


async def proxy_get(api, dice):
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{POD}:8080/proxy/big"
    status, head, reader, writer = await api.request("GET", path, ["Connection: close"])
    if status != 200:
        drop(writer)
        raise Broken(f"proxy: {head.splitlines()[0]}")
    if dice.random() < 0.5:
        await reader.read(dice.randrange(1, 1_000_000))
        drop(writer)
        return
    size = 0
    while piece := await reader.read(65536):
        size += len(piece)
    drop(writer)
    if size < 3_000_000:
        raise Broken(f"proxy: {size} bytes of 3000000")


async def refused(api, dice):
    """Upgrades that are not taken: an ordinary answer, and nothing behind it."""
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/nobody/exec?command=id&stdout=true"
    status, _, _, writer = await api.request("GET", path, ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
                                                           "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Sec-WebSocket-Protocol: v5.channel.k8s.io"])
    drop(writer)
    if status != 404:
        raise Broken(f"exec in a pod that is not there: {status}")


KINDS = [websocket_echo, websocket_slow_reader, websocket_sleeper, spdy_echo, spdy_forward, tunnelled_forward, follow_logs, proxy_get, refused]


def resident_kb(pid):
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) if pid else 0


def open_streams(api):
    text = api.kubectl("get", "--raw", "/metrics")
    return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith("redoubt_egress_open_streams{"))


def prepare(api):
    api.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--timeout=60s")
    api.kubectl("create", "namespace", NAMESPACE)
    for _ in range(100):
        if "default" in api.kubectl("-n", NAMESPACE, "get", "serviceaccounts", "-o", "name"):
            break
        time.sleep(0.2)
    command = ("mkdir /tmp/w; echo served > /tmp/w/index.html; head -c 3000000 /dev/zero > /tmp/w/big; httpd -p 8080 -h /tmp/w; "
               "while true; do echo tick; sleep 1; done")
    api.kubectl("-n", NAMESPACE, "apply", "-f", "-", input=json.dumps(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": POD}, "spec": {"terminationGracePeriodSeconds": 1, "containers": [
            {"name": "c", "image": "redoubt.test/busybox:1", "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", command]}]}}))
    api.kubectl("-n", NAMESPACE, "wait", "--for=condition=Ready", f"pod/{POD}", "--timeout=60s")


async def work(api, args, counts, failures):
    end = time.monotonic() + args.minutes * 60
    samples = []

    async def worker(number):
        dice = random.Random(args.seed * 1000 + number)
        while time.monotonic() < end:
            kind = dice.choice(KINDS)
            try:
                await asyncio.wait_for(kind(api, dice), 120)
                counts[kind.__name__] += 1
            except asyncio.TimeoutError:
                failures.append(f"{kind.__name__}: stuck for two minutes")
            except (Broken, OSError, asyncio.IncompleteReadError) as error:
                failures.append(f"{kind.__name__}: {error!r}")

    async def watch():
        while time.monotonic() < end:
            samples.append(resident_kb(args.pid))
            print(f"{time.strftime('%H:%M:%S')} sessions={sum(counts.values())} failures={len(failures)} resident={samples[-1]} kB", flush=True)
            await asyncio.sleep(args.minutes * 60 / 20)
    await asyncio.gather(watch(), *[worker(n) for n in range(args.workers)])
    return samples


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--workers", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pid", type=int, default=0)
    args = parser.parse_args()
    api = Api(args.kubeconfig)
    prepare(api)
    before, streams_before = resident_kb(args.pid), open_streams(api)
    counts, failures = Counter(), []
    samples = asyncio.run(work(api, args, counts, failures))
    # A kubelet's connection that is kept for the next request is no stuck stream.
    for _ in range(60):
        left = int(api.kubectl("-n", NAMESPACE, "exec", POD, "--", "sh", "-c", "ps | grep -c ' cat$' || true").split()[0])
        streams = open_streams(api)
        if left == 0 and streams <= streams_before + 4:
            break
        time.sleep(1)
    after = resident_kb(args.pid)
    for kind in KINDS:
        print(f"{kind.__name__}: {counts[kind.__name__]}")
    for text, times in Counter(failures).most_common(20):
        print(f"FAILED {times} times: {text}")
    settled = samples[len(samples) // 10] if samples else before
    print(f"resident: {before} kB before, {settled} kB after a tenth, {after} kB at the end; streams open {streams_before:.0f} -> {streams:.0f}; "
          f"processes left in the pod: {left}")
    api.kubectl("delete", "namespace", NAMESPACE, "--wait=false")
    flat = not args.pid or after < settled + 24 * 1024
    sys.exit(0 if not failures and left == 0 and streams <= streams_before + 4 and flat else 1)


if __name__ == "__main__":
    main()
