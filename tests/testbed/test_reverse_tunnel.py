"""Paths apiserver-kubelet, apiserver-pod and tunnel-reverse on the test network: they work through NAT, and an attacker in
the middle sees and gets nothing."""
import http.client
import json
import ssl
import time
from pathlib import Path

import pytest

from faults import FULL_RUN, a_bad_link_is_slow_and_no_more, a_cut_link_leaves_no_stream_hanging
from faults import dials_into_a_black_hole_hold_up_nothing, half_open_connections_are_noticed, webhooks_in_the_cluster_are_asked
from network import sh, wait
from paths import a_stopped_reader_holds_up_nothing, every_path_works, new_marker, no_plaintext, recovery, the_tunnel_is_seen, web_pod, works


@pytest.fixture(scope="module")
def marker():
    return new_marker()


@pytest.fixture(scope="module")
def web(bed, nat_node, marker):
    return web_pod(bed, "edge", marker)


def test_a_node_behind_nat_serves_every_path(bed, web, marker):
    # Nobody reaches the node, and nothing there listens beyond its loopback.
    assert bed.control_plane.run("busybox", "nc", "-w", "2", bed.nodes["edge"].host.ip, "10250", check=False) == ""
    # The DNS address is the node's own, on its loopback interface, and lets in its pods only.
    dns = bed.out("-n", "kube-system", "get", "service", "kube-dns", "-o", "jsonpath={.spec.clusterIP}")
    open_ports = [(a, p) for a, p in bed.nodes["edge"].host.listening() if not a.startswith("127.") and a not in ("::1", dns)]
    assert open_ports == [], f"open ports: {open_ports}"
    assert ("127.0.0.1", 10250) in bed.nodes["edge"].host.listening()
    every_path_works(bed, "edge", marker, "reverse")


def test_the_attackers_capture_holds_no_plaintext(bed, web, marker):
    no_plaintext(bed, "edge", marker, ("redoubt-tunnel", "CONNECT"))


def test_paths_and_metrics_see_the_tunnel(bed, web):
    the_tunnel_is_seen(bed, "edge", "reverse")


def test_webhooks_in_the_cluster_are_asked(bed, web):
    webhooks_in_the_cluster_are_asked(bed, "edge", "reverse")


# ---- what a node's certificate is good for ----

CREDENTIAL = "kubelet-client-current.pem"  # certificate and key, as the kubelet keeps them


def ask_for_tunnel(bed, node_folder, name, credential=CREDENTIAL):
    """What the API server answers to whoever asks, with that node's certificate, for the tunnel of `name`."""
    context = ssl.create_default_context(cafile=node_folder / "ca.crt")
    context.load_cert_chain(credential if isinstance(credential, Path) else node_folder / credential)
    context.set_alpn_protocols(["http/1.1"])
    with context.wrap_socket(bed.control_plane.connect(bed.control_plane.ip, 6443), server_hostname=bed.control_plane.ip) as tls:
        tls.sendall(f"POST /api/v1/nodes/{name}/tunnel HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: Upgrade\r\n"
                    "Upgrade: redoubt-tunnel\r\n\r\n".encode())
        return tls.recv(65536).decode(errors="replace")


def as_node(bed, node, method, path, body):
    """What the API server answers to a request with the node's own certificate: (status, text)."""
    context = ssl.create_default_context(cafile=node.pki / "ca.crt")
    context.load_cert_chain(node.pki / CREDENTIAL)
    connection = http.client.HTTPSConnection(bed.control_plane.ip, 6443)
    connection.sock = context.wrap_socket(node.host.connect(bed.control_plane.ip, 6443), server_hostname=bed.control_plane.ip)
    connection.request(method, path, json.dumps(body), {"Content-Type": "application/merge-patch+json"})
    response = connection.getresponse()
    text = response.read().decode(errors="replace")
    connection.close()
    return response.status, text


def test_a_node_opens_no_tunnel_but_its_own(bed, node, nat_node):
    said = ask_for_tunnel(bed, nat_node.pki, "n1")
    assert said.startswith("HTTP/1.1 403 "), said
    assert "can only open a tunnel for itself" in said
    assert ask_for_tunnel(bed, nat_node.pki, "nobody").startswith("HTTP/1.1 403 ")
    # The same certificate does open its own: what was refused is the name.
    assert ask_for_tunnel(bed, nat_node.pki, "edge").startswith("HTTP/1.1 101 ")


def test_nobody_else_opens_a_tunnel(bed, nat_node):
    # Not even the administrator stands in for a node.
    admin = bed.kubectl("create", "--raw", "/api/v1/nodes/edge/tunnel", "-f", "-", input="{}", check=False)
    assert "only the node itself opens its tunnel" in admin.stderr
    # A certificate in the node's name that another authority signed.
    folder = bed.folder / "stranger"
    folder.mkdir(exist_ok=True)
    sh("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
       "-subj", "/O=system:nodes/CN=system:node:edge", "-keyout", folder / "key.pem", "-out", folder / "cert.pem")
    (folder / "both.pem").write_bytes((folder / "cert.pem").read_bytes() + (folder / "key.pem").read_bytes())
    assert ask_for_tunnel(bed, nat_node.pki, "edge", folder / "both.pem").startswith("HTTP/1.1 401 ")


def test_a_node_gets_no_traffic_of_another(bed, node, nat_node, web, marker):
    """A node that claims another's pod, by lying in its own pod's status, is not sent its traffic."""
    other = bed.json("get", "pod", "web")["status"]["podIP"]
    bed.pod("liar", "sleep 1000", "n1")
    node.stop()
    try:
        # With the node's own certificate, as whoever owns the machine can.
        status, said = as_node(bed, node, "PATCH", "/api/v1/namespaces/default/pods/liar/status",
                               {"status": {"podIP": other, "podIPs": [{"ip": other}]}})
        assert status == 200, said
        answer = bed.kubectl("get", "--raw", "/api/v1/namespaces/default/pods/liar:8080/proxy/index.html", check=False)
        assert answer.returncode != 0 and marker not in answer.stdout
    finally:
        node.start(wait_ready=False)
        bed.kubectl("delete", "pod", "liar", "--force", "--grace-period=0", "--wait=false")


def test_an_impostor_with_another_authority_gets_nothing(bed, other_node):
    """The attacker answers in the API server's place: the agent sends no credential and no request."""
    folder = bed.folder / "impostor"
    folder.mkdir(exist_ok=True)
    sh("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj", "/CN=kube-apiserver",
       "-addext", f"subjectAltName=IP:{bed.control_plane.ip},DNS:kubernetes", "-keyout", folder / "key.pem", "-out", folder / "cert.pem")
    impostor = bed.network.impostor(16443, folder / "cert.pem", folder / "key.pem")
    bed.network.redirect(bed.control_plane, 6443, 16443)
    try:
        # The tunnel that is up goes silent, so that the agent dials again.
        lost = other_node.agent.log.read_text(errors="replace").count("tunnel is down")
        bed.network.cut(other_node.host)
        wait(lambda: other_node.agent.log.read_text(errors="replace").count("tunnel is down") > lost, 30, "the agent to miss the server")
        bed.network.heal(other_node.host)
        wait(lambda: impostor.refusals_of(other_node.host), 40, "the agent to refuse the impostor")
        wait(lambda: "certificate signed by unknown authority" in other_node.agent.log.read_text(errors="replace"), 10, "the agent's log to say so")
        # The handshake ended with the agent's alert: no certificate of the node was shown, no byte sent.
        assert all("alert unknown ca" in why for why in impostor.refusals_of(other_node.host)), impostor.refused
        assert impostor.handshakes == 0 and impostor.received == b""
    finally:
        bed.network.restore(bed.control_plane)
        impostor.close()
    bed.wait_ready("n2")
    wait(lambda: bed.kubectl("get", "--raw", "/api/v1/nodes/n2/proxy/healthz", check=False).returncode == 0, 40, "the tunnel to come back")


# ---- faults ----

def test_agent_killed(bed, nat_node, web, marker):
    nat_node.agent.kill()
    assert not works(bed, marker)
    began = time.monotonic()
    nat_node.start(wait_ready=False)
    recovery(bed, marker, "the agent was killed and started again", began)


def test_server_killed(bed, nat_node, web, marker):
    bed.server.kill()
    began = time.monotonic()
    bed.start_server()
    recovery(bed, marker, "the server was killed and started again", began)


def test_link_cut_leaves_no_stream_hanging(bed, nat_node, web, marker):
    a_cut_link_leaves_no_stream_hanging(bed, nat_node.host, marker)


def test_half_open_connections_are_noticed(bed, nat_node, web, marker):
    half_open_connections_are_noticed(bed, nat_node.host, marker, lambda: nat_node.host.connections(6443), nat_node.agent.kill,
                                      lambda: nat_node.start(wait_ready=False))


def test_loss_and_delay(bed, nat_node, web, marker):
    a_bad_link_is_slow_and_no_more(bed, nat_node.host, marker)


if FULL_RUN:
    def test_dials_into_a_black_hole_hold_up_nothing(bed, nat_node, web, marker):
        dials_into_a_black_hole_hold_up_nothing(bed, "edge", marker, bed.server.pid, nat_node.agent.pid)


def test_a_reader_that_stops_holds_up_nothing(bed, nat_node, web, marker):
    a_stopped_reader_holds_up_nothing(bed, marker, bed.server.pid, nat_node.agent.pid)
