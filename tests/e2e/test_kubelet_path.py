"""Path apiserver-kubelet: the kubelet serves nobody without a certificate it knows, and the API server verifies the kubelet."""
import json
import ssl
import subprocess
import tempfile
from pathlib import Path

from conftest import ROOT

PKI = ROOT / ".dev" / "data" / "pki"


def kubelet_address(cluster):
    """Loopback: the API server comes through the node's tunnel, so that nothing of the kubelet is open to the network."""
    node = cluster.json("get", "nodes")["items"][0]
    return node["metadata"]["name"], "127.0.0.1", node["status"]["daemonEndpoints"]["kubeletEndpoint"]["Port"]


def test_the_kubelet_is_not_open_to_the_network(cluster):
    _, _, port = kubelet_address(cluster)
    node = cluster.json("get", "nodes")["items"][0]
    address = next(a["address"] for a in node["status"]["addresses"] if a["type"] == "InternalIP")
    if address.startswith("127."):
        return
    refused = cluster.run("curl", "-sk", "--max-time", "5", f"https://{address}:{port}/healthz", check=False)
    assert refused.returncode == 7, "connection refused is what curl should have said"


def test_kubelet_refuses_whom_it_does_not_know(cluster):
    _, address, port = kubelet_address(cluster)
    code = lambda *args: cluster.run("curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", *args, check=False).stdout
    for path in ("/pods", "/containerLogs/default/x/c", "/metrics", "/run/default/x/c"):
        assert code(f"https://{address}:{port}{path}") == "401", path
    assert code("-H", "Authorization: Bearer nonsense", f"https://{address}:{port}/pods") == "401"
    # A valid identity without rights on nodes: 403.
    token = cluster.out("-n", "default", "create", "token", "default")
    assert code("-H", f"Authorization: Bearer {token}", f"https://{address}:{port}/pods") == "403"


def test_kubelet_certificate_names_the_node_and_comes_from_its_own_authority(cluster):
    name, address, port = kubelet_address(cluster)
    pem = ssl.get_server_certificate((address, port))
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as leaf:
        leaf.write(pem)
        leaf.flush()
        text = subprocess.run(["openssl", "x509", "-noout", "-subject", "-in", leaf.name], capture_output=True, text=True, check=True).stdout
        assert f"CN = system:node:{name}" in text
        verify = lambda ca: subprocess.run(["openssl", "verify", "-CAfile", str(ca), leaf.name], capture_output=True).returncode
        assert verify(PKI / "kubelet-ca.crt") == 0
        assert verify(PKI / "ca.crt") != 0, "a kubelet's serving certificate must not pass for the API server's"


def test_keys_are_private(cluster):
    keys = list(Path(ROOT / ".dev" / "data").rglob("*.key")) + [ROOT / ".dev" / "admin.kubeconfig"]
    assert len(keys) > 5
    for key in keys:
        assert key.stat().st_mode & 0o077 == 0, key


def test_node_certificate_reaches_only_its_own(cluster):
    """The kubelet's credential: its own Node and the secrets of its pods, nothing else."""
    can = lambda *args: cluster.kubectl("auth", "can-i", *args, "--as=system:node:elsewhere", "--as-group=system:nodes", check=False).stdout.split()[0]
    assert can("get", "secrets/anything", "-n", "kube-system") == "no"
    assert can("list", "secrets", "-A") == "no"
    assert can("get", "nodes/elsewhere") == "yes"
    assert can("delete", "namespaces") == "no"
    name = json.loads(cluster.out("get", "nodes", "-o", "json"))["items"][0]["metadata"]["name"]
    denied = cluster.fails("label", f"node/{name}", "x=y", "--as=system:node:elsewhere", "--as-group=system:nodes")
    assert "forbidden" in denied
