"""One cluster for all end-to-end tests: what `./dev up` starts, driven with the real kubectl, taken down at the end."""
import json
import os
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
KUBECONFIG = ROOT / ".dev" / "admin.kubeconfig"


class Cluster:
    """Commands against the cluster. Every call has a deadline, so that a hang is a failure."""

    def run(self, *args, input=None, check=True, timeout=60):
        env = dict(os.environ, KUBECONFIG=str(KUBECONFIG))
        result = subprocess.run(args, input=input, text=True, capture_output=True, timeout=timeout, env=env, cwd=ROOT)
        if check and result.returncode != 0:
            raise AssertionError(f"{' '.join(args)} exited {result.returncode}\n{result.stdout}\n{result.stderr}")
        return result

    def kubectl(self, *args, input=None, check=True, timeout=60):
        return self.run("kubectl", *args, input=input, check=check, timeout=timeout)

    def out(self, *args, **kwargs):
        return self.kubectl(*args, **kwargs).stdout.strip()

    def json(self, *args):
        return json.loads(self.out(*args, "-o", "json"))

    def apply(self, text):
        return self.out("apply", "-f", "-", input=text)

    def fails(self, *args, input=None, timeout=60):
        """Runs what must fail; returns its standard error."""
        result = self.kubectl(*args, input=input, check=False, timeout=timeout)
        assert result.returncode != 0, f"kubectl {' '.join(args)} should have failed\n{result.stdout}"
        return result.stderr

    def eventually(self, what, condition, timeout=60):
        end = time.monotonic() + timeout
        while True:
            value = condition()
            if value:
                return value
            assert time.monotonic() < end, f"not within {timeout} s: {what}"
            time.sleep(0.2)


@pytest.fixture(scope="session")
def cluster():
    assert os.geteuid() == 0, "the end-to-end tests start containers: run them as root"
    subprocess.run(["./dev", "reset"], cwd=ROOT, check=True)
    subprocess.run(["./dev", "up"], cwd=ROOT, check=True, timeout=1800)
    yield Cluster()
    subprocess.run(["./dev", "down"], cwd=ROOT, check=True, timeout=300)


@pytest.fixture
def namespace(cluster, request):
    name = "t-" + request.node.name.lower().replace("_", "-").replace("[", "-").replace("]", "")[:50].strip("-")
    cluster.kubectl("delete", "namespace", name, "--ignore-not-found", "--timeout=60s", timeout=90)
    cluster.kubectl("create", "namespace", name)
    cluster.eventually("the default service account", lambda: cluster.kubectl("-n", name, "get", "sa", "default", check=False).returncode == 0)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def pod(name, command, **spec):
    """A one-container pod of the test image, as YAML (JSON is YAML)."""
    container = {"name": "c", "image": "redoubt.test/busybox:1", "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", command]}
    container.update(spec.pop("container", {}))
    body = {"terminationGracePeriodSeconds": 1, "containers": [container]}
    body.update(spec)
    return json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}}, "spec": body})


@pytest.fixture
def make_pod(cluster, namespace):
    """Creates a pod and waits until it is Ready (or for another condition; None: does not wait)."""
    def make(name, command, wait="condition=Ready", **spec):
        cluster.kubectl("-n", namespace, "apply", "-f", "-", input=pod(name, command, **spec))
        if wait:
            cluster.kubectl("-n", namespace, "wait", f"--for={wait}", f"pod/{name}", "--timeout=60s", timeout=90)
        return name
    return make
