"""The path tunnel-konnectivity on the test network: the server in the API server's process, an agent on the node behind NAT, which shows the
node's own certificate."""
import time

import pytest

from faults import FULL_RUN, a_bad_link_is_slow_and_no_more, a_cut_link_leaves_no_stream_hanging
from faults import dials_into_a_black_hole_hold_up_nothing, half_open_connections_are_noticed, webhooks_in_the_cluster_are_asked
from network import sh, wait
from paths import a_stopped_reader_holds_up_nothing, every_path_works, new_marker, no_plaintext, recovery, the_tunnel_is_seen, web_pod, works
from testbed import binary

CREDENTIAL = "kubelet-client-current.pem"  # certificate and key, as the kubelet keeps them


def server_flags(folder):
    return ["--konnectivity-agent-port=8132"]


class Agent:
    """redoubt konnectivity-agent on a node."""

    def __init__(self, bed, node, *flags, credential=None, agent_id=None, name="konnectivity"):
        self.bed, self.node, self.log = bed, node, bed.folder / f"{node.name}-{name}.log"
        credential = credential or node.pki / CREDENTIAL
        cidr = bed.json("get", "node", node.name)["spec"]["podCIDR"]
        self.args = [binary(), "konnectivity-agent", "--proxy-server-host", bed.control_plane.ip, "--proxy-server-port=8132", "--ca-cert", node.pki / "ca.crt",
                     "--agent-cert", credential, "--agent-key", credential, "--agent-id", agent_id or node.name, "--sync-interval=500ms",
                     "--sync-interval-cap=2s", f"--allow-destinations=node,{cidr}", *flags]
        self.start()

    def start(self):
        self.process = self.node.host.start(*self.args, log=self.log)

    def said(self):
        return self.log.read_text(errors="replace")


def server_said(bed):
    return (bed.folder / "cp/server.log").read_text(errors="replace")


@pytest.fixture(scope="module")
def edge(bed):
    node = bed.add_node("edge", nat=True, flags=["--tunnel=false"])
    node.konnectivity = Agent(bed, node)
    wait(lambda: works_at_all(bed, node), 30, "the agent's tunnel")
    return node


@pytest.fixture(scope="module")
def n1(bed):
    return bed.add_node("n1", flags=["--tunnel=false"])


def works_at_all(bed, node):
    return bed.kubectl("get", "--raw", f"/api/v1/nodes/{node.name}/proxy/healthz", check=False).returncode == 0


@pytest.fixture(scope="module")
def marker():
    return new_marker()


@pytest.fixture(scope="module")
def web(bed, edge, marker):
    return web_pod(bed, "edge", marker)


def test_a_node_behind_nat_serves_every_path(bed, edge, web, marker):
    assert bed.control_plane.run("busybox", "nc", "-w", "2", edge.host.ip, "10250", check=False) == ""
    every_path_works(bed, "edge", marker, "konnectivity")


def test_the_attackers_capture_holds_no_plaintext(bed, edge, web, marker):
    no_plaintext(bed, "edge", marker, ("agentID", "konnectivity-agent"))


def test_paths_and_metrics_see_the_tunnel(bed, edge, web):
    the_tunnel_is_seen(bed, "edge", "konnectivity")


def test_webhooks_in_the_cluster_are_asked(bed, edge, web):
    webhooks_in_the_cluster_are_asked(bed, "edge", "konnectivity")


@pytest.mark.parametrize("claim", [{"agent_id": "edge"}, {"flags": ["--agent-identifiers=host=edge"]}, {"flags": ["--agent-identifiers=ipv4=10.77.2.2"]},
                                   {"flags": ["--agent-identifiers=cidr=10.0.0.0/8"]}, {"flags": ["--agent-identifiers=default-route=true"]}],
                         ids=["id", "host", "address", "network", "default-route"])
def test_a_nodes_certificate_opens_no_tunnel_of_another(bed, edge, n1, web, marker, claim):
    """n1, with its own certificate, calls itself the other node, or the way to what is not its own."""
    before = server_said(bed).count("konnectivity agent refused")
    liar = Agent(bed, n1, *claim.get("flags", []), agent_id=claim.get("agent_id"), name="liar")
    try:
        wait(lambda: server_said(bed).count("konnectivity agent refused") > before, 20, "the server to refuse the agent")
        assert works(bed, marker)
    finally:
        liar.process.stop()


def test_who_is_no_node_opens_no_tunnel(bed, edge, n1, web):
    """A certificate in the node's name that another authority signed; and none at all."""
    folder = bed.folder / "stranger"
    folder.mkdir(exist_ok=True)
    sh("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
       "-subj", "/O=system:nodes/CN=system:node:n1", "-keyout", folder / "key.pem", "-out", folder / "cert.pem")
    (folder / "both.pem").write_bytes((folder / "cert.pem").read_bytes() + (folder / "key.pem").read_bytes())
    before = server_said(bed).count("konnectivity agent refused")
    stranger = Agent(bed, n1, credential=folder / "both.pem", name="stranger")
    try:
        wait(lambda: server_said(bed).count("konnectivity agent refused") > before, 20, "the server to refuse the stranger")
    finally:
        stranger.process.stop()


def test_an_agent_dials_nothing_but_its_own(bed, edge, web):
    """A pod that claims an address elsewhere: the agent refuses to dial it, whatever the server asks for."""
    bed.pod("liar", "sleep 1000", "edge")
    bed.kubectl("patch", "pod", "liar", "--subresource=status", "--type=merge", "-p",
                f'{{"status":{{"podIP":"{bed.control_plane.ip}","podIPs":[{{"ip":"{bed.control_plane.ip}"}}]}}}}')
    answer = bed.kubectl("get", "--raw", "/api/v1/namespaces/default/pods/https:liar:6443/proxy/healthz", check=False)
    assert answer.returncode != 0, answer.stdout
    bed.kubectl("delete", "pod", "liar", "--force", "--grace-period=0", "--wait=false")


def test_an_impostor_with_another_authority_gets_nothing(bed, edge, n1, web, marker):
    folder = bed.folder / "impostor"
    folder.mkdir(exist_ok=True)
    sh("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1", "-subj", "/CN=kube-apiserver",
       "-addext", f"subjectAltName=IP:{bed.control_plane.ip}", "-keyout", folder / "key.pem", "-out", folder / "cert.pem")
    impostor = bed.network.impostor(18132, folder / "cert.pem", folder / "key.pem")
    bed.network.redirect(bed.control_plane, 8132, 18132)
    agent = Agent(bed, n1, name="misled")
    try:
        wait(lambda: impostor.refusals_of(n1.host), 30, "the agent to refuse the impostor")
        assert impostor.handshakes == 0 and impostor.received == b""
    finally:
        agent.process.stop()
        bed.network.restore(bed.control_plane)
        impostor.close()
    recovery(bed, marker, "the impostor was gone", time.monotonic())


def test_agent_killed(bed, edge, web, marker):
    assert works(bed, marker)
    edge.konnectivity.process.kill()
    assert not works(bed, marker)
    began = time.monotonic()
    edge.konnectivity.start()
    recovery(bed, marker, "the agent was killed and started again", began)


def test_server_killed(bed, edge, web, marker):
    bed.server.kill()
    began = time.monotonic()
    bed.start_server()
    recovery(bed, marker, "the server was killed and started again", began)


def test_link_cut_leaves_no_stream_hanging(bed, edge, web, marker):
    a_cut_link_leaves_no_stream_hanging(bed, edge.host, marker)


def test_half_open_connections_are_noticed(bed, edge, web, marker):
    half_open_connections_are_noticed(bed, edge.host, marker, lambda: edge.host.connections(8132), edge.konnectivity.process.kill,
                                      edge.konnectivity.start)


def test_loss_and_delay(bed, edge, web, marker):
    a_bad_link_is_slow_and_no_more(bed, edge.host, marker)


if FULL_RUN:
    def test_dials_into_a_black_hole_hold_up_nothing(bed, edge, web, marker):
        dials_into_a_black_hole_hold_up_nothing(bed, "edge", marker, bed.server.pid, edge.konnectivity.process.pid)


def test_a_reader_that_stops_holds_up_nothing(bed, edge, web, marker):
    a_stopped_reader_holds_up_nothing(bed, marker, bed.server.pid, edge.konnectivity.process.pid)
