"""Path apiserver-kubelet where a node has no tunnel, so that the API server dials it over the attacker's network: what the wire shows, and
what becomes of whoever answers in the node's place."""
import re
import subprocess
import sys
from pathlib import Path

import pytest

from network import sh, wait
from paths import new_marker, use_streams, web_pod

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from authorities import Authority  # noqa: E402

IMPOSTORS_PORT = 20250


@pytest.fixture(scope="module")
def marker():
    return new_marker()


@pytest.fixture(scope="module")
def bare(bed):
    return bed.add_node("bare", flags=["--tunnel=false"])


@pytest.fixture(scope="module")
def web(bed, bare, marker):
    return web_pod(bed, "bare", marker)


def test_the_wire_shows_nothing_of_logs_exec_and_port_forwards(bed, bare, web, marker):
    capture = bed.network.capture("kubelet-path")
    use_streams(bed, marker)
    # Both ways through a command's streams, and the node's own proxy.
    secret = new_marker()
    assert bed.out("exec", "-i", "web", "--", "cat", input=secret) == secret
    assert bed.out("get", "--raw", "/api/v1/nodes/bare/proxy/healthz") == "ok"
    # In the clear nothing is sent at all: not to a pod, not to its Service.
    for path in ("pods/web:8080", "services/web:80"):
        refused = bed.kubectl("get", "--raw", f"/api/v1/namespaces/default/{path}/proxy/index.html", check=False)
        assert refused.returncode != 0 and marker not in refused.stdout
        assert "tunnel" in refused.stderr, refused.stderr
    # The recorder does see what is sent in the clear.
    control = "control-" + new_marker()
    listener = bed.control_plane.start("busybox", "nc", "-l", "-p", "7777", log=bed.folder / "nc.log")
    wait(lambda: ("0.0.0.0", 7777) in bed.control_plane.listening() or ("::", 7777) in bed.control_plane.listening() or
         ("*", 7777) in bed.control_plane.listening(), 10, "the listener")
    bare.host.run("busybox", "nc", "-w", "2", bed.control_plane.ip, "7777", input=control, check=False)
    listener.stop()
    capture.stop()
    assert capture.size() > 10_000 and capture.contains(control), "the recorder saw nothing: this test proves nothing"
    for what in (marker, secret, "index.html", "PRIVATE KEY", "channel.k8s.io", "streamtype"):
        assert not capture.contains(what), f"{what!r} crossed the network in the clear"
    assert bed.metric("redoubt_egress_dials_total", path="apiserver-kubelet", kind="direct", result="ok") > 0


def split(both, folder):
    """A file with certificate and key as the two that the impostor is given."""
    text = Path(both).read_text()
    start = text.index("-----BEGIN PRIVATE KEY") if "-----BEGIN PRIVATE KEY" in text else text.index("-----BEGIN EC PRIVATE KEY")
    key, certificate = text[start:], text[:start]
    if "-----BEGIN CERTIFICATE" in key:
        key, rest = key.split("-----BEGIN CERTIFICATE", 1)
        certificate += "-----BEGIN CERTIFICATE" + rest
    (folder / "cert.pem").write_text(certificate)
    (folder / "key.pem").write_text(key)
    return folder / "cert.pem", folder / "key.pem"


@pytest.mark.parametrize("who, why", [
    ("self-signed", "unknown authority"), ("of another node", "not for .*system:node:bare"), ("expired", "expired")])
def test_an_impostor_in_the_nodes_place_is_refused(bed, bare, other_node, web, tmp_path, who, why):
    cluster = Authority(tmp_path, "kubelet-ca", bed.data / "pki")
    if who == "self-signed":
        sh("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
           "-subj", "/O=system:nodes/CN=system:node:bare", "-addext", f"subjectAltName=IP:{bare.host.ip},DNS:bare",
           "-keyout", tmp_path / "key.pem", "-out", tmp_path / "cert.pem")
        certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    elif who == "of another node":
        # The other node's own certificate and key, as whoever owns that machine has them.
        certificate, key = split(other_node.pki / "kubelet-server-current.pem", tmp_path)
    else:
        certificate, key = split(cluster.leaf("system:node:bare", ["system:nodes"], [bare.host.ip], starts=-7200, ends=-3600), tmp_path)
    assert bed.kubectl("exec", "web", "--", "true", check=False).returncode == 0
    impostor = bed.network.impostor(IMPOSTORS_PORT, certificate, key)
    bed.network.redirect(bare.host, 10250, IMPOSTORS_PORT)
    try:
        # Each of these needs a connection of its own; the requests on kept ones still reach the node itself.
        said = bed.kubectl("exec", "web", "--", "cat", "/tmp/w/index.html", check=False)
        assert said.returncode != 0 and re.search(why, said.stderr), said.stderr
        assert "apiserver-kubelet" in said.stderr and "bare" in said.stderr, said.stderr
        forward = bed.popen_kubectl("port-forward", "pod/web", "18081:8080", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            got = bed.control_plane.run("sh", "-c", "sleep 1; busybox wget -T 5 -qO- http://127.0.0.1:18081/index.html", check=False)
            assert got == ""
        finally:
            forward.terminate()
            forward.communicate(timeout=10)
        # The API server ended the handshake: no certificate of its own was shown, no byte sent.
        assert impostor.refusals_of(bed.control_plane), "the impostor was never asked: this test proves nothing"
        assert impostor.handshakes == 0 and impostor.received == b""
    finally:
        bed.network.restore(bare.host)
        impostor.close()
    assert bed.kubectl("exec", "web", "--", "true", check=False).returncode == 0
