"""The server's keys and certificates while it runs: listed, renewed, read again, and every authority rotated, with no request failing."""
import json
import ssl
import subprocess
import threading
import time

import pytest
from servers import Caller, Server, eventually


class Load:
    """Requests in a loop by a client that is made anew for each, until the end of the with block; counts those that failed."""

    def __init__(self, make, path="/api/v1/namespaces/default"):
        self.make, self.path, self.sent, self.failed = make, path, 0, []
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.stopping.is_set():
            try:
                caller = self.make()
                for _ in range(5):
                    answer = caller.request("GET", self.path)
                    self.sent += 1
                    if answer.status != 200:
                        self.failed.append(repr(answer))
                caller.close()
            except Exception as error:  # whatever it is, it is a failed request
                self.failed.append(repr(error))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()


def serial(address, ca=None):
    pem = ssl.get_server_certificate(address)
    return subprocess.run(["openssl", "x509", "-noout", "-serial"], input=pem, text=True, capture_output=True, check=True).stdout.strip()


@pytest.fixture
def server(tmp_path):
    with Server(tmp_path) as running:
        yield running


def test_certificates_are_listed_with_days_left_and_renewed_live(server):
    table = server.redoubt("certs", "list").stdout
    assert table.splitlines()[0].split()[:2] == ["NAME", "COMMON"] and "DAYS LEFT" in table
    listed = {c["name"]: c for c in json.loads(server.redoubt("certs", "list", "-o", "json").stdout)}
    assert {"ca", "kubelet-ca", "front-proxy-ca", "apiserver", "admin", "apiserver-kubelet-client", "scheduler"} <= set(listed)
    assert 360 <= listed["apiserver"]["daysLeft"] <= 365 and listed["apiserver"]["authority"] == "ca"
    assert listed["front-proxy-client"]["authority"] == "front-proxy-ca"
    assert listed["ca"]["kind"] == "authority" and listed["ca"]["daysLeft"] > 3600
    address = ("127.0.0.1", server.port)
    before = serial(address)
    with Load(server.admin) as load:
        time.sleep(1)
        server.redoubt("certs", "renew")
        eventually("the new certificate is shown", lambda: serial(address) != before, timeout=20)
        time.sleep(2)
    assert load.sent > 5 and not load.failed, load.failed[:3]
    assert server.redoubt("certs", "renew", "ca", check=False).returncode != 0


def test_given_certificates_are_read_again_when_they_change(tmp_path):
    def make(name):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", f"/CN={name}",
                        "-addext", f"subjectAltName=DNS:{name}", "-keyout", str(tmp_path / "new.key"), "-out", str(tmp_path / "new.crt")],
                       check=True, capture_output=True)
        (tmp_path / "new.key").rename(tmp_path / "sni.key")
        (tmp_path / "new.crt").rename(tmp_path / "sni.crt")

    def shown(name, port):
        out = subprocess.run(["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-servername", name], input="", capture_output=True, text=True).stdout
        return subprocess.run(["openssl", "x509", "-noout", "-subject", "-serial"], input=out, capture_output=True, text=True).stdout

    make("outside.example")
    with Server(tmp_path / "s", "--tls-sni-cert-key", f"{tmp_path}/sni.crt,{tmp_path}/sni.key") as server:
        first = shown("outside.example", server.port)
        assert "outside.example" in first
        assert "kube-apiserver" in shown("elsewhere.example", server.port)
        make("outside.example")
        eventually("the new one", lambda: shown("outside.example", server.port) not in ("", first), timeout=20)
        assert "outside.example" in shown("outside.example", server.port)
        # Half a change is no change.
        second = shown("outside.example", server.port)
        (tmp_path / "sni.crt").write_text("nonsense")
        time.sleep(5)
        assert shown("outside.example", server.port) == second


def test_short_lived_certificates_are_renewed_in_time(tmp_path):
    with Server(tmp_path, "--certificate-duration", "12s") as server:
        address = ("127.0.0.1", server.port)
        seen = {serial(address)}
        end = time.monotonic() + 40
        with Load(server.admin) as load:
            while time.monotonic() < end:
                seen.add(serial(address))
                time.sleep(0.5)
        assert len(seen) >= 4, seen
        assert not load.failed, load.failed[:3]
        # The controllers were given new ones too.
        server.kubectl("create", "namespace", "after")
        eventually("a controller works", lambda: server.kubectl("-n", "after", "get", "cm", "kube-root-ca.crt", check=False).returncode == 0)


def test_every_authority_and_the_token_key_are_rotated_under_load(tmp_path):
    with Server(tmp_path) as server:
        server.join("n1")
        old_ca = (server.data / "pki" / "ca.crt").read_text()
        eventually("the default account", lambda: server.kubectl("get", "sa", "default", check=False).returncode == 0)
        server.kubectl("create", "clusterrolebinding", "v", "--clusterrole=view", "--serviceaccount=default:default")
        fresh = lambda: server.kubectl("create", "token", "default").stdout.strip()
        tokens = {"old": fresh()}
        # What a pod has: the bundle of its namespace, and a token.
        bundle = lambda: server.get("cm", "kube-root-ca.crt")["data"]["ca.crt"]
        pod = lambda: Caller(("127.0.0.1", server.port), bundle(), token=tokens["old"])

        def phase(name):
            server.redoubt("certs", "rotate-ca", name, "--force")
            time.sleep(6)
            server.alive()

        with Load(server.admin) as admin, Load(pod, "/api/v1/namespaces/default/pods") as account:
            phase("begin")
            assert bundle().count("BEGIN CERTIFICATE") == 2
            info = server.get("-n", "kube-public", "cm", "cluster-info")["data"]
            assert info["kubelet-ca.crt"].count("BEGIN CERTIFICATE") == 2
            assert server.redoubt("token", "create", "--print-join-command").stdout.count("sha256:") == 2
            assert "1: the next one is trusted" in server.redoubt("certs", "rotate-ca", "status").stdout
            phase("advance")
            # Old and new work side by side: a node of the old authority (that has learned of the new one, as agents do), a token of the
            # old key, and new ones of both.
            assert server.node("n1", bundle()).request("GET", "/api/v1/services").status == 200
            tokens["new"] = fresh()
            for token in tokens.values():
                assert Caller(("127.0.0.1", server.port), bundle(), token=token).request("GET", "/api/v1/namespaces/default/pods").status == 200
            server.join("n2")
            assert server.node("n2").request("GET", "/api/v1/services").status == 200
            keys = json.loads(server.kubectl("get", "--raw", "/openid/v1/jwks").stdout)["keys"]
            assert len(keys) == 2
            tokens["old"] = tokens["new"]
            time.sleep(1)
            phase("finish")
        assert admin.sent > 20 and not admin.failed, admin.failed[:3]
        assert account.sent > 20 and not account.failed, account.failed[:3]
        # Nothing of the old is left.
        assert bundle().count("BEGIN CERTIFICATE") == 1 and bundle() != old_ca
        assert server.node("n2").request("GET", "/api/v1/services").status == 200
        assert server.node("n1", bundle()).request("GET", "/api/v1/services").status == 401
        with pytest.raises(ssl.SSLError):
            Caller(("127.0.0.1", server.port), old_ca).request("GET", "/readyz")
        assert len(json.loads(server.kubectl("get", "--raw", "/openid/v1/jwks").stdout)["keys"]) == 1


def test_a_rotation_waits_for_the_nodes(server):
    server.join("n1")
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n1"}}
    assert server.node("n1").request("POST", "/api/v1/nodes", node).status == 201
    server.redoubt("certs", "rotate-ca", "begin", "--authority", "ca")
    early = server.redoubt("certs", "rotate-ca", "advance", "--authority", "ca", check=False)
    assert early.returncode != 0 and "node n1" in early.stderr
    listed = {c["name"]: c for c in json.loads(server.redoubt("certs", "list", "-o", "json").stdout)}
    knows = {"metadata": {"annotations": {"redoubt.dev/trusted-roots": f"{listed['ca']['publicKeyHash']},{listed['ca-next']['publicKeyHash']}"}}}
    assert server.node("n1").request("PATCH", "/api/v1/nodes/n1", knows, content_type="application/merge-patch+json").status == 200
    server.redoubt("certs", "rotate-ca", "advance", "--authority", "ca")
    assert server.redoubt("certs", "rotate-ca", "finish", "--authority", "ca", check=False).returncode != 0
    assert server.redoubt("certs", "rotate-ca", "begin", "--authority", "ca", check=False).returncode != 0
