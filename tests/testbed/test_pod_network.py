"""Pods of different nodes reach each other through WireGuard: by address, Service and name, behind NAT too; the router between
them sees nothing of it."""
import secrets

import pytest

from network import wait

SERVE = "mkdir -p /tmp/w && echo {marker} > /tmp/w/index.html && exec httpd -f -v -p 8080 -h /tmp/w"


@pytest.fixture(scope="module")
def marker():
    return "podnet-" + secrets.token_hex(16)


@pytest.fixture(scope="module")
def pods(bed, node, other_node, nat_node, marker):
    """A web server and a client on each node; it logs who asked."""
    out = {name: bed.pod(f"net-{name}", SERVE.format(marker=marker), name, ports=[8080]) for name in ("n1", "n2", "edge")}
    bed.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "net-n2"},
               "spec": {"selector": {"app": "net-n2"}, "ports": [{"port": 80, "targetPort": 8080}]}})
    return out


def fetch(bed, who, url):
    return bed.kubectl("exec", f"net-{who}", "--", "timeout", "5", "wget", "-qO-", url, check=False, timeout=30).stdout.strip()


def reaches(bed, pods, who, whom, marker):
    url = f"http://{pods[whom]['status']['podIP']}:8080/index.html"
    wait(lambda: fetch(bed, who, url) == marker, 40, f"{who}'s pod to reach {whom}'s")


@pytest.mark.parametrize("who, whom", [("n1", "n2"), ("n2", "n1"), ("edge", "n1"), ("n2", "edge")])
def test_pods_reach_each_other_and_the_router_sees_nothing(bed, pods, marker, who, whom):
    reaches(bed, pods, who, whom, marker)
    capture = bed.network.capture()
    for _ in range(5):
        assert fetch(bed, who, f"http://{pods[whom]['status']['podIP']}:8080/index.html") == marker
    seen = capture.stop()
    assert not seen.contains(marker.encode()), "the payload is in the capture"
    assert not seen.contains(b"HTTP/1."), "plain HTTP is in the capture"


def test_services_and_names_lead_to_other_nodes(bed, pods, marker):
    reaches(bed, pods, "n1", "n2", marker)
    wait(lambda: fetch(bed, "n1", "http://net-n2.default.svc.cluster.local/index.html") == marker, 30, "the Service by name")
    wait(lambda: fetch(bed, "edge", "http://net-n2/index.html") == marker, 30, "the Service from behind NAT")


def test_large_packets_pass(bed, pods, marker):
    """The MTU is right: a transfer of many full packets ends."""
    reaches(bed, pods, "n1", "n2", marker)
    bed.kubectl("exec", "net-n2", "--", "sh", "-c", "dd if=/dev/zero of=/tmp/w/big bs=1M count=8 2>/dev/null")
    ip = pods["n2"]["status"]["podIP"]
    size = bed.kubectl("exec", "net-n1", "--", "sh", "-c", f"timeout 30 wget -qO- http://{ip}:8080/big | wc -c", timeout=60).stdout.strip()
    assert size == str(8 << 20)


def test_a_pod_keeps_its_address_on_the_way(bed, pods, marker):
    reaches(bed, pods, "n1", "n2", marker)
    assert f"{pods['n1']['status']['podIP']}]" in bed.out("logs", "net-n2"), "as the server saw its client"


def test_the_private_key_never_leaves_the_node(bed, pods, node):
    key = (node.folder / "data/kubelet/podnetwork/wireguard.key")
    assert key.stat().st_mode & 0o777 == 0o600
    text = key.read_text().strip()
    assert text not in bed.out("get", "nodes", "-o", "yaml")
    assert text not in (node.folder / "agent.log").read_text()
