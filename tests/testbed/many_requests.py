"""Asks the API server for one path many times at once, each over a connection of its own: many_requests.py KUBECONFIG PATH COUNT SECONDS.
Prints {"codes": {"503": N, ...}, "seconds": {"first": ..., "last": ...}, "said": "one of the answers"}; "none" are those without an answer."""
import asyncio
import base64
import collections
import json
import re
import ssl
import sys
import tempfile
import time
import urllib.parse


def credentials(path):
    text = open(path).read()
    field = lambda name: base64.b64decode(re.search(name + r":\s*\"?([A-Za-z0-9+/=]+)", text).group(1))
    context = ssl.create_default_context(cadata=field("certificate-authority-data").decode())
    with tempfile.NamedTemporaryFile() as both:
        both.write(field("client-certificate-data") + b"\n" + field("client-key-data"))
        both.flush()
        context.load_cert_chain(both.name)
    context.set_alpn_protocols(["http/1.1"])
    return urllib.parse.urlsplit(re.search(r"server:\s*\"?(https://[^\s\"]+)", text).group(1)), context


async def ask(gate, server, context, path):
    # Handshakes a few at a time: they are not what is measured. The requests wait all together.
    async with gate:
        reader, writer = await asyncio.open_connection(server.hostname, server.port, ssl=context)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: {server.netloc}\r\nConnection: close\r\n\r\n".encode())
        started = time.monotonic()
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        took = time.monotonic() - started
        body = await reader.readexactly(int(re.search(r"content-length: (\d+)", head.lower()).group(1)))
        return head.split(" ")[1], took, body.decode(errors="replace")
    finally:
        writer.transport.abort()


async def one(gate, server, context, path, seconds):
    started = time.monotonic()
    try:
        return await asyncio.wait_for(ask(gate, server, context, path), seconds)
    except (OSError, EOFError, asyncio.TimeoutError, ssl.SSLError) as error:
        return "none", time.monotonic() - started, repr(error)


async def main():
    kubeconfig, path, count, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    server, context = credentials(kubeconfig)
    gate = asyncio.Semaphore(8)
    done = await asyncio.gather(*(one(gate, server, context, path, seconds) for _ in range(count)))
    times = sorted(took for _, took, _ in done)
    codes = collections.Counter(code for code, _, _ in done)
    said = next((text for code, _, text in done if code == codes.most_common(1)[0][0]), "")
    print(json.dumps({"codes": codes, "seconds": {"first": round(times[0], 2), "last": round(times[-1], 2)}, "said": said[-400:]}))


asyncio.run(main())
