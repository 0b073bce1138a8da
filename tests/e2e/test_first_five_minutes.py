"""What the README promises: up, a Deployment, its logs, a command inside."""
import subprocess

from conftest import ROOT


def test_up_again_is_quick_and_changes_nothing(cluster):
    before = cluster.json("get", "node")["items"][0]["metadata"]["uid"]
    result = subprocess.run(["./dev", "up"], cwd=ROOT, check=True, capture_output=True, text=True, timeout=60)
    assert "already running" in result.stdout
    assert cluster.json("get", "node")["items"][0]["metadata"]["uid"] == before


def test_hello_example(cluster):
    cluster.kubectl("apply", "-f", "examples/hello.yaml")
    cluster.kubectl("wait", "--for=condition=Available", "deploy/hello", "--timeout=60s", timeout=90)
    assert cluster.out("logs", "deploy/hello") == "Hello from a pod behind verified paths"
    assert "uid=0(root)" in cluster.out("exec", "deploy/hello", "--", "id")
    cluster.kubectl("delete", "-f", "examples/hello.yaml", "--timeout=60s", timeout=90)
    cluster.eventually("the pods to be gone", lambda: not cluster.json("get", "pods", "-l", "app=hello")["items"])


def test_version_nodes_and_discovery(cluster):
    assert "Server Version: v1.35" in cluster.out("version")
    nodes = cluster.out("get", "nodes")
    assert nodes.splitlines()[0].split() == ["NAME", "STATUS", "ROLES", "AGE", "VERSION"]
    assert " Ready " in nodes
    resources = cluster.out("api-resources")
    for line in ("pods", "deployments", "endpointslices", "clusterroles", "cronjobs", "ingresses", "customresourcedefinitions"):
        assert line in resources, line
    versions = cluster.out("api-versions").split()
    for version in ("v1", "apps/v1", "batch/v1", "rbac.authorization.k8s.io/v1", "networking.k8s.io/v1", "autoscaling/v2"):
        assert version in versions
    explained = cluster.out("explain", "pod.spec")
    assert "containers" in explained and "-required-" in explained and "List of containers" in explained
