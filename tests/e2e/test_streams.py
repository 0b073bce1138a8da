"""exec, attach, cp, port-forward and logs under load, with the real kubectl."""
import concurrent.futures
import hashlib
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

from conftest import ROOT
from test_pods import kube_env

# How older clients speak: SPDY/3.1 instead of WebSockets.
SPDY = {"KUBECTL_REMOTE_COMMAND_WEBSOCKETS": "false", "KUBECTL_PORT_FORWARD_WEBSOCKETS": "false"}
MEGABYTES = int(os.environ.get("REDOUBT_E2E_COPY_MB", "200"))
CONNECTIONS = int(os.environ.get("REDOUBT_E2E_FORWARDS", "1000"))


def server_memory_kb():
    """Resident memory of the test cluster's server."""
    for process in Path("/proc").iterdir():
        if not process.name.isdigit():
            continue
        try:
            command = (process / "cmdline").read_bytes().split(b"\0")
            if len(command) > 1 and command[1] in (b"up", b"server") and str(ROOT / ".dev").encode() in b" ".join(command):
                return int(re.search(r"VmRSS:\s+(\d+)", (process / "status").read_text())[1])
        except OSError:
            continue
    return 0


def test_copy_both_ways_with_checksums(cluster, namespace, make_pod, tmp_path):
    make_pod("box", "sleep 100000")
    source = tmp_path / "big"
    digest = hashlib.sha256()
    with source.open("wb") as out:
        for _ in range(MEGABYTES):
            block = os.urandom(1 << 20)
            digest.update(block)
            out.write(block)
    before = server_memory_kb()
    cluster.kubectl("-n", namespace, "cp", str(source), "box:/tmp/big", timeout=600)
    inside = cluster.out("-n", namespace, "exec", "box", "--", "sha256sum", "/tmp/big", timeout=120).split()[0]
    assert inside == digest.hexdigest()
    back = tmp_path / "back"
    cluster.kubectl("-n", namespace, "cp", "box:/tmp/big", str(back), timeout=600)
    with back.open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == digest.hexdigest() if hasattr(hashlib, "file_digest") else \
            hashlib.sha256(back.read_bytes()).hexdigest() == digest.hexdigest()
    assert server_memory_kb() - before < 64 * 1024, "copying must not grow the server"


def test_a_slow_reader_holds_the_writer_back(cluster, namespace, make_pod):
    make_pod("fast", "sleep 100000")
    before = server_memory_kb()
    reader = subprocess.Popen(["kubectl", "-n", namespace, "exec", "fast", "--", "sh", "-c", "head -c 300000000 /dev/zero"],
                              stdout=subprocess.PIPE, env=kube_env())
    try:
        reader.stdout.read(1000)
        time.sleep(5)
        assert server_memory_kb() - before < 32 * 1024, "what nobody reads must not pile up in the server"
        left = 300000000 - 1000
        while left > 0:
            got = len(reader.stdout.read(min(left, 1 << 20)))
            assert got > 0
            left -= got
        assert reader.wait(30) == 0
    finally:
        reader.kill()


def test_many_connections_through_one_forward(cluster, namespace, make_pod):
    make_pod("web", "mkdir /tmp/w; echo served > /tmp/w/index.html; exec httpd -f -p 8080 -h /tmp/w")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    forward = subprocess.Popen(["kubectl", "-n", namespace, "port-forward", "pod/web", f"{port}:8080"], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True, env=kube_env())

    def fetch(_):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
            return answer.read() == b"served\n"
    try:
        assert "Forwarding from 127.0.0.1" in forward.stdout.readline()
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            assert all(pool.map(fetch, range(CONNECTIONS)))
        assert forward.poll() is None
    finally:
        forward.kill()


def test_sessions_end_with_their_clients(cluster, namespace, make_pod):
    make_pod("busy", "sleep 100000")
    shells = [subprocess.Popen(["kubectl", "-n", namespace, "exec", "-i", "busy", "--", "sh", "-c", "cat; sleep 0"], stdin=subprocess.PIPE,
                               stdout=subprocess.DEVNULL, env=kube_env()) for _ in range(10)]
    running = lambda: cluster.out("-n", namespace, "exec", "busy", "--", "sh", "-c", "ps | grep -c ' cat$'", check=False)
    cluster.eventually("ten cats", lambda: running() == "10")
    for shell in shells:
        shell.send_signal(signal.SIGKILL)
    cluster.eventually("no cat is left", lambda: running() == "0", timeout=60)
    for shell in shells:
        shell.wait()


def test_logs_of_one_stream_and_since(cluster, namespace, make_pod):
    make_pod("both", "echo out; echo err >&2; sleep 100000")
    cluster.eventually("both lines", lambda: len(cluster.out("-n", namespace, "logs", "both").splitlines()) == 2)
    path = f"/api/v1/namespaces/{namespace}/pods/both/log"
    assert cluster.out("get", "--raw", path + "?stream=Stdout") == "out"
    assert cluster.out("get", "--raw", path + "?stream=Stderr") == "err"
    assert sorted(cluster.out("get", "--raw", path + "?stream=All").split()) == ["err", "out"]
    assert cluster.out("-n", namespace, "logs", "both", "--since=1h", "--limit-bytes=2") in ("ou", "er")
    assert cluster.out("-n", namespace, "logs", "both", "--since-time=2999-01-01T00:00:00Z") == ""
    assert "mutually exclusive" in cluster.fails("get", "--raw", path + "?stream=Stdout&tailLines=1")


def test_spdy_clients(cluster, namespace, make_pod):
    make_pod("old", "mkdir /tmp/w; echo served > /tmp/w/index.html; exec httpd -f -p 8080 -h /tmp/w")
    env = dict(kube_env(), **SPDY)
    kubectl = lambda *args, **more: subprocess.run(["kubectl", "-n", namespace, *args], capture_output=True, timeout=120, env=env, **more)
    failing = kubectl("exec", "old", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (failing.returncode, failing.stdout) == (7, b"out\n") and failing.stderr.startswith(b"err\n")
    data = os.urandom(20_000_000)
    assert kubectl("exec", "-i", "old", "--", "cat", input=data).stdout == data
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    forward = subprocess.Popen(["kubectl", "-n", namespace, "port-forward", "pod/old", f"{port}:8080"], stdout=subprocess.PIPE, text=True, env=env)
    try:
        assert "Forwarding from 127.0.0.1" in forward.stdout.readline()
        for _ in range(20):
            assert urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20).read() == b"served\n"
    finally:
        forward.kill()
