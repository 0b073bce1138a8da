"""Servers and nodes of a test's own: `redoubt server`, `redoubt join` and `redoubt agent` with their own folders, ports and flags."""
import base64
import http.client
import json
import os
import socket
import ssl
import subprocess
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
REDOUBT = Path(os.environ.get("REDOUBT_BINARY") or ROOT / "build" / os.environ.get("REDOUBT_PRESET", "release") / "redoubt")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def redoubt(*args, check=True, timeout=60, env=None):
    result = subprocess.run([str(REDOUBT), *map(str, args)], text=True, capture_output=True, timeout=timeout,
                            env=dict(os.environ, **(env or {})))
    if check and result.returncode != 0:
        raise AssertionError(f"redoubt {' '.join(map(str, args))} exited {result.returncode}\n{result.stdout}\n{result.stderr}")
    return result


def eventually(what, condition, timeout=60):
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"not within {timeout} s: {what}"
        time.sleep(0.1)


class Answer:
    def __init__(self, status, body):
        self.status = status
        self.text = body.decode(errors="replace")

    @property
    def json(self):
        return json.loads(self.text)

    def __repr__(self):
        return f"{self.status}: {self.text[:500]}"


class Caller:
    """HTTPS requests as one identity; a connection is kept while the identity stays the same."""

    def __init__(self, address, ca, certificate=None, key=None, token=None):
        self.address, self.token = address, token
        self.context = ssl.create_default_context(cadata=ca)
        if certificate:
            self.context.load_cert_chain(certificate, key)
        self.connection = None

    def request(self, method, path, body=None, headers=None, content_type="application/json", timeout=20):
        headers = dict(headers or {})
        if self.token:
            headers["Authorization"] = "Bearer " + self.token
        if body is not None:
            headers["Content-Type"] = content_type
            body = body if isinstance(body, (str, bytes)) else json.dumps(body)
        if self.connection is None:
            self.connection = http.client.HTTPSConnection(*self.address, context=self.context, timeout=timeout)
        try:
            self.connection.request(method, path, body=body, headers=headers)
            response = self.connection.getresponse()
            return Answer(response.status, response.read())
        except Exception:
            self.close()
            raise

    def close(self):
        if self.connection:
            self.connection.close()
            self.connection = None


class Server:
    """`redoubt server` in a folder of its own, until the end of the with block."""

    def __init__(self, folder, *flags, port=None, bind="127.0.0.1"):
        self.folder, self.flags, self.port, self.bind = Path(folder), [*map(str, flags)], port or free_port(), bind
        self.data = self.folder / "server"
        self.kubeconfig = self.data / "admin.kubeconfig"
        self.process = None

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}"

    def __enter__(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        self.log = open(self.folder / "server.log", "ab")
        self.process = subprocess.Popen(
            [str(REDOUBT), "server", "--data-dir", str(self.data), "--bind-address", self.bind, "--secure-port", str(self.port),
             *self.flags], stdout=self.log, stderr=self.log)
        try:
            eventually("the server answers", lambda: self.alive() and self.ready())
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def alive(self):
        assert self.process.poll() is None, (self.folder / "server.log").read_text()[-3000:]
        return True

    def ready(self):
        return self.kubeconfig.exists() and self.kubectl("get", "--raw", "/readyz", check=False).returncode == 0

    def kubectl(self, *args, input=None, check=True, timeout=60):
        result = subprocess.run(["kubectl", "--kubeconfig", str(self.kubeconfig), *args], input=input, text=True, capture_output=True,
                                timeout=timeout)
        if check and result.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(args)} exited {result.returncode}\n{result.stdout}\n{result.stderr}")
        return result

    def get(self, *args):
        return json.loads(self.kubectl("get", *args, "-o", "json").stdout)

    def redoubt(self, command, *args, **kwargs):
        """A people's command, as on the server itself."""
        return redoubt(command, "--data-dir", self.data, *args, env={"KUBECONFIG": ""}, **kwargs)

    def admin(self):
        """The administrator, by the kubeconfig as it is now."""
        config = yaml.safe_load(self.kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        # A file of the call's own: loads in several threads ask at once.
        with tempfile.NamedTemporaryFile(dir=self.folder, prefix="admin-", suffix=".pem") as pem:
            pem.write(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
            pem.flush()
            return Caller(("127.0.0.1", self.port), base64.b64decode(cluster["certificate-authority-data"]).decode(), pem.name)

    def token(self, *flags):
        return self.redoubt("token", "create", "--print-join-command=false", *flags).stdout.strip()

    def join_line(self, *flags):
        """The words of the line that `token create` prints, its address replaced by the one that the test reaches."""
        words = self.redoubt("token", "create", *flags).stdout.split()
        assert words[:2] == ["redoubt", "join"], words
        return [self.url, *words[3:]]

    def join(self, name, *flags, line=None, check=True, timeout=60):
        """A node's identity, without the node. Returns its folder, or the result when it may fail."""
        folder = self.folder / name
        result = redoubt("join", *(line or self.join_line()), "--identity-only", "--hostname-override", name, "--node-ip", "127.0.0.1",
                         "--data-dir", folder, *flags, check=check, timeout=timeout)
        return folder if check else result

    def node(self, name, ca=None):
        """A caller with the node's credential; `ca` instead of what it knew when it joined."""
        pki = self.folder / name / "kubelet" / "pki"
        return Caller(("127.0.0.1", self.port), ca or (pki / "ca.crt").read_text(), str(pki / "kubelet-client-current.pem"))


def refused(folder, *flags):
    """What the server says that must not start, with the data of a Server of this folder."""
    result = subprocess.run([str(REDOUBT), "server", "--data-dir", str(Path(folder) / "server"), "--bind-address", "127.0.0.1", "--secure-port",
                             str(free_port()), *map(str, flags)], capture_output=True, text=True, timeout=60)
    assert result.returncode != 0, "this should not have started"
    return result.stdout + result.stderr


def make_request(folder, name, subject, sans=()):
    """A key and a certificate request, as base64 of PEM."""
    folder = Path(folder)
    key, csr = folder / f"{name}.key", folder / f"{name}.csr"
    args = ["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", str(key), "-out", str(csr),
            "-subj", subject]
    if sans:
        args += ["-addext", "subjectAltName=" + ",".join(sans)]
    subprocess.run(args, check=True, capture_output=True)
    return base64.b64encode(csr.read_bytes()).decode()
