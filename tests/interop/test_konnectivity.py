"""konnectivity-server and -agent with upstream's own client in front, by gRPC over a unix socket and over TLS, and by HTTP CONNECT."""
import os
import socket
import ssl
import subprocess
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build" / os.environ.get("REDOUBT_PRESET", "release") / "redoubt"


def run(*args, **kwargs):
    result = subprocess.run([str(a) for a in args], capture_output=True, text=True, timeout=900, **kwargs)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout.strip()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture(scope="session")
def client():
    """tests/interop/konnectivity, built."""
    work = ROOT / "build/interop/konnectivity"
    work.mkdir(parents=True, exist_ok=True)
    run("go", "build", "-o", work / "konnectivity", ".", cwd=ROOT / "tests/interop/konnectivity")
    return work / "konnectivity"


@pytest.fixture(scope="session")
def pki(tmp_path_factory):
    """An authority, a server's and a client's certificate, and a client's of another authority."""
    folder = tmp_path_factory.mktemp("pki")
    for ca in ("ca", "other"):
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={ca}",
            "-keyout", folder / f"{ca}.key", "-out", folder / f"{ca}.crt")
    for name, ca, usage in (("server", "ca", "serverAuth"), ("client", "ca", "clientAuth"), ("stranger", "other", "clientAuth")):
        run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}",
            "-keyout", folder / f"{name}.key", "-out", folder / f"{name}.csr")
        (folder / "ext").write_text(f"subjectAltName=IP:127.0.0.1\nextendedKeyUsage={usage}\n")
        run("openssl", "x509", "-req", "-in", folder / f"{name}.csr", "-CA", folder / f"{ca}.crt", "-CAkey", folder / f"{ca}.key", "-CAcreateserial",
            "-days", "1", "-extfile", folder / "ext", "-out", folder / f"{name}.crt")
    return folder


class Tunnel:
    """A server and an agent."""

    def __init__(self, pki, folder, *server_flags, agent="client", agent_flags=()):
        self.agent_port, self.health, self.agent_health = free_port(), free_port(), free_port()
        self.logs = [open(folder / f"{n}.log", "w+") for n in ("server", "agent")]
        self.server = subprocess.Popen(
            [PROGRAM, "konnectivity-server", f"--cluster-cert={pki}/server.crt", f"--cluster-key={pki}/server.key", f"--cluster-ca-cert={pki}/ca.crt",
             "--agent-bind-address=127.0.0.1", f"--agent-port={self.agent_port}", f"--health-port={self.health}", f"--admin-port={free_port()}",
             "--logtostderr=true", *server_flags], stderr=self.logs[0])
        self.agent = subprocess.Popen(
            [PROGRAM, "konnectivity-agent", f"--ca-cert={pki}/ca.crt", f"--agent-cert={pki}/{agent}.crt", f"--agent-key={pki}/{agent}.key",
             "--proxy-server-host=127.0.0.1", f"--proxy-server-port={self.agent_port}", f"--health-server-port={self.agent_health}",
             f"--admin-server-port={free_port()}", "--sync-interval=200ms", "--logtostderr=true", *agent_flags], stderr=self.logs[1])

    def get(self, port, path):
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def wait_ready(self):
        end = time.monotonic() + 20
        while self.get(self.health, "/readyz")[0] != 200 or self.get(self.agent_health, "/readyz")[0] != 200:
            assert time.monotonic() < end, self.log()
            time.sleep(0.1)

    def log(self):
        return "\n".join(Path(f.name).read_text()[-3000:] for f in self.logs)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in (self.agent, self.server):
            process.terminate()
            assert process.wait(30) == 0, self.log()


@pytest.fixture()
def echo():
    """A target that sends back what comes; its address."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection):
        with connection:
            while data := connection.recv(65536):
                connection.sendall(data)

    def accept():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()
    threading.Thread(target=accept, daemon=True).start()
    yield f"127.0.0.1:{listener.getsockname()[1]}"
    listener.close()


def test_upstream_client_over_a_unix_socket(client, pki, echo, tmp_path):
    socket_path = tmp_path / "konnectivity.socket"
    with Tunnel(pki, tmp_path, f"--uds-name={socket_path}", "--server-port=0") as tunnel:
        tunnel.wait_ready()
        assert run(client, socket_path, echo, "echo", "5000000") == "ok"
        assert run(client, socket_path, echo, "many", "50") == "ok"
        assert run(client, socket_path, "127.0.0.1:1", "fail", "connection refused") == "ok"
        metrics = tunnel.get(tunnel.health, "/metrics")[1]
        assert 'konnectivity_network_proxy_server_ready_backends{proxy_strategy="default"} 1' in metrics
        assert 'konnectivity_network_proxy_server_dial_failure_count{reason="error_response"} 1' in metrics
        assert "konnectivity_network_proxy_server_established_connections 0" in metrics
        tunnel.agent.terminate()
        tunnel.agent.wait(30)
        assert tunnel.get(tunnel.health, "/readyz") == (500, "no connection to any proxy agent")
        assert run(client, socket_path, echo, "fail", "No agent available") == "ok"


def test_http_connect_over_mutual_tls(pki, echo, tmp_path):
    port = free_port()
    flags = [f"--server-cert={pki}/server.crt", f"--server-key={pki}/server.key", f"--server-ca-cert={pki}/ca.crt", "--mode=http-connect",
             f"--server-port={port}", "--server-bind-address=127.0.0.1"]

    def connect(certificate, target):
        context = ssl.create_default_context(cafile=pki / "ca.crt")
        if certificate:
            context.load_cert_chain(pki / f"{certificate}.crt", pki / f"{certificate}.key")
        stream = context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=10), server_hostname="127.0.0.1")
        stream.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = stream.recv(1)
            assert byte, head
            head += byte
        return stream, head.split(b"\r\n")[0].decode()

    with Tunnel(pki, tmp_path, *flags) as tunnel:
        tunnel.wait_ready()
        stream, status = connect("client", echo)
        assert status.startswith("HTTP/1.1 200")
        stream.sendall(b"hello" * 1000)
        back = b""
        while len(back) < 5000:
            back += stream.recv(5000)
        assert back == b"hello" * 1000
        stream.close()
        stream, status = connect("client", "127.0.0.1:1")
        assert status == "HTTP/1.1 502 Bad Gateway"
        for certificate in (None, "stranger"):
            with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
                connect(certificate, echo)


def test_agent_of_another_authority_is_refused(pki, tmp_path):
    with Tunnel(pki, tmp_path, f"--uds-name={tmp_path}/s", "--server-port=0", agent="stranger") as tunnel:
        time.sleep(2)
        assert tunnel.get(tunnel.health, "/readyz")[0] == 500
        assert tunnel.get(tunnel.agent_health, "/readyz")[0] == 503
        assert tunnel.get(tunnel.health, "/healthz") == (200, "ok")


def test_agent_keeps_to_its_destinations(client, pki, echo, tmp_path):
    with Tunnel(pki, tmp_path, f"--uds-name={tmp_path}/s", "--server-port=0", agent_flags=["--allow-destinations=10.0.0.0/8"]) as tunnel:
        tunnel.wait_ready()
        assert run(client, tmp_path / "s", echo, "fail", "--allow-destinations") == "ok"


def test_wrong_flags_are_told(pki):
    for flags, words in ((["--uds-name=/x"], "--server-port should be set to 0"), (["--uds-name=/x", "--server-port=0"], "--cluster-cert"),
                         (["--uds-name=/x", "--server-port=0", f"--cluster-cert={pki}/server.crt", f"--cluster-key={pki}/server.key"], "agents must authenticate"),
                         (["--mode=carrier-pigeon"], "--mode"), (["--proxy-strategies=nearest"], "")):
        result = subprocess.run([PROGRAM, "konnectivity-server", *flags], capture_output=True, text=True, timeout=20)
        assert result.returncode != 0 and words in result.stderr, result.stderr
