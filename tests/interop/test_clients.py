"""Third-party clients, unmodified: client-go and the Python client list, watch and create."""
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))
from conftest import KUBECONFIG, ROOT, cluster, namespace  # noqa: E402,F401


def test_client_go(cluster, namespace):  # noqa: F811
    """Lists, watches through an informer, creates, updates with a conflict, and deletes (tests/interop/clientgo)."""
    source = ROOT / "tests/interop/clientgo"
    work = ROOT / "build/interop/clientgo"
    work.mkdir(parents=True, exist_ok=True)
    build = subprocess.run(["go", "build", "-o", str(work / "clientgo"), "."], cwd=source, capture_output=True, text=True, timeout=900)
    assert build.returncode == 0, build.stderr
    result = subprocess.run([str(work / "clientgo"), namespace], env=dict(os.environ, KUBECONFIG=str(KUBECONFIG)), capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stdout.strip().endswith("ok")


def test_python_client(cluster, namespace):  # noqa: F811
    from kubernetes import client, config, watch
    from kubernetes.client.rest import ApiException
    config.load_kube_config(str(KUBECONFIG))
    core = client.CoreV1Api()
    seen = []

    def follow():
        for event in watch.Watch().stream(core.list_namespaced_config_map, namespace, timeout_seconds=10):
            if event["object"].metadata.name == "from-python":
                seen.append(event["type"])
                if event["type"] == "DELETED":
                    return
    follower = threading.Thread(target=follow)
    follower.start()
    body = client.V1ConfigMap(metadata=client.V1ObjectMeta(name="from-python", labels={"a": "b"}), data={"k": "v"})
    created = core.create_namespaced_config_map(namespace, body)
    assert created.metadata.uid and created.metadata.creation_timestamp
    with pytest.raises(ApiException) as error:
        core.create_namespaced_config_map(namespace, body)
    assert error.value.status == 409 and error.value.reason == "Conflict"
    assert [c.metadata.name for c in core.list_namespaced_config_map(namespace, label_selector="a=b").items] == ["from-python"]
    core.patch_namespaced_config_map("from-python", namespace, {"data": {"k": "w"}})
    assert core.read_namespaced_config_map("from-python", namespace).data == {"k": "w"}
    core.delete_namespaced_config_map("from-python", namespace)
    follower.join(15)
    assert seen == ["ADDED", "MODIFIED", "DELETED"]
    assert client.AppsV1Api().list_deployment_for_all_namespaces().items is not None
    assert client.VersionApi().get_code().major == "1"
