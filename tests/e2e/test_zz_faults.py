"""What a fault may not lose, and what `./dev down` may not leave. Last by name: these stop and start the cluster."""
import concurrent.futures
import json
import os
import signal
import subprocess
import time

from conftest import KUBECONFIG, ROOT, Cluster


def redoubt_pid():
    return int((ROOT / ".dev" / "redoubt.pid").read_text())


def test_kill_in_the_middle_of_a_thousand_creates(cluster, namespace, make_pod):
    make_pod("survivor", "sleep 100000")
    started = cluster.json("-n", namespace, "get", "pod", "survivor")["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
    watch = subprocess.Popen(["kubectl", "-n", namespace, "get", "cm", "-w", "-o", "name"], stdout=subprocess.PIPE, text=True,
                             env=dict(os.environ, KUBECONFIG=str(KUBECONFIG)))

    def create(batch):
        """Creates ten objects; returns the names that were acknowledged."""
        items = [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"c-{batch}-{i}"}} for i in range(10)]
        result = cluster.kubectl("-n", namespace, "create", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}), check=False)
        return [line.split()[0] for line in result.stdout.splitlines() if line.endswith("created")]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        batches = [pool.submit(create, b) for b in range(100)]
        while sum(b.done() for b in batches) < 30:
            time.sleep(0.01)
        os.kill(redoubt_pid(), signal.SIGKILL)
        acknowledged = {name for b in batches for name in b.result()}
    assert 200 < len(acknowledged) < 1000, "the kill must hit in the middle"
    subprocess.run(["./dev", "up"], cwd=ROOT, check=True, timeout=120, stdout=subprocess.DEVNULL)
    there = set(cluster.out("-n", namespace, "get", "cm", "-o", "name").split())
    assert acknowledged <= there, sorted(acknowledged - there)[:5]
    # The pod never stopped, and the server drives it again.
    status = cluster.eventually("the pod's status", lambda: cluster.json("-n", namespace, "get", "pod", "survivor")["status"])
    assert status["containerStatuses"][0]["state"]["running"]["startedAt"] == started
    assert status["containerStatuses"][0]["restartCount"] == 0
    cluster.eventually("exec, once the node's tunnel is up again",
                       lambda: cluster.kubectl("-n", namespace, "exec", "survivor", "--", "echo", "alive", check=False).stdout == "alive\n")
    watch.kill()


def test_watch_resumes_from_a_revision_before_the_restart(cluster, namespace):
    before = cluster.json("-n", namespace, "get", "cm")["metadata"]["resourceVersion"]
    cluster.kubectl("-n", namespace, "create", "configmap", "between")
    os.kill(redoubt_pid(), signal.SIGKILL)
    subprocess.run(["./dev", "up"], cwd=ROOT, check=True, timeout=120, stdout=subprocess.DEVNULL)
    path = f"/api/v1/namespaces/{namespace}/configmaps?watch=1&timeoutSeconds=3&resourceVersion={before}"
    events = [json.loads(line) for line in cluster.out("get", "--raw", path).splitlines()]
    assert [e["object"]["metadata"]["name"] for e in events if e["type"] == "ADDED" and e["object"]["metadata"]["name"] != "kube-root-ca.crt"] == ["between"]


def left_over():
    """What of the cluster can still be seen on this machine."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            command = open(f"/proc/{pid}/cmdline").read()
        except OSError:
            continue
        if str(ROOT / ".dev") in command or str(ROOT / "build/release/redoubt") in command:
            found.append(command.replace("\0", " "))
    found += [line for line in open("/proc/mounts") if str(ROOT / ".dev") in line or "/run/netns/cni-" in line]
    found += [l for l in subprocess.run(["ip", "-o", "link"], capture_output=True, text=True).stdout.splitlines() if "redoubt" in l or "veth" in l]
    found += [l for l in subprocess.run(["nft", "list", "tables"], capture_output=True, text=True).stdout.splitlines() if "redoubt" in l]
    found += [l for l in subprocess.run(["ip", "netns"], capture_output=True, text=True).stdout.splitlines() if l.startswith("cni-")]
    return found


def test_down_leaves_nothing_and_up_finds_the_data(cluster, namespace):
    cluster.kubectl("-n", namespace, "create", "configmap", "kept")
    subprocess.run(["./dev", "down"], cwd=ROOT, check=True, timeout=120)
    assert left_over() == []
    subprocess.run(["./dev", "up"], cwd=ROOT, check=True, timeout=180, stdout=subprocess.DEVNULL)
    assert Cluster().out("-n", namespace, "get", "cm", "kept", "-o", "name") == "configmap/kept"
