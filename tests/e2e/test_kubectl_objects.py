"""kubectl's commands on objects: create, apply, get, watch, describe, label, patch, delete, and their errors."""
import ipaddress
import json
import os
import select
import subprocess
import time

OBJECTS = """
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {colour: blue}
---
apiVersion: v1
kind: Secret
metadata: {name: password}
stringData: {value: hunter2}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: "redoubt.test/busybox:1"}]
"""


def test_apply_get_and_delete(cluster, namespace):
    out = cluster.out("-n", namespace, "apply", "-f", "-", input=OBJECTS)
    assert "deployment.apps/web created" in out and "service/web created" in out
    assert "unchanged" in cluster.out("-n", namespace, "apply", "-f", "-", input=OBJECTS)
    changed = cluster.out("-n", namespace, "apply", "-f", "-", input=OBJECTS.replace("blue", "red"))
    assert "configmap/settings configured" in changed
    assert cluster.json("-n", namespace, "get", "cm", "settings")["data"] == {"colour": "red"}
    assert cluster.json("-n", namespace, "get", "secret", "password")["data"] == {"value": "aHVudGVyMg=="}
    service = cluster.json("-n", namespace, "get", "svc", "web")
    assert ipaddress.ip_address(service["spec"]["clusterIP"]) in ipaddress.ip_network("10.96.0.0/12")
    assert service["spec"]["type"] == "ClusterIP"
    table = cluster.out("-n", namespace, "get", "deploy,svc")
    assert "READY" in table and "0/0" in table and "CLUSTER-IP" in table
    assert "web" in cluster.out("-n", namespace, "get", "all")
    cluster.kubectl("-n", namespace, "delete", "deploy/web", "svc/web", "cm/settings", "--timeout=30s")
    assert cluster.fails("-n", namespace, "get", "cm", "settings") == \
        'Error from server (NotFound): configmaps "settings" not found\n'


def test_errors_read_as_users_know_them(cluster, namespace):
    assert cluster.fails("-n", namespace, "get", "pod", "x") == 'Error from server (NotFound): pods "x" not found\n'
    assert cluster.fails("-n", namespace, "get", "deploy", "x") == \
        'Error from server (NotFound): deployments.apps "x" not found\n'
    cluster.kubectl("-n", namespace, "create", "configmap", "a")
    assert 'Error from server (AlreadyExists)' in cluster.fails("-n", namespace, "create", "configmap", "a") or \
        'error: failed to create configmap: configmaps "a" already exists' in cluster.fails("-n", namespace, "create", "configmap", "a")
    assert 'the server doesn\'t have a resource type "nonsense"' in cluster.fails("get", "nonsense")
    assert 'namespaces "nowhere" not found' in cluster.fails("-n", "nowhere", "create", "configmap", "a")
    forbidden = cluster.fails("-n", namespace, "get", "pods", "--as=somebody")
    assert f'pods is forbidden: User "somebody" cannot list resource "pods" in API group "" in the namespace "{namespace}"' in forbidden


def test_label_annotate_patch_and_scale(cluster, namespace):
    cluster.kubectl("-n", namespace, "apply", "-f", "-", input=OBJECTS)
    cluster.kubectl("-n", namespace, "label", "cm/settings", "tier=front")
    cluster.kubectl("-n", namespace, "annotate", "cm/settings", "note=hello")
    assert cluster.out("-n", namespace, "get", "cm", "-l", "tier=front", "-o", "name") == "configmap/settings"
    assert cluster.out("-n", namespace, "get", "cm", "-l", "tier!=front,tier", "-o", "name") == ""
    assert "password" in cluster.out("-n", namespace, "get", "secret", "--field-selector", "metadata.name=password")
    cluster.kubectl("-n", namespace, "patch", "cm/settings", "-p", '{"data":{"a":"1"}}')
    cluster.kubectl("-n", namespace, "patch", "cm/settings", "--type=merge", "-p", '{"data":{"b":"2","a":null}}')
    cluster.kubectl("-n", namespace, "patch", "cm/settings", "--type=json", "-p", '[{"op":"add","path":"/data/c","value":"3"}]')
    assert cluster.json("-n", namespace, "get", "cm", "settings")["data"] == {"colour": "blue", "b": "2", "c": "3"}
    # A strategic merge finds the container by its name and keeps the rest of it.
    cluster.kubectl("-n", namespace, "patch", "deploy/web", "-p",
                    '{"spec":{"template":{"spec":{"containers":[{"name":"web","command":["sleep","1"]}]}}}}')
    container = cluster.json("-n", namespace, "get", "deploy", "web")["spec"]["template"]["spec"]["containers"][0]
    assert container["image"] == "redoubt.test/busybox:1" and container["command"] == ["sleep", "1"]
    generation = cluster.json("-n", namespace, "get", "deploy", "web")["metadata"]["generation"]
    assert generation == 2
    cluster.kubectl("-n", namespace, "scale", "deploy/web", "--replicas=0")
    assert cluster.json("-n", namespace, "get", "deploy", "web")["metadata"]["generation"] == generation


def test_edit_with_an_editor(cluster, namespace):
    cluster.kubectl("-n", namespace, "apply", "-f", "-", input=OBJECTS)
    result = cluster.run("env", "KUBE_EDITOR=sed -i s/blue/green/", "kubectl", "-n", namespace, "edit", "cm/settings")
    assert "edited" in result.stdout
    assert cluster.json("-n", namespace, "get", "cm", "settings")["data"]["colour"] == "green"


def test_watch_sees_changes_in_order(cluster, namespace):
    from conftest import KUBECONFIG
    watch = subprocess.Popen(["kubectl", "-n", namespace, "get", "cm", "-w", "--output-watch-events", "-o", "json"],
                             stdout=subprocess.PIPE, env=dict(os.environ, KUBECONFIG=str(KUBECONFIG)))
    try:
        time.sleep(1)
        cluster.kubectl("-n", namespace, "create", "configmap", "seen", "--from-literal=n=1")
        cluster.kubectl("-n", namespace, "patch", "cm/seen", "-p", '{"data":{"n":"2"}}')
        cluster.kubectl("-n", namespace, "delete", "cm/seen")
        decoder, text, events = json.JSONDecoder(), "", []
        end = time.monotonic() + 20
        while time.monotonic() < end and not (events and events[-1][0] == "DELETED"):
            if select.select([watch.stdout], [], [], 0.1)[0]:
                text = (text + os.read(watch.stdout.fileno(), 65536).decode()).lstrip()
            while text:
                try:
                    event, used = decoder.raw_decode(text)
                except ValueError:
                    break
                text = text[used:].lstrip()
                if event["object"]["metadata"]["name"] == "seen":
                    events.append((event["type"], event["object"]["data"]["n"]))
        assert events == [("ADDED", "1"), ("MODIFIED", "2"), ("DELETED", "2")]
    finally:
        watch.kill()


def test_describe_and_dry_run(cluster, namespace):
    cluster.kubectl("-n", namespace, "apply", "-f", "-", input=OBJECTS)
    described = cluster.out("-n", namespace, "describe", "deploy/web")
    assert "StrategyType:           RollingUpdate" in described and "redoubt.test/busybox:1" in described
    assert "colour" in cluster.out("-n", namespace, "describe", "cm/settings")
    cluster.kubectl("-n", namespace, "create", "configmap", "ghost", "--dry-run=server")
    cluster.fails("-n", namespace, "get", "cm", "ghost")


def test_owner_references_collect_garbage(cluster, namespace):
    cluster.kubectl("-n", namespace, "apply", "-f", "-", input=OBJECTS)
    cluster.eventually("a replica set", lambda: cluster.out("-n", namespace, "get", "rs", "-o", "name"))
    cluster.kubectl("-n", namespace, "delete", "deploy/web")
    cluster.eventually("the replica set to be collected", lambda: not cluster.out("-n", namespace, "get", "rs", "-o", "name"))


def test_namespace_deletion_empties_it(cluster):
    cluster.kubectl("create", "namespace", "doomed")
    cluster.kubectl("-n", "doomed", "create", "configmap", "x")
    cluster.kubectl("delete", "namespace", "doomed", "--timeout=60s", timeout=90)
    assert 'namespaces "doomed" not found' in cluster.fails("get", "namespace", "doomed")
