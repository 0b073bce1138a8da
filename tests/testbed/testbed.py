"""A cluster on the test network: a control-plane host, nodes with a containerd of their own, all of it real programs.

    bed = Testbed(folder)                 # network, router, control plane
    node = bed.add_node("n1")             # another machine; nat=True: nobody reaches it
    bed.kubectl("get", "nodes")
    capture = bed.network.capture(); ...; assert not capture.stop().contains(marker)
    bed.close()
"""
import base64
import hashlib
import json
import os
import secrets
import subprocess
from pathlib import Path

from network import Network, sh, wait

ROOT = Path(__file__).resolve().parents[2]
BUSYBOX, PAUSE = "redoubt.test/busybox:1", "redoubt.test/pause:1"


def binary():
    if "REDOUBT_BINARY" in os.environ:
        return Path(os.environ["REDOUBT_BINARY"])
    return ROOT / "build" / os.environ.get("REDOUBT_PRESET", "release") / "redoubt"


def images(folder):
    """The archives of the test images, made from this machine's files."""
    folder.mkdir(parents=True, exist_ok=True)
    make, pause, busybox = ROOT / "tools/images/make-image.py", folder / "pause.tar", folder / "busybox.tar"
    if not pause.exists():
        sh("gcc", "-static", "-Os", "-o", folder / "pause", ROOT / "tools/images/pause.c")
        sh("/usr/bin/python3", make, pause, PAUSE, "--entrypoint", '["/pause"]', f"{folder / 'pause'}=pause")
    if not busybox.exists():
        sh("/usr/bin/python3", make, busybox, BUSYBOX, "--cmd", '["sh"]', "/bin/busybox=@busybox")
    return [pause, busybox]


class Node:
    """A machine that runs `redoubt agent`."""

    def __init__(self, bed, host, flags):
        self.bed, self.host, self.name, self.flags = bed, host, host.name, flags
        self.folder = bed.folder / host.name
        self.agent = None

    @property
    def socket(self):
        return self.folder / "run/containerd/containerd.sock"

    @property
    def pki(self):
        return self.folder / "data/kubelet/pki"

    def start(self, wait_ready=True, env=None):
        token, ca_hash = self.bed.bootstrap_token(), self.bed.ca_hash()
        self.agent = self.host.start(
            binary(), "agent", "--server", self.bed.server_url, "--token", token, "--discovery-token-ca-cert-hash", ca_hash,
            "--hostname-override", self.name, "--node-ip", self.host.ip, "--data-dir", self.folder / "data", "--run-dir", self.folder / "run",
            "--pod-logs-dir", self.folder / "logs", "--manage-containerd", "--pod-infra-container-image", PAUSE, *self.flags,
            log=self.folder / "agent.log", env=env)
        if wait_ready:
            self.load_images()
            self.bed.wait_ready(self.name)
        return self

    def load_images(self):
        def imported():
            assert self.agent.running(), f"the agent ended: {self.agent.tail()}"
            if not self.socket.exists():
                return False
            done = [subprocess.run(["ctr", "-a", self.socket, "-n", "k8s.io", "images", "import", archive], capture_output=True).returncode
                    for archive in images(self.bed.folder / "images")]
            return not any(done)
        wait(imported, 60, f"containerd of {self.name}")

    def stop(self):
        self.agent.stop()

    def reset(self):
        sh("nsenter", f"--net=/run/netns/{self.host.netns}", binary(), "reset", "--data-dir", self.folder / "data", "--run-dir", self.folder / "run",
           check=False, timeout=90)


class Testbed:
    __test__ = False  # no test class, whatever its name

    def __init__(self, folder, server_flags=()):
        self.folder = Path(folder)
        if not binary().exists():
            raise RuntimeError(f"{binary()} is not there: build it first (REDOUBT_PRESET says which)")
        self.network = Network(self.folder)
        self.nodes = {}
        self.control_plane = self.network.add_host("cp")
        self.server_url = f"https://{self.control_plane.ip}:6443"
        self.server_flags = list(server_flags)
        self.data = self.folder / "cp/data"
        self.kubeconfig = self.folder / "cp/admin.kubeconfig"
        self.start_server()

    # ---- the control plane ----

    def start_server(self):
        self.server = self.control_plane.start(
            binary(), "server", "--data-dir", self.data, "--advertise-address", self.control_plane.ip, "--write-kubeconfig", self.kubeconfig,
            "--node-address-allow", "10.77.0.0/16", *self.server_flags, log=self.folder / "cp/server.log")

        def ready():
            assert self.server.running(), f"the server ended: {self.server.tail()}"
            return self.kubeconfig.exists() and self.kubectl("get", "--raw", "/readyz", check=False).returncode == 0
        wait(ready, 60, "the API server")

    def kubectl(self, *args, check=True, timeout=60, input=None, host=None):
        """kubectl on the control-plane host (or another one); its admin kubeconfig names the server's own address."""
        host = host or self.control_plane
        command = ["nsenter", f"--net=/run/netns/{host.netns}", "kubectl", "--kubeconfig", str(self.kubeconfig), *map(str, args)]
        result = subprocess.run(command, text=True, capture_output=True, timeout=timeout, input=input)
        if check and result.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(map(str, args))} exited {result.returncode}\n{result.stdout}\n{result.stderr}")
        return result

    def popen_kubectl(self, *args, **kwargs):
        command = ["nsenter", f"--net=/run/netns/{self.control_plane.netns}", "kubectl", "--kubeconfig", str(self.kubeconfig), *map(str, args)]
        return subprocess.Popen(command, **kwargs)

    def out(self, *args, **kwargs):
        return self.kubectl(*args, **kwargs).stdout.strip()

    def json(self, *args):
        return json.loads(self.out(*args, "-o", "json"))

    def apply(self, *objects):
        self.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))

    def metric(self, name, **labels):
        """The sum of the server's metric over all series that carry these labels."""
        total = 0.0
        for line in self.out("get", "--raw", "/metrics").splitlines():
            if line.startswith(name + "{") or line.startswith(name + " "):
                if all(f'{k}="{v}"' in line for k, v in labels.items()):
                    total += float(line.rsplit(" ", 1)[1])
        return total

    def bootstrap_token(self):
        token_id, secret = secrets.token_hex(3), secrets.token_hex(8)
        self.apply({"apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token",
                    "metadata": {"name": f"bootstrap-token-{token_id}", "namespace": "kube-system"},
                    "stringData": {"token-id": token_id, "token-secret": secret, "usage-bootstrap-authentication": "true"}})
        return f"{token_id}.{secret}"

    def ca_hash(self):
        """sha256:HEX of the cluster CA's public key, as joining nodes pin it."""
        pem = sh("openssl", "x509", "-in", self.data / "pki/ca.crt", "-noout", "-pubkey")
        der = base64.b64decode("".join(line for line in pem.splitlines() if "-----" not in line))
        return "sha256:" + hashlib.sha256(der).hexdigest()

    # ---- nodes and what runs on them ----

    def add_node(self, name, nat=False, flags=(), start=True, env=None):
        node = Node(self, self.network.add_host(name, nat), list(flags))
        self.nodes[name] = node
        return node.start(env=env) if start else node

    def wait_ready(self, name, seconds=60):
        path = '{.status.conditions[?(@.type=="Ready")].status}'
        wait(lambda: self.kubectl("get", "node", name, "-o", f"jsonpath={path}", check=False).stdout == "True", seconds, f"node {name} Ready")

    def pod(self, name, command, node, ports=(), mounts=None, **spec):
        """Runs a busybox pod on a node and waits until it is Ready. `mounts`: paths in the pod, and whose they are on the node, read-only."""
        container = {"name": "c", "image": BUSYBOX, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", command],
                     "ports": [{"containerPort": p} for p in ports]}
        if mounts:
            container["volumeMounts"] = [{"name": f"m{i}", "mountPath": path, "readOnly": True} for i, path in enumerate(mounts)]
            spec["volumes"] = [{"name": f"m{i}", "hostPath": {"path": path}} for i, path in enumerate(mounts.values())]
        self.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
                    "spec": {"nodeName": node, "terminationGracePeriodSeconds": 1, "containers": [container], **spec}})
        self.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s", timeout=90)
        return self.json("get", "pod", name)

    def close(self):
        for node in self.nodes.values():
            if node.agent:
                node.stop()
        for node in self.nodes.values():
            node.reset()
        self.server.stop()
        self.network.close()
