"""Path kubelet-apiserver, its beginning: tokens, the line that a node runs, and every way in which joining must fail."""
import base64
import hashlib
import hmac
import json
import os
import re
import socket
import ssl
import stat
import subprocess
import threading
import time
from pathlib import Path

import pytest
from authorities import Authority
from cryptography import x509
from servers import Caller, Server, eventually, free_port, redoubt


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("join")) as running:
        yield running


def refused(result):
    assert result.returncode != 0, result.stdout
    assert result.stderr.startswith("error: ") or "error: " in result.stderr, result.stderr
    return result.stderr


def test_create_prints_one_line_that_a_node_runs(server):
    line = server.redoubt("token", "create").stdout
    assert re.fullmatch(r"redoubt join https://\S+:\d+ --token [a-z0-9]{6}\.[a-z0-9]{16} --discovery-token-ca-cert-hash sha256:[0-9a-f]{64}\n", line)
    ca = server.data / "pki" / "ca.crt"
    der = subprocess.run(["openssl", "x509", "-in", str(ca), "-pubkey", "-noout"], capture_output=True, check=True).stdout
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "der"], input=der, capture_output=True, check=True).stdout
    assert hashlib.sha256(der).hexdigest() in line
    # As kubeadm has it: the line when asked for, and the token alone.
    assert server.redoubt("token", "create", "--print-join-command").stdout.startswith("redoubt join ")
    assert re.fullmatch(r"[a-z0-9]{6}\.[a-z0-9]{16}\n", server.redoubt("token", "create", "--print-join-command=false").stdout)
    folder = server.join("n-line")
    pem = folder / "kubelet" / "pki" / "kubelet-client-current.pem"
    assert stat.S_IMODE(pem.stat().st_mode) == 0o600
    subject = subprocess.run(["openssl", "x509", "-noout", "-subject", "-in", str(pem)], capture_output=True, text=True, check=True).stdout
    assert "O = system:nodes, CN = system:node:n-line" in subject
    assert server.node("n-line").request("GET", "/api/v1/services").status == 200
    # A later start needs no token.
    redoubt("join", server.url, "--identity-only", "--hostname-override", "n-line", "--data-dir", folder)


def test_tokens_are_listed_and_deleted(server):
    token = server.token("--ttl", "90m", "--description", "for the attic", "--groups", "system:bootstrappers:attic", "--usages",
                         "authentication,signing")
    table = server.redoubt("token", "list").stdout
    assert table.splitlines()[0].split() == ["TOKEN", "TTL", "EXPIRES", "USAGES", "DESCRIPTION", "EXTRA", "GROUPS"]
    row = next(line for line in table.splitlines() if line.startswith(token))
    assert "for the attic" in row and "system:bootstrappers:attic" in row and "authentication,signing" in row and "89m" in row
    listed = json.loads(server.redoubt("token", "list", "-o", "json").stdout)
    assert token in [t["token"] for t in listed]
    assert f"a token with the id {token[:6]} is there already" in refused(server.redoubt("token", "create", token, check=False))
    secret = server.get("-n", "kube-system", "secret", f"bootstrap-token-{token[:6]}")
    assert secret["type"] == "bootstrap.kubernetes.io/token"
    assert "deleted" in server.redoubt("token", "delete", token[:6]).stdout
    assert token not in server.redoubt("token", "list").stdout
    assert "no bootstrap token" in refused(server.redoubt("token", "delete", token[:6], check=False))


@pytest.mark.parametrize("flags, says", [(["--groups", "system:masters"], "--groups"), (["--usages", "everything"], "--usages"),
                                         (["--ttl", "soon"], "--ttl"), (["short.token"], "malformed")])
def test_tokens_that_would_be_wrong_are_not_made(server, flags, says):
    assert says in refused(server.redoubt("token", "create", *flags, check=False))


def test_cluster_info_is_signed_as_kubeadm_verifies_it_and_open_to_all(server):
    token = server.token()
    path = "/api/v1/namespaces/kube-public/configmaps/cluster-info"
    ca = (server.data / "pki" / "ca.crt").read_text()
    anonymous = Caller(("127.0.0.1", server.port), ca)
    data = eventually("the signature", lambda: (lambda a: a if a.status == 200 and f"jws-kubeconfig-{token[:6]}" in a.json["data"] else None)(
        anonymous.request("GET", path))).json["data"]
    header, empty, signature = data[f"jws-kubeconfig-{token[:6]}"].split(".")
    url64 = lambda raw: base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    assert empty == "" and json.loads(base64.urlsafe_b64decode(header + "==")) == {"alg": "HS256", "kid": token[:6]}
    text = header + "." + url64(data["kubeconfig"].encode())
    assert url64(hmac.new(token[7:].encode(), text.encode(), hashlib.sha256).digest()) == signature
    assert base64.b64encode(ca.encode()).decode() in data["kubeconfig"]
    # Nothing else of that namespace, and nothing else at all, is open.
    assert anonymous.request("GET", "/api/v1/namespaces/kube-public/configmaps").status in (401, 403)
    assert anonymous.request("GET", "/api/v1/namespaces/kube-public/configmaps/other").status in (401, 403)
    assert anonymous.request("PUT", path, {}).status in (401, 403)
    server.redoubt("token", "delete", token)
    eventually("its signature goes with it", lambda: f"jws-kubeconfig-{token[:6]}" not in anonymous.request("GET", path).json["data"])


def test_wrong_hash(server):
    line = server.join_line()
    line[-1] = "sha256:" + "0" * 64
    said = refused(server.join("n-hash", line=line, check=False))
    assert "--discovery-token-ca-cert-hash" in said and "Nothing was sent" in said
    assert not (server.folder / "n-hash" / "kubelet" / "pki" / "kubelet-client-current.pem").exists()


@pytest.mark.parametrize("shows", ["its own authority", "the real authority behind its own certificate", "an authority of the same name and serial"])
def test_an_impostor_is_told_nothing(server, tmp_path, shows):
    real = server.data / "pki" / "ca.crt"
    forged = Authority(tmp_path, "kubernetes", serial=x509.load_pem_x509_certificate(real.read_bytes()).serial_number)
    chain = Path(forged.leaf("kube-apiserver", addresses=["127.0.0.1"])).read_text()
    chain += {"its own authority": "", "the real authority behind its own certificate": real.read_text(),
              "an authority of the same name and serial": forged.pem}[shows]
    (tmp_path / "shown.pem").write_text(chain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "shown.pem")
    heard = []

    def impostor(listener):
        while True:
            try:
                connection, _ = listener.accept()
                connection.settimeout(5)
                with context.wrap_socket(connection, server_side=True) as tls:
                    heard.append(tls.recv(65536))
            except ssl.SSLError as refusal:
                heard.append(str(refusal))
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=impostor, args=(listener,), daemon=True).start()
        line = server.join_line()
        line[0] = f"https://127.0.0.1:{listener.getsockname()[1]}"
        said = refused(server.join("n-lured", line=line, check=False))
    assert "--discovery-token-ca-cert-hash" in said or "could not be verified" in said
    # It heard a refusal in the handshake, and no byte of a request: no token, no key.
    assert heard and all(isinstance(h, str) or h == b"" for h in heard), heard
    assert not (server.folder / "n-lured" / "kubelet" / "pki" / "kubelet-client-current.pem").exists()


def test_malformed_token_and_hash(server):
    line = server.join_line()
    bad = [line[0], "--token", "not-a-token", *line[3:]]
    assert "malformed" in refused(server.join("n-bad", line=bad, check=False))
    bad = [*line[:-1], "sha256:short"]
    assert "malformed" in refused(server.join("n-bad", line=bad, check=False))
    assert "--discovery-token-ca-cert-hash" in refused(server.join("n-bad", line=line[:3], check=False))
    assert "https" in refused(server.join("n-bad", line=["http://127.0.0.1:1", *line[1:]], check=False))


def test_unknown_token_and_wrong_secret(server):
    line = server.join_line()
    token = line[2]
    said = refused(server.join("n-unknown", line=[line[0], "--token", "zzzzzz.0123456789abcdef", *line[3:]], check=False))
    assert "zzzzzz is unknown" in said and "redoubt token create" in said and "0123456789abcdef" not in said
    eventually("the token is published", lambda: f"jws-kubeconfig-{token[:6]}" in server.get("-n", "kube-public", "cm", "cluster-info")["data"])
    wrong = token[:-1] + ("a" if token[-1] != "a" else "b")
    said = refused(server.join("n-unknown", line=[line[0], "--token", wrong, *line[3:]], check=False))
    assert "secret is another" in said and token[7:-1] not in said


def test_expired_token(server):
    line = server.join_line("--ttl", "2s")
    time.sleep(3)
    eventually("the token cleaner", lambda: line[2][:6] not in server.redoubt("token", "list").stdout)
    eventually("the word about it", lambda: f"{line[2][:6]}=expired" in json.dumps(server.get("-n", "kube-public", "cm", "cluster-info")))
    said = refused(server.join("n-expired", line=line, check=False))
    assert f"{line[2][:6]} expired at" in said


def test_used_up_token(server):
    line = server.join_line()
    eventually("the token is published", lambda: f"jws-kubeconfig-{line[2][:6]}" in server.get("-n", "kube-public", "cm", "cluster-info")["data"])
    server.redoubt("token", "delete", line[2])
    eventually("the word about it", lambda: f"{line[2][:6]}=deleted" in json.dumps(server.get("-n", "kube-public", "cm", "cluster-info")))
    assert "was used up" in refused(server.join("n-used", line=line, check=False))


def test_unreachable_server(server):
    line = server.join_line()
    said = refused(server.join("n-away", line=[f"https://127.0.0.1:{free_port()}", *line[1:]], check=False))
    assert "can't reach the API server" in said


def test_no_token_and_no_identity(tmp_path):
    said = refused(redoubt("join", "https://127.0.0.1:1", "--identity-only", "--data-dir", tmp_path, check=False))
    assert "no bootstrap token was given" in said


def test_ca_file_instead_of_a_hash(server):
    line = server.join_line()
    server.join("n-file", "--ca-file", server.data / "pki" / "ca.crt", line=line[:3])
    other = server.data / "pki" / "front-proxy-ca.crt"
    said = refused(server.join("n-file2", "--ca-file", other, line=line[:3], check=False))
    assert "could not be verified" in said and "nothing was sent" in said


def test_bootstrap_kubeconfig(server, tmp_path):
    token = server.token()
    ca = base64.b64encode((server.data / "pki" / "ca.crt").read_bytes()).decode()
    config = tmp_path / "bootstrap-kubelet.conf"
    config.write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": server.url, "certificate-authority-data": ca}}],
        "users": [{"name": "u", "user": {"token": token}}], "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]}))
    kept = tmp_path / "kubelet.conf"
    redoubt("join", server.url, "--bootstrap-kubeconfig", config, "--kubeconfig", kept, "--identity-only", "--hostname-override", "n-boot",
            "--data-dir", tmp_path / "n-boot")
    # The kubeconfig that is kept is one that any client can use.
    out = subprocess.run(["kubectl", "--kubeconfig", str(kept), "auth", "whoami", "-o", "json"], capture_output=True, text=True, check=True)
    assert json.loads(out.stdout)["status"]["userInfo"]["username"] == "system:node:n-boot"


def test_a_token_takes_over_no_node_that_is_alive(server):
    server.join("n-alive")
    node = server.node("n-alive")
    assert node.request("POST", "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n-alive"}}).status == 201
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime())
    lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "n-alive", "namespace": "kube-node-lease"},
             "spec": {"holderIdentity": "n-alive", "leaseDurationSeconds": 3600, "renewTime": stamp}}
    assert node.request("POST", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases", lease).status == 201
    line = server.join_line()
    process = subprocess.Popen([str(redoubt.__globals__["REDOUBT"]), "join", *line, "--identity-only", "--hostname-override", "n-alive",
                                "--data-dir", str(server.folder / "thief")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        events = eventually("an event that says why", lambda: [
            e for e in server.get("-n", "default", "events")["items"]
            if e["involvedObject"]["kind"] == "CertificateSigningRequest" and "n-alive" in e["message"]])
        assert "alive" in events[0]["message"]
        assert process.poll() is None
        name = events[0]["involvedObject"]["name"]
        server.kubectl("certificate", "deny", name)
        assert process.wait(30) != 0
        assert "denied" in process.stderr.read()
    finally:
        process.kill()
        process.wait()


def test_tls_sessions_are_resumed(server):
    context = ssl.create_default_context(cafile=str(server.data / "pki" / "ca.crt"))
    pem = server.folder / "n-line" / "kubelet" / "pki" / "kubelet-client-current.pem"
    if not pem.exists():
        server.join("n-line")
    context.load_cert_chain(str(pem))
    def ask(session):
        with socket.create_connection(("127.0.0.1", server.port)) as raw, context.wrap_socket(raw, server_hostname="localhost", session=session) as tls:
            tls.sendall(b"GET /api/v1/services HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            first = tls.recv(64)
            while tls.recv(65536):
                pass
            return first.split()[1], tls.session_reused, tls.session

    status, reused, session = ask(None)
    assert (status, reused) == (b"200", False)
    status, reused, _ = ask(session)
    # The credential goes with the session: the same node, without showing its certificate again.
    assert (status, reused) == (b"200", True)
