"""What happens to Services when something breaks under them: the nftables table is deleted, the agent is killed while it programs
rules, connection tracking is full. Repaired, logged, nothing half-written."""
import ctypes
import json
import os
import re
import signal
import socket
import subprocess
import time

import pytest

from conftest import ROOT

LOG = ROOT / ".dev" / "redoubt.log"
ECHO = "exec nc -ll -p 7000 -e cat"


def log_since(at):
    with open(LOG, "rb") as file:
        file.seek(at)
        return file.read().decode(errors="replace")


def entries(name, family="ip"):
    """The keys of one of the proxy's maps: {(address, protocol, port)}."""
    text = subprocess.run(["nft", "list", "map", family, "redoubt-proxy", name], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"([0-9.]+) \. (\w+) \. (\d+) :", text))


def wanted(cluster):
    """The same, of all Services that have an address."""
    out = set()
    for item in cluster.json("get", "services", "-A")["items"]:
        spec = item["spec"]
        if spec.get("clusterIP", "None") != "None":
            out |= {(spec["clusterIP"], p["protocol"].lower(), str(p["port"])) for p in spec["ports"]}
    return out


@pytest.fixture
def echo(cluster, namespace, make_pod):
    """A Service that says back what it is told, and a way to reach it from the node."""
    make_pod("echo", ECHO)
    cluster.kubectl("-n", namespace, "expose", "pod", "echo", "--port=7000")
    ip = cluster.out("-n", namespace, "get", "service", "echo", "-o", "jsonpath={.spec.clusterIP}")

    def connect():
        try:
            connection = socket.create_connection((ip, 7000), timeout=2)
            # The pod itself, not whatever else on the way takes connections to any address.
            return connection if says_back(connection) else None
        except OSError:
            return None
    cluster.eventually("the Service", connect, timeout=30).close()
    return connect


def says_back(connection):
    connection.settimeout(5)
    connection.sendall(b"hello\n")
    return connection.recv(100) == b"hello\n"


def test_a_table_that_somebody_deletes_is_put_back(cluster, echo):
    echo().close()
    at = LOG.stat().st_size
    subprocess.run(["nft", "delete", "table", "ip", "redoubt-proxy"], check=True)
    cluster.eventually("new connections", echo, timeout=30).close()
    assert "nftables table is not as it was left: putting it back" in log_since(at)
    cluster.eventually("all Services", lambda: entries("service-ips") | entries("no-endpoint-services") == wanted(cluster), timeout=20)


def test_an_agent_that_is_killed_while_it_programs_leaves_nothing_half_written(cluster, namespace, echo):
    connection = echo()
    objects = []
    for i in range(300):
        meta = {"name": f"s{i}", "labels": {"kubernetes.io/service-name": f"s{i}"}}
        objects.append({"apiVersion": "v1", "kind": "Service", "metadata": {"name": f"s{i}"}, "spec": {"ports": [{"port": 80}]}})
        objects.append({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": meta, "addressType": "IPv4",
                        "endpoints": [{"addresses": [f"192.0.2.{1 + j}"]} for j in range(5)], "ports": [{"port": 80, "protocol": "TCP"}]})
    creating = subprocess.Popen(["kubectl", "-n", namespace, "create", "-f", "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                env=dict(os.environ, KUBECONFIG=str(ROOT / ".dev/admin.kubeconfig")))
    creating.stdin.write(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}).encode())
    creating.stdin.close()
    before = len(entries("service-ips"))
    cluster.eventually("the first of them", lambda: len(entries("service-ips")) > before + 20, timeout=60)
    os.kill(int((ROOT / ".dev" / "redoubt.pid").read_text()), signal.SIGKILL)
    creating.wait(60)
    # What was programmed serves on: a whole transaction or nothing, so every entry leads to a chain that chooses an endpoint.
    assert says_back(connection)
    connection.close()
    table = subprocess.run(["nft", "list", "table", "ip", "redoubt-proxy"], capture_output=True, text=True, check=True).stdout
    chains = {m[0]: m[1] for m in re.findall(r"\tchain (\S+) \{\n(.*?)\n\t\}", table, re.S)}
    for target in re.findall(r": goto (service-\S+?)[,\s]", table):
        assert "goto cluster-" in chains[target], target
        assert "dnat" in chains[re.search(r"goto (cluster-\S+)", chains[target])[1]], target
    subprocess.run(["./dev", "up"], cwd=ROOT, check=True, timeout=180, stdout=subprocess.DEVNULL)
    cluster.eventually("exactly the Services that there are", lambda: entries("service-ips") | entries("no-endpoint-services") == wanted(cluster), timeout=40)
    cluster.eventually("new connections", echo, timeout=20).close()


class Tracking:
    """Fills the kernel's table of connections, in this network namespace, with ones that count as established."""

    def __init__(self):
        self.library = ctypes.CDLL("libnetfilter_conntrack.so.3", use_errno=True)
        for name in ("nfct_open", "nfct_new"):
            getattr(self.library, name).restype = ctypes.c_void_p

    @staticmethod
    def count():
        return int(open("/proc/sys/net/netfilter/nf_conntrack_count").read())

    @staticmethod
    def most():
        return int(open("/proc/sys/net/netfilter/nf_conntrack_max").read())

    def allow(self, most):
        if most != self.most():
            open("/proc/sys/net/netfilter/nf_conntrack_max", "w").write(str(most))

    def fill(self):
        lib, (l3, l4, timeout, status) = self.library, (15, 17, 24, 32)
        handle, flow = ctypes.c_void_p(lib.nfct_open(1, 0)), ctypes.c_void_p(lib.nfct_new())
        refused = 0
        for address in range(1, 60):
            for port in range(1, 65535, 3):
                lib.nfct_set_attr_u8(flow, l3, socket.AF_INET)
                lib.nfct_set_attr_u8(flow, l4, socket.IPPROTO_UDP)
                lib.nfct_set_attr_u32(flow, 0, socket.htonl(0xC6120000 + address))
                lib.nfct_set_attr_u32(flow, 1, socket.htonl(0xC6130001))
                lib.nfct_set_attr_u16(flow, 8, socket.htons(port))
                lib.nfct_set_attr_u16(flow, 9, socket.htons(9))
                lib.nfct_setobjopt(flow, 5)  # the way back
                lib.nfct_set_attr_u32(flow, timeout, 120)
                lib.nfct_set_attr_u32(flow, status, 2 | 4 | 8)  # answered, assured, confirmed
                if lib.nfct_query(handle, 0, flow) != 0:
                    refused += 1
                    if refused > 50:
                        lib.nfct_close(handle)
                        return
        lib.nfct_close(handle)

    def flush(self):
        handle, family = ctypes.c_void_p(self.library.nfct_open(1, 0)), ctypes.c_uint32(socket.AF_INET)
        self.library.nfct_query(handle, 4, ctypes.byref(family))
        self.library.nfct_close(handle)


def test_full_connection_tracking_is_named_and_names_go_on(cluster, echo):
    tracking = Tracking()
    most = tracking.most()
    resolver = cluster.out("-n", "kube-system", "get", "service", "kube-dns", "-o", "jsonpath={.spec.clusterIP}")
    connection, at = echo(), LOG.stat().st_size
    try:
        tracking.allow(min(most, 300_000))  # more are too many to make here
        tracking.fill()
        assert tracking.count() > tracking.most() * 0.95, f"{tracking.count()} of {tracking.most()}"
        assert says_back(connection), "a connection that stands goes on"
        cluster.eventually("the line in the log", lambda: "connection tracking is full" in log_since(at), timeout=30)
        question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x0akubernetes\x07default\x03svc\x07cluster\x05local\x00\x00\x01\x00\x01"
        for _ in range(50):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
                s.settimeout(2)
                s.sendto(question, (resolver, 53))
                assert s.recv(512).endswith(socket.inet_aton("10.96.0.1")), "names don't need the table"
    finally:
        tracking.allow(most)
        tracking.flush()
        connection.close()
    cluster.eventually("new connections", echo, timeout=30).close()
    cluster.eventually("the line that it is over", lambda: "connection tracking has room again" in log_since(at), timeout=30)
