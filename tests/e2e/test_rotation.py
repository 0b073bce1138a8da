"""A running node's certificates: twenty rotations of both under load, then its cluster's authorities, with no request failing."""
import http.client
import os
import shutil
import socket
import stat
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest
from servers import REDOUBT, Server, eventually, free_port

# Seconds. Twenty rotations of certificates that live a minute take a quarter of an hour; shorter ones ask more of the program, and less of
# whoever waits. Long enough that a busy machine still answers a request within the last tenth of it.
LIFE = int(os.environ.get("REDOUBT_CERTIFICATE_SECONDS", "20"))


def address_of_this_machine():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(("203.0.113.1", 9))
        return s.getsockname()[0]


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    assert os.geteuid() == 0, "the node runs a containerd: run this as root"
    # In memory where there is some: a disk that takes seconds for a commit (others use it too) would end these certificates, not a fault.
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="rotation-", dir=memory)) if memory.is_dir() else tmp_path_factory.mktemp("rotation")
    address = address_of_this_machine()
    with Server(folder, "--cluster-signing-duration", f"{LIFE}s", "--certificate-duration", f"{LIFE}s", "--advertise-address", address) as server:
        line = server.join_line()
        log = open(folder / "agent.log", "wb")
        args = [str(REDOUBT), "join", *line, "--hostname-override", "n1", "--node-ip", address, "--data-dir", str(folder / "agent"),
                "--run-dir", str(folder / "run"), "--manage-containerd", "--kubelet-port", str(free_port()), "--kubelet-address", address]
        process = subprocess.Popen(args, stdout=log, stderr=log)
        try:
            eventually("the node is Ready", lambda: process.poll() is None and "True" in server.kubectl(
                "get", "nodes", "-o", "jsonpath={.items[*].status.conditions[?(@.type=='Ready')].status}", check=False).stdout, timeout=90)
            server.agent, server.agent_folder, server.agent_log = process, folder / "agent", folder / "agent.log"
            yield server
        finally:
            process.terminate()
            process.wait(30)
            subprocess.run([str(REDOUBT), "reset", "--data-dir", str(folder / "agent"), "--run-dir", str(folder / "run")], timeout=120)
            for log in ("server.log", "agent.log"):
                shutil.copy(folder / log, tmp_path_factory.getbasetemp() / f"rotation-{log}")
    shutil.rmtree(folder, ignore_errors=True)


class Load:
    def __init__(self, server, path, expect):
        self.server, self.path, self.expect = server, path, expect
        self.sent, self.failed, self.stopping = 0, [], threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.stopping.is_set():
            try:
                caller = self.server.admin()
                for _ in range(10):
                    answer = caller.request("GET", self.path)
                    self.sent += 1
                    if answer.status != 200 or self.expect not in answer.text:
                        self.failed.append((time.time(), repr(answer)))
                caller.close()
            except Exception as error:
                self.failed.append((time.time(), repr(error)))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()


class Watch:
    """A watch that is held open, with the certificate that it was opened with: it must outlive that certificate."""

    def __init__(self, server):
        self.server, caller = server, server.admin()
        self.connection = http.client.HTTPSConnection(*caller.address, context=caller.context, timeout=30)
        self.connection.request("GET", "/api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=1800")
        self.events = self.connection.getresponse()
        assert self.events.status == 200

    def sees(self, name):
        self.server.kubectl("-n", "default", "create", "configmap", name)
        while f'"name":"{name}"' not in (line := self.events.readline().decode()):
            assert line, "the watch was ended"
        return True


def lines(server, which):
    text = server.agent_log.read_text(errors="replace")
    return sum(1 for line in text.splitlines() if "certificate in use" in line and which in line)


def test_twenty_rotations_under_load_with_no_failed_request(node):
    pem = node.agent_folder / "kubelet" / "pki" / "kubelet-client-current.pem"
    serving = node.agent_folder / "kubelet" / "pki" / "kubelet-server-current.pem"
    before = lines(node, "client"), lines(node, "serving")
    watch = Watch(node)
    assert watch.sees("before")
    # Through the API server to the kubelet: its serving certificate, and the API server's own towards it, on each new connection.
    with Load(node, "/api/v1/nodes/n1/proxy/healthz", "ok") as kubelet, Load(node, "/api/v1/nodes/n1", "n1") as api:
        wanted = int(os.environ.get("REDOUBT_ROTATIONS", "20"))
        eventually(f"{wanted} rotations", lambda: kubelet.failed or api.failed or (
            lines(node, "client") - before[0] >= wanted and lines(node, "serving") - before[1] >= wanted), timeout=wanted * LIFE * 2)
    assert node.agent.poll() is None, "the agent was restarted or ended"
    assert kubelet.sent > 100 and api.sent > 100
    assert not kubelet.failed, kubelet.failed[:5]
    assert not api.failed, api.failed[:5]
    for path in (pem, serving):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert time.time() - path.stat().st_mtime < 2 * LIFE
    # The node never went away: its lease was renewed throughout, with whichever certificate was current.
    log = node.agent_log.read_text(errors="replace")
    assert "renewing the node's lease failed" not in log
    # Nor was a connection dropped: the tunnel is the one of the beginning, and so is the watch.
    assert "tunnel is down" not in log
    assert watch.sees("after")


def test_the_clusters_authorities_are_rotated_beneath_a_running_node(node):
    with Load(node, "/api/v1/nodes/n1/proxy/healthz", "ok") as kubelet:
        node.redoubt("certs", "rotate-ca", "begin", "--authority", "ca")
        node.redoubt("certs", "rotate-ca", "begin", "--authority", "kubelet-ca")
        # Without --force: the node says itself when it is ready.
        for phase in ("advance", "finish"):
            for authority in ("ca", "kubelet-ca"):
                eventually(f"{phase} of {authority}", lambda: node.redoubt("certs", "rotate-ca", phase, "--authority", authority, check=False).returncode == 0)
        time.sleep(5)
    assert not kubelet.failed, kubelet.failed[:5]
    eventually("the node has forgotten the old one", lambda: (node.agent_folder / "kubelet" / "pki" / "ca.crt").read_text() ==
               (node.data / "pki" / "ca.crt").read_text())
    assert node.agent.poll() is None
