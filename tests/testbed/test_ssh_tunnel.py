"""The path tunnel-ssh on the test network, with OpenSSH's server on the nodes: whose only open port it is."""
import subprocess
import time

import pytest

from faults import FULL_RUN, a_bad_link_is_slow_and_no_more, a_cut_link_leaves_no_stream_hanging
from faults import dials_into_a_black_hole_hold_up_nothing, half_open_connections_are_noticed, webhooks_in_the_cluster_are_asked
from network import sh, wait
from paths import a_stopped_reader_holds_up_nothing, every_path_works, new_marker, no_plaintext, recovery, the_tunnel_is_seen, web_pod, works

# The second host of the network: its address is known before it is there.
N1_ADDRESS = "10.77.2.2"


def make_key(path):
    sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path)
    return path


def server_flags(folder):
    make_key(folder / "ssh-user")
    make_key(folder / "n1-host")
    make_key(folder / "n2-host")
    # Of n2 nothing is written down: what its Node publishes counts.
    (folder / "known_hosts").write_text(f"{N1_ADDRESS} {(folder / 'n1-host.pub').read_text()}")
    return ["--ssh-user", "root", "--ssh-keyfile", folder / "ssh-user", "--ssh-known-hosts", folder / "known_hosts"]


class SshServer:
    def __init__(self, bed, start, host_key, name, port=22):
        subprocess.run(["mkdir", "-p", "/run/sshd"], check=True)
        self.config = bed.folder / f"sshd-{name}"
        self.config.write_text(f"""
            Port {port}
            HostKey {host_key}
            PidFile none
            UsePAM no
            StrictModes no
            PermitRootLogin prohibit-password
            PasswordAuthentication no
            KbdInteractiveAuthentication no
            AuthorizedKeysFile {bed.folder / 'ssh-user.pub'}
            AllowTcpForwarding local
            LogLevel VERBOSE
        """)
        self.log = bed.folder / f"sshd-{name}.log"
        self.start_it = start
        self.start()

    def start(self):
        self.process = self.start_it("/usr/sbin/sshd", "-D", "-e", "-f", self.config, log=self.log)

    def kill(self):
        """The listener and every connection."""
        sh("pkill", "-KILL", "-P", self.process.pid, check=False)
        self.process.kill()

    def said(self):
        return self.log.read_text(errors="replace")


def add(bed, name):
    node = bed.add_node(name, flags=["--tunnel=false", "--kubelet-address=127.0.0.1", "--ssh-host-keys", bed.folder / f"{name}-host.pub"])
    node.sshd = SshServer(bed, node.host.start, bed.folder / f"{name}-host", name)
    return node


@pytest.fixture(scope="module")
def n1(bed):
    node = add(bed, "n1")
    assert node.host.ip == N1_ADDRESS
    return node


@pytest.fixture(scope="module")
def n2(bed, n1):
    return add(bed, "n2")


@pytest.fixture(scope="module")
def marker():
    return new_marker()


@pytest.fixture(scope="module")
def web(bed, n1, marker):
    return web_pod(bed, "n1", marker)


def test_a_node_with_no_open_port_but_ssh_serves_every_path(bed, n1, web, marker):
    # The DNS address is the node's own, on its loopback interface, and lets in its pods only.
    open_ports = {p for a, p in n1.host.listening() if not a.startswith("127.") and a not in ("::1", "10.96.0.10")}
    assert open_ports == {22}
    every_path_works(bed, "n1", marker, "ssh")
    assert bed.metric("ssh_tunnel_open_count") >= 1
    assert bed.metric("redoubt_tunnel_connections", kind="ssh") == 1


def test_the_attackers_capture_holds_no_plaintext(bed, web, marker):
    no_plaintext(bed, "n1", marker)


def test_paths_and_metrics_see_the_tunnel(bed, web):
    the_tunnel_is_seen(bed, "n1", "ssh")


def test_webhooks_in_the_cluster_are_asked(bed, web):
    webhooks_in_the_cluster_are_asked(bed, "n1", "ssh")


def test_a_node_that_the_file_does_not_name_is_known_by_the_key_its_node_publishes(bed, n2):
    other = new_marker()
    web_pod(bed, "n2", other, "web2")
    every_path_works(bed, "n2", other, "ssh", "web2")


def test_an_impostor_with_another_host_key_gets_nothing(bed, n1, web, marker):
    """The attacker answers in the node's place, on its port 22."""
    make_key(bed.folder / "impostor-host")
    impostor = SshServer(bed, lambda *args, log: bed.network.start_in_router(*args, log=log), bed.folder / "impostor-host", "impostor", 2222)
    failed = bed.metric("ssh_tunnel_open_fail_count")
    bed.network.redirect(n1.host, 22, 2222)
    try:
        n1.sshd.kill()
        n1.sshd.start()
        wait(lambda: bed.metric("ssh_tunnel_open_fail_count") > failed, 30, "the server to refuse the impostor")
        answer = bed.kubectl("exec", "web", "--", "true", check=False)
        assert answer.returncode != 0 and "none of those known" in answer.stderr, answer.stderr
        # Nobody logged in, or tried to: the host was refused before that.
        said = impostor.said()
        assert "Connection from" in said
        assert "Accepted" not in said and "publickey" not in said and "Postponed" not in said, said
    finally:
        bed.network.restore(n1.host)
        impostor.kill()
    recovery(bed, marker, "the impostor was gone", time.monotonic())


def test_a_pod_that_claims_another_nodes_address_is_not_dialled(bed, n1, n2, web, marker):
    """A dial by n2's sshd goes to n2's own addresses only, whatever a pod's status there says."""
    n2.stop()
    try:
        bed.kubectl("patch", "pod", "web2", "--subresource=status", "--type=merge", "-p",
                    f'{{"status":{{"podIP":"{web["status"]["podIP"]}","podIPs":[{{"ip":"{web["status"]["podIP"]}"}}]}}}}')
        answer = bed.kubectl("get", "--raw", "/api/v1/namespaces/default/pods/web2:8080/proxy/index.html", check=False)
        assert answer.returncode != 0 and marker not in answer.stdout
    finally:
        n2.start(wait_ready=False)


def test_sshd_killed(bed, n1, web, marker):
    assert works(bed, marker)
    n1.sshd.kill()
    assert not works(bed, marker)
    began = time.monotonic()
    n1.sshd.start()
    recovery(bed, marker, "sshd was killed and started again", began)


def test_link_cut_leaves_no_stream_hanging(bed, n1, web, marker):
    a_cut_link_leaves_no_stream_hanging(bed, n1.host, marker)


def test_half_open_connections_are_noticed(bed, n1, web, marker):
    half_open_connections_are_noticed(bed, n1.host, marker, lambda: n1.host.connections(22), n1.sshd.kill, n1.sshd.start)


def test_loss_and_delay(bed, n1, web, marker):
    a_bad_link_is_slow_and_no_more(bed, n1.host, marker)


if FULL_RUN:
    def test_dials_into_a_black_hole_hold_up_nothing(bed, n1, web, marker):
        dials_into_a_black_hole_hold_up_nothing(bed, "n1", marker, bed.server.pid)


def test_a_reader_that_stops_holds_up_nothing(bed, n1, web, marker):
    a_stopped_reader_holds_up_nothing(bed, marker, bed.server.pid)


def test_a_new_key_is_used_without_a_restart(bed, n1, web, marker):
    assert works(bed, marker)
    opened = bed.metric("ssh_tunnel_open_count")
    make_key(bed.folder / "next")
    (bed.folder / "ssh-user.pub").write_text((bed.folder / "next.pub").read_text())
    (bed.folder / "next").replace(bed.folder / "ssh-user")
    wait(lambda: works(bed, marker) and bed.metric("ssh_tunnel_open_count") > opened, 30, "a connection with the new key")
