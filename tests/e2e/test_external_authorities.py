"""A cluster whose authorities, keys and certificates were all given by files: it works, and takes each file up when it is replaced."""
import base64
import json
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest
from authorities import Authority, key_text, put
from conftest import ROOT, pod
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from servers import REDOUBT, Caller, Server, eventually, free_port, make_request, refused

SERVICE = "10.96.0.1"
WHO = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}


def address_of_this_machine():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(("203.0.113.1", 9))
        return s.getsockname()[0]


ADDRESS = address_of_this_machine()


def import_images(folder, containerd):
    for name, extra in (("pause", ["--entrypoint", '["/pause"]', f"{folder}/pause=pause"]), ("busybox", ["--cmd", '["sh"]', "/bin/busybox=@busybox"])):
        archive = folder / f"{name}.tar"
        if not archive.exists():
            if name == "pause":
                subprocess.run(["gcc", "-static", "-Os", "-o", folder / "pause", ROOT / "tools/images/pause.c"], check=True)
            subprocess.run(["/usr/bin/python3", ROOT / "tools/images/make-image.py", archive, f"redoubt.test/{name}:1", *extra], check=True)
        eventually(f"{name} is imported", lambda: containerd.exists() and subprocess.run(
            ["ctr", "-a", containerd, "-n", "k8s.io", "images", "import", archive], capture_output=True).returncode == 0)


class External(Server):
    """The server with everything given, and the files' present contents."""

    def __init__(self, folder):
        self.files = folder / "files"
        self.files.mkdir()
        make = lambda name, **more: Authority(self.files, name, **more)
        self.root, self.kubelets, self.serving, self.proxies = map(make, ("root", "kubelets", "serving", "proxies"))
        # Trusted by itself, whoever is above it.
        self.people = make("people", parent=make("company"))
        self.intermediate = make("intermediate", parent=self.root)
        self.path = lambda name: self.files / f"given-{name}"
        flags = []

        def give(flag, name, text):
            put(self.path(name), text)
            flags.extend([flag, self.path(name)])

        give("--root-ca-file", "root", self.root.pem)
        self.new_serving_certificate(self.intermediate)
        flags.extend(["--tls-cert-file", self.path("tls"), "--tls-private-key-file", self.path("tls")])
        for signer, authority in (("kube-apiserver-client", self.people), ("kubelet-client", self.kubelets), ("kubelet-serving", self.serving)):
            give(f"--cluster-signing-{signer}-cert-file", f"{signer}.crt", authority.pem)
            give(f"--cluster-signing-{signer}-key-file", f"{signer}.key", key_text(authority.key))
        give("--requestheader-client-ca-file", "proxies", self.proxies.pem)
        self.toward_kubelets = Path(self.people.leaf("kube-apiserver-kubelet-client", ["redoubt:kubelet-api-clients"])).read_text()
        for flags_of, name, text in ((("--kubelet-client-certificate", "--kubelet-client-key"), "toward-kubelets", self.toward_kubelets),
                                     (("--proxy-client-cert-file", "--proxy-client-key-file"), "toward-extensions", Path(self.proxies.leaf("front")).read_text())):
            put(self.path(name), text)
            for flag in flags_of:
                flags.extend([flag, self.path(name)])
        self.signing_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        give("--service-account-signing-key-file", "sa.key", key_text(self.signing_key))
        give("--service-account-key-file", "sa-more", key_text(ec.generate_private_key(ec.SECP256R1())))
        super().__init__(folder, *flags, "--advertise-address", ADDRESS, bind="0.0.0.0")

    @property
    def url(self):
        return f"https://{ADDRESS}:{self.port}"

    def new_serving_certificate(self, authority):
        # Not for 127.0.0.1: who is on this machine gets by with a certificate of the cluster's own.
        leaf = Path(authority.leaf("kube-apiserver", addresses=[ADDRESS, SERVICE], server=True)).read_text()
        certificate, key = leaf.split("-----BEGIN PRIVATE KEY-----")
        put(self.path("tls"), certificate + authority.pem + "-----BEGIN PRIVATE KEY-----" + key)

    def caller(self, pem=None, token=None, roots=None):
        return Caller((ADDRESS, self.port), roots or self.root.pem, pem and str(pem), token=token)

    def who(self, **how):
        return self.caller(**how).request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", WHO)

    def node_certificate(self, which):
        return (self.agent_folder / "kubelet" / "pki" / f"kubelet-{which}-current.pem").read_text()

    def logged(self, *texts):
        log = (self.folder / "server.log").read_text(errors="replace")
        return all(text in log for text in texts)


@pytest.fixture(scope="module")
def cluster_of_files(tmp_path_factory):
    assert os.geteuid() == 0, "the node runs a containerd: run this as root"
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="external-", dir=memory)) if memory.is_dir() else tmp_path_factory.mktemp("external")
    with External(folder) as server:
        server.agent_folder, server.agent_log = folder / "agent", folder / "agent.log"
        log = open(server.agent_log, "wb")
        args = [str(REDOUBT), "join", *server.join_line(), "--hostname-override", "n1", "--node-ip", ADDRESS, "--data-dir", str(server.agent_folder),
                "--run-dir", str(folder / "run"), "--manage-containerd", "--pod-infra-container-image", "redoubt.test/pause:1", "--kubelet-port",
                str(free_port()), "--kubelet-address", ADDRESS]
        server.agent = subprocess.Popen(args, stdout=log, stderr=log)
        try:
            import_images(folder, folder / "run" / "containerd" / "containerd.sock")
            eventually("the node is Ready", lambda: server.agent.poll() is None and "True" in server.kubectl(
                "get", "nodes", "-o", "jsonpath={.items[*].status.conditions[?(@.type=='Ready')].status}", check=False).stdout, timeout=90)
            yield server
        finally:
            server.agent.terminate()
            server.agent.wait(30)
            subprocess.run([str(REDOUBT), "reset", "--data-dir", str(server.agent_folder), "--run-dir", str(folder / "run")], timeout=120)
            for name in ("server.log", "agent.log"):
                shutil.copy(folder / name, tmp_path_factory.getbasetemp() / f"external-{name}")
    shutil.rmtree(folder, ignore_errors=True)


def test_a_node_joins_and_a_pod_lives(cluster_of_files):
    server = cluster_of_files
    assert server.kubelets.has_signed(server.node_certificate("client")) and server.serving.has_signed(server.node_certificate("server"))
    eventually("the default account", lambda: server.kubectl("get", "sa", "default", check=False).returncode == 0)
    server.kubectl("create", "clusterrolebinding", "v", "--clusterrole=view", "--serviceaccount=default:default")
    server.kubectl("apply", "-f", "-", input=pod("p", "echo from the pod; sleep 10000"))
    server.kubectl("wait", "--for=condition=Ready", "pod/p", "--timeout=60s", timeout=90)
    assert server.kubectl("logs", "p").stdout == "from the pod\n"
    # What the pod was given works as it is: its token, and the authorities that it knows the API server by.
    inside = lambda name: server.kubectl("exec", "p", "--", "cat", f"/var/run/secrets/kubernetes.io/serviceaccount/{name}").stdout
    roots = inside("ca.crt")
    assert server.root.pem.strip() in roots and server.serving.pem.strip() not in roots and server.kubelets.pem.strip() not in roots
    assert server.caller(token=inside("token"), roots=roots).request("GET", "/api/v1/namespaces/default/pods").status == 200
    # Kubelets that the administrator's authority did not sign for are no kubelets; the API server itself shows what it was given.
    shown = server.get("node", "n1")["metadata"]["annotations"]
    assert shown["redoubt.dev/serving-certificate-issuer"].startswith("sha256:")


def test_people_get_certificates_of_the_given_authority(cluster_of_files, tmp_path):
    server = cluster_of_files
    request = {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": "ann"}, "spec": {
        "request": make_request(tmp_path, "ann", "/O=people/CN=ann"), "signerName": "kubernetes.io/kube-apiserver-client", "usages": ["client auth"]}}
    server.kubectl("create", "-f", "-", input=json.dumps(request))
    server.kubectl("certificate", "approve", "ann")
    pem = base64.b64decode(eventually("a certificate", lambda: server.get("csr", "ann")["status"].get("certificate"))).decode()
    assert server.people.has_signed(pem)
    put(tmp_path / "ann.pem", pem + (tmp_path / "ann.key").read_text())
    user = server.who(pem=tmp_path / "ann.pem").json["status"]["userInfo"]
    assert (user["username"], user["groups"]) == ("ann", ["people", "system:authenticated"])
    # Each authority for its own: what signs for kubelets as servers proves nothing to the API server, nor does a stranger.
    for stranger in (server.serving.leaf("ann", ["system:masters"]), server.root.leaf("ann", ["system:masters"])):
        assert server.who(pem=stranger).status == 401


def test_what_is_external_is_said_and_not_touched(cluster_of_files):
    server = cluster_of_files
    listed = {c["name"]: c for c in json.loads(server.redoubt("certs", "list", "-o", "json").stdout)}
    assert listed["kubelet-serving-signer"]["external"] == f"--cluster-signing-kubelet-serving-cert-file {server.path('kubelet-serving.crt')}"
    assert listed["apiserver"]["external"] == f"--tls-cert-file {server.path('tls')}" and listed["apiserver"]["daysLeft"] == 0
    assert {"client-signer", "kubelet-client-signer", "root-ca", "front-proxy-client", "apiserver-kubelet-client"} <= set(listed)
    assert "signs nothing" in listed["kubelet-ca"]["state"] and "external" not in listed["admin"]
    before = {path: path.read_bytes() for path in server.files.iterdir()}
    everything = server.redoubt("certs", "renew").stdout
    assert "apiserver is external" in everything and "admin renewed" in everything and "apiserver renewed" not in everything
    for name in ("apiserver", "kubelet-client-signer", "front-proxy-client"):
        refused = server.redoubt("certs", "renew", name, check=False)
        assert refused.returncode != 0 and "is external (--" in refused.stderr
    for name in ("kubelet-ca", "front-proxy-ca", "sa"):
        refused = server.redoubt("certs", "rotate-ca", "begin", "--authority", name, check=False)
        assert refused.returncode != 0 and "is not rotated here" in refused.stderr
    assert server.redoubt("certs", "rotate-ca").stdout.count("external: ") == 3
    assert before == {path: path.read_bytes() for path in server.files.iterdir()}


class Load(threading.Thread):
    """The API server, and through it the kubelet, asked without a pause until the end of the with block."""

    def __init__(self, server, pem):
        super().__init__()
        self.server, self.pem, self.sent, self.failed, self.stopping = server, pem, 0, [], threading.Event()

    def run(self):
        while not self.stopping.is_set():
            try:
                caller = self.server.caller(pem=self.pem)
                for path in ("/api/v1/nodes/n1", "/api/v1/nodes/n1/proxy/healthz"):
                    answer = caller.request("GET", path)
                    self.sent += 1
                    if answer.status != 200:
                        self.failed.append(repr(answer))
                caller.close()
            except Exception as error:  # whatever it is, it is a failed request
                self.failed.append(repr(error))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.join()


def test_every_file_is_replaced_while_running(cluster_of_files, tmp_path):
    server = cluster_of_files
    token = server.kubectl("create", "token", "default").stdout.strip()
    old_proxy = server.proxies.leaf("front")
    spoken_for = {"X-Remote-User": "ann"}
    assert server.caller(pem=old_proxy).request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", WHO, spoken_for).json["status"]["userInfo"]["username"] == "ann"
    admin = Path(server.people.leaf("boss", ["system:masters"]))
    new = lambda name, **more: Authority(tmp_path, name, **more)
    with Load(server, admin) as load:
        # An authority of nodes' certificates: the new one in front, the old one behind it for as long as it is in use.
        for signer, which, old in (("kubelet-client", "client", server.kubelets), ("kubelet-serving", "server", server.serving)):
            after = new(f"{signer}-2")
            put(server.path(f"{signer}.key"), key_text(after.key))  # half a change, which is no change
            time.sleep(3)
            put(server.path(f"{signer}.crt"), after.pem + old.pem)
            eventually(f"the node has a {which} certificate of the new one", lambda: after.has_signed(server.node_certificate(which)))
            listed = {c["name"]: c for c in json.loads(server.redoubt("certs", "list", "-o", "json").stdout)}
            says = {"client": "client-certificate-issuer", "server": "serving-certificate-issuer"}[which]
            eventually("the node says so", lambda: server.get("node", "n1")["metadata"]["annotations"][f"redoubt.dev/{says}"] ==
                       listed[f"{signer}-signer"]["publicKeyHash"])
            put(server.path(f"{signer}.crt"), after.pem)
        assert server.logged("a given file can't be used; what is in use stays", "is not the certificate of the key")
        # The API server's certificate, by an authority that clients are told of first.
        second = new("root-2")
        put(server.path("root"), server.root.pem + second.pem)
        eventually("pods are told of the new root", lambda: second.pem.strip() in server.get("cm", "kube-root-ca.crt")["data"]["ca.crt"])
        eventually("and the node", lambda: second.pem.strip() in (server.agent_folder / "kubelet" / "pki" / "ca.crt").read_text())
        assert server.join_line().count("--discovery-token-ca-cert-hash") == 3
    assert load.sent > 20 and not load.failed, load.failed[:3]
    server.new_serving_certificate(second)

    def shown():
        try:
            return server.who(pem=admin, roots=second.pem).status == 201
        except OSError:
            return False
    eventually("the new certificate is shown", shown)
    # Tokens: the new key signs, the old one is still known.
    fresh = ec.generate_private_key(ec.SECP256R1())
    put(server.path("sa-more"), key_text(server.signing_key))
    put(server.path("sa.key"), key_text(fresh))
    kid = lambda text: json.loads(base64.urlsafe_b64decode(text.split(".")[0] + "=="))["kid"]
    eventually("tokens of the new key", lambda: kid(server.kubectl("create", "token", "default").stdout) != kid(token))
    assert server.who(token=token, roots=second.pem).status == 201
    put(server.path("sa-more"), key_text(ec.generate_private_key(ec.SECP256R1())))
    eventually("the old key is forgotten", lambda: server.who(token=token, roots=second.pem).status == 401)
    # Front proxies.
    after = new("proxies-2")
    put(server.path("proxies"), after.pem)
    asked = lambda pem: server.caller(pem=pem, roots=second.pem).request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", WHO, spoken_for)
    eventually("the new proxy's word counts", lambda: asked(after.leaf("front")).status == 201)
    assert asked(old_proxy).status == 401
    # Extension API servers are told: whom to believe about others, and whose certificates count.
    told = lambda: json.loads(server.kubectl("-n", "kube-system", "get", "cm", "extension-apiserver-authentication", "-o", "json").stdout)["data"]
    eventually("extension API servers know the new proxies' authority", lambda: told()["requestheader-client-ca-file"].strip() == after.pem.strip())
    clients = told()["client-ca-file"]
    assert server.people.pem.strip() in clients and server.serving.pem.strip() not in clients
    # After all of it, the node was never restarted, and works.
    assert server.agent.poll() is None
    assert server.kubectl("exec", "p", "--", "echo", "still").stdout == "still\n"
    assert server.kubectl("logs", "p").stdout == "from the pod\n"


def test_moving_to_external_authorities_cuts_nobody_off(tmp_path):
    people, serving = Authority(tmp_path, "people"), Authority(tmp_path, "serving")
    with Server(tmp_path / "s") as server:
        server.join("n1")
    flags = ["--cluster-signing-cert-file", people.file, "--cluster-signing-key-file", people.key_file,
             "--cluster-signing-kubelet-serving-cert-file", serving.file]
    result = refused(tmp_path / "s", *flags)
    assert "cannot specify --cluster-signing-{cert,key}-file and other --cluster-signing-*-file flags at the same time" in result
    with Server(tmp_path / "s", *flags[:4]) as server:
        assert server.node("n1").request("GET", "/api/v1/services").status == 200
        server.join("n2")
        assert people.has_signed((tmp_path / "s" / "n2" / "kubelet" / "pki" / "kubelet-client-current.pem").read_text())
        assert server.node("n2").request("GET", "/api/v1/services").status == 200
        # The general pair is for clients; kubelets' serving certificates stay with their own authority, unlike upstream's.
        listed = {c["name"]: c for c in json.loads(server.redoubt("certs", "list", "-o", "json").stdout)}
        assert listed["kubelet-client-signer"]["external"] == listed["client-signer"]["external"] and "kubelet-serving-signer" not in listed


def test_what_does_not_fit_stops_the_start(tmp_path):
    good, other = Authority(tmp_path, "good"), Authority(tmp_path, "other")
    old = Authority(tmp_path, "old", starts=-7200, ends=-3600)
    weak = tmp_path / "weak.key"
    put(weak, key_text(rsa.generate_private_key(public_exponent=65537, key_size=1024)))
    subprocess.run(["openssl", "req", "-x509", "-key", weak, "-subj", "/CN=weak", "-days", "1", "-out", tmp_path / "weak.crt"], check=True, capture_output=True)
    leaf = good.leaf("somebody")
    shared = tmp_path / "shared.key"
    shutil.copy(good.key_file, shared)
    shared.chmod(0o640)
    locked = tmp_path / "locked.key"
    subprocess.run(["openssl", "ec", "-in", good.key_file, "-aes256", "-passout", "pass:x", "-out", locked], check=True, capture_output=True)
    locked.chmod(0o600)
    nothing = tmp_path / "nothing"
    own = tmp_path / "s" / "server" / "pki"
    with Server(tmp_path / "s"):
        pass
    below = Authority(tmp_path, "below", parent=Authority(tmp_path, "ca", pki=own))
    server = good.leaf("kube-apiserver", addresses=["127.0.0.1"])
    ended = good.leaf("kube-apiserver", addresses=["127.0.0.1"], starts=-7200, ends=-3600)
    signing = lambda certificate, key, which="": [f"--cluster-signing-{which}cert-file", certificate, f"--cluster-signing-{which}key-file", key]
    tls = lambda certificate, key: ["--tls-cert-file", certificate, "--tls-private-key-file", key]
    for flags, *said in (
            (signing(good.file, other.key_file), "good.crt is not the certificate of the key", "--cluster-signing-key-file"),
            (signing(good.file, other.key_file, "kubelet-client-"), "is not the certificate", "--cluster-signing-kubelet-client-cert-file"),
            (signing(leaf, leaf), "is no authority's: it may not sign others", "somebody"),
            (signing(old.file, old.key_file), "--cluster-signing-cert-file", "(\"old\") expired at"),
            (signing(nothing, good.key_file), "--cluster-signing-cert-file", "nothing does not exist"),
            (signing(good.file, nothing), "--cluster-signing-key-file", "nothing does not exist"),
            (signing(good.file, shared), "others than its owner may read the key", "mode 0640", "--cluster-signing-key-file"),
            (signing(good.file, locked), "holds no PEM private key, or one with a passphrase"),
            (signing(good.key_file, good.key_file), "good.key holds no PEM certificate"),
            (signing(tmp_path / "weak.crt", weak), "what it signs is refused", "weak"),
            (signing(good.file, good.key_file)[:2], "--cluster-signing-cert-file is given without --cluster-signing-key-file"),
            (signing(good.file, good.key_file)[2:], "--cluster-signing-key-file is given without --cluster-signing-cert-file"),
            (signing(own / "ca.crt", own / "ca.key", "kubelet-serving-"), "a node could get a certificate that passes for the API server"),
            (signing(below.file, below.key_file, "kubelet-serving-"), "a node could get a certificate that passes for the API server"),
            (["--root-ca-file", good.file, *signing(good.file, good.key_file, "kubelet-serving-")], "need an authority of their own"),
            (tls(server, server), "no client could verify", "--root-ca-file"),
            (["--root-ca-file", good.file, *tls(ended, ended)], "expired at", "--tls-cert-file"),
            (["--root-ca-file", good.file, *tls(server, good.key_file)], "is not the certificate of the key"),
            (["--root-ca-file", good.file, *tls(leaf, leaf)], "no client could verify", "incompatible key usage"),
            (["--root-ca-file", good.key_file], "--root-ca-file", "holds no PEM certificate"),
            (["--kubelet-certificate-authority", nothing], "--kubelet-certificate-authority", "does not exist"),
            (["--client-ca-file", nothing], "--client-ca-file", "does not exist"),
            (["--service-account-signing-key-file", shared], "others than its owner may read the key", "--service-account-signing-key-file"),
            (["--proxy-client-cert-file", leaf], "--proxy-client-cert-file is given without --proxy-client-key-file")):
        output = refused(tmp_path / "s", *flags)
        assert all(text in output for text in said), (flags, output[-1500:])
        assert "PRIVATE" not in output
