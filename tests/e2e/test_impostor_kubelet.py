"""Path apiserver-kubelet: who answers at a node's address and is not that node gets no request, and no credential of the API server."""
import http.server
import json
import re
import socket
import socketserver
import ssl
import threading

import pytest
from authorities import Authority
from servers import Server


def address_of_this_machine():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.connect(("203.0.113.1", 9))
        return s.getsockname()[0]


ADDRESS = address_of_this_machine()


class Kubelet:
    """Answers /healthz to any client certificate of the cluster's authority, with whatever certificate it was given."""

    def __init__(self, certificate, client_ca):
        self.asked = asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                subject = dict(pair[0] for pair in self.connection.getpeercert()["subject"])
                asked.append((self.path, subject["commonName"]))
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *_):
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        context.load_verify_locations(cadata=client_ca)
        context.verify_mode = ssl.CERT_REQUIRED

        class Quiet(http.server.ThreadingHTTPServer):
            def server_bind(self):
                """Without asking a name server for its own name."""
                socketserver.TCPServer.server_bind(self)
                self.server_name, self.server_port = self.server_address[:2]

            def handle_error(self, *_):
                """A client that leaves in the middle of the handshake is what is wanted."""

            def finish_request(self, request, client_address):
                with context.wrap_socket(request, server_side=True) as secure:
                    super().finish_request(secure, client_address)

        self.server = Quiet((ADDRESS, 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()

    def as_node(self, server, name):
        server.kubectl("delete", "node", name, "--ignore-not-found")
        admin = server.admin()
        made = admin.request("POST", "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
        assert made.status == 201, made
        status = {"status": {"addresses": [{"type": "InternalIP", "address": ADDRESS}], "daemonEndpoints": {"kubeletEndpoint": {"Port": self.server.server_port}}}}
        assert admin.request("PATCH", f"/api/v1/nodes/{name}/status", json.dumps(status), content_type="application/merge-patch+json").status == 200
        return admin.request("GET", f"/api/v1/nodes/{name}/proxy/healthz")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with Server(tmp_path_factory.mktemp("impostor")) as running:
        running.pki = running.data / "pki"
        running.ca = (running.pki / "ca.crt").read_text()
        yield running


def test_the_node_itself(server, tmp_path):
    certificate = Authority(tmp_path, "kubelet-ca", server.pki).leaf("system:node:n1", ["system:nodes"], [ADDRESS])
    with Kubelet(certificate, server.ca) as kubelet:
        answer = kubelet.as_node(server, "n1")
        assert (answer.status, answer.text) == (200, "ok")
        assert kubelet.asked == [("/healthz", "kube-apiserver-kubelet-client")]


@pytest.mark.parametrize("who, why", [
    ("self-made", "unknown authority"), ("of an authority of the same name", "unknown authority"),
    ("of the API server's authority", "unknown authority"), ("another node of the cluster", "not for \"system:node:n1\""),
    ("expired", "expired or is not yet valid"), ("not yet valid", "expired or is not yet valid|not yet valid"),
    ("a node's client certificate", "incompatible key usage|unsuitable|usage")])
def test_impostors(server, tmp_path, who, why):
    cluster = Authority(tmp_path, "kubelet-ca", server.pki)
    certificate = {
        "self-made": lambda: Authority(tmp_path, "mine").leaf("system:node:n1", ["system:nodes"], [ADDRESS]),
        "of an authority of the same name": lambda: Authority(tmp_path, "kubernetes-kubelet-serving").leaf("system:node:n1", ["system:nodes"], [ADDRESS]),
        "of the API server's authority": lambda: Authority(tmp_path, "ca", server.pki).leaf("system:node:n1", ["system:nodes"], [ADDRESS]),
        "another node of the cluster": lambda: cluster.leaf("system:node:n2", ["system:nodes"], [ADDRESS]),
        "expired": lambda: cluster.leaf("system:node:n1", ["system:nodes"], [ADDRESS], starts=-7200, ends=-3600),
        "not yet valid": lambda: cluster.leaf("system:node:n1", ["system:nodes"], [ADDRESS], starts=3600, ends=7200),
        "a node's client certificate": lambda: cluster.leaf("system:node:n1", ["system:nodes"], [ADDRESS], server=False),
    }[who]()
    with Kubelet(certificate, server.ca) as kubelet:
        answer = kubelet.as_node(server, "n1")
        assert answer.status == 502 and re.search(why, answer.text.replace("\\", "")), answer
        assert kubelet.asked == []


def test_an_authority_of_ones_own_by_flag(tmp_path):
    own = Authority(tmp_path, "kubelets")
    with Server(tmp_path / "s", "--kubelet-certificate-authority", own.file) as server:
        server.pki, server.ca = server.data / "pki", (server.data / "pki" / "ca.crt").read_text()
        # Of such an authority, the address must be the certificate's; the name is its administrator's affair.
        with Kubelet(own.leaf("somehost", addresses=[ADDRESS]), server.ca) as kubelet:
            assert kubelet.as_node(server, "n1").text == "ok"
        with Kubelet(own.leaf("somehost", addresses=["192.0.2.1"]), server.ca) as kubelet:
            assert kubelet.as_node(server, "n1").status == 502 and kubelet.asked == []
        with Kubelet(Authority(tmp_path, "kubelet-ca", server.pki).leaf("system:node:n1", addresses=[ADDRESS]), server.ca) as kubelet:
            assert kubelet.as_node(server, "n1").status == 502 and kubelet.asked == []
