"""Controllers that need no node, or only a made-up one: namespaces, garbage, endpoints, node lifecycle."""
import concurrent.futures
import json
import time


def obj(api_version, kind, name, **rest):
    body = {"apiVersion": api_version, "kind": kind, "metadata": {"name": name}}
    body["metadata"].update(rest.pop("metadata", {}))
    body.update(rest)
    return body


def apply(cluster, namespace, *objects):
    cluster.kubectl("-n", namespace, "apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))


def owner(of, **more):
    return dict({"apiVersion": of["apiVersion"], "kind": of["kind"], "name": of["metadata"]["name"], "uid": of["metadata"]["uid"]}, **more)


def gone(cluster, namespace, *what):
    return cluster.kubectl("-n", namespace, "get", *what, check=False).returncode != 0


# ---- namespaces ----

def test_namespace_says_what_holds_it(cluster):
    cluster.kubectl("create", "namespace", "held")
    apply(cluster, "held", obj("v1", "ConfigMap", "stuck", metadata={"finalizers": ["example.com/hold"]}), obj("v1", "ConfigMap", "free"))
    cluster.kubectl("delete", "namespace", "held", "--wait=false")

    def conditions():
        return {c["type"]: c for c in cluster.json("get", "namespace", "held")["status"].get("conditions", [])}
    cluster.eventually("the condition", lambda: conditions().get("NamespaceFinalizersRemaining", {}).get("status") == "True")
    seen = conditions()
    assert seen["NamespaceContentRemaining"]["message"] == "Some resources are remaining: configmaps. has 1 resource instances"
    assert seen["NamespaceFinalizersRemaining"]["message"] == \
        "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances"
    assert seen["NamespaceDeletionContentFailure"]["status"] == "False"
    assert "because it is being terminated" in cluster.fails("-n", "held", "create", "configmap", "late")
    cluster.kubectl("-n", "held", "patch", "cm/stuck", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    cluster.eventually("the namespace to go", lambda: gone(cluster, "default", "namespace", "held"), timeout=60)


# ---- garbage ----

def test_background_deletion_takes_dependents_and_their_dependents(cluster, namespace):
    apply(cluster, namespace, obj("v1", "ConfigMap", "a"))
    a = cluster.json("-n", namespace, "get", "cm", "a")
    apply(cluster, namespace, obj("v1", "ConfigMap", "b", metadata={"ownerReferences": [owner(a)]}))
    b = cluster.json("-n", namespace, "get", "cm", "b")
    apply(cluster, namespace, obj("v1", "Secret", "c", metadata={"ownerReferences": [owner(b)]}))
    cluster.kubectl("-n", namespace, "delete", "cm", "a")
    cluster.eventually("b and c to be collected", lambda: gone(cluster, namespace, "cm", "b") and gone(cluster, namespace, "secret", "c"))


def test_foreground_deletion_waits_for_blocking_dependents(cluster, namespace):
    apply(cluster, namespace, obj("v1", "ConfigMap", "a"))
    a = cluster.json("-n", namespace, "get", "cm", "a")
    apply(cluster, namespace, obj("v1", "ConfigMap", "b", metadata={
        "ownerReferences": [owner(a, blockOwnerDeletion=True)], "finalizers": ["example.com/hold"]}))
    cluster.kubectl("-n", namespace, "delete", "cm", "a", "--cascade=foreground", "--wait=false")
    cluster.eventually("b to be deleted first", lambda: "deletionTimestamp" in cluster.json("-n", namespace, "get", "cm", "b")["metadata"])
    assert "foregroundDeletion" in cluster.json("-n", namespace, "get", "cm", "a")["metadata"]["finalizers"]
    cluster.kubectl("-n", namespace, "patch", "cm/b", "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    cluster.eventually("a to go after b", lambda: gone(cluster, namespace, "cm", "a"))


def test_orphans_stay(cluster, namespace):
    apply(cluster, namespace, obj("v1", "ConfigMap", "a"))
    a = cluster.json("-n", namespace, "get", "cm", "a")
    apply(cluster, namespace, obj("v1", "ConfigMap", "b", metadata={"ownerReferences": [owner(a)]}))
    cluster.kubectl("-n", namespace, "delete", "cm", "a", "--cascade=orphan")
    cluster.eventually("a to go", lambda: gone(cluster, namespace, "cm", "a"))
    time.sleep(1)
    assert "ownerReferences" not in cluster.json("-n", namespace, "get", "cm", "b")["metadata"]


def test_one_owner_of_two_is_enough(cluster, namespace):
    apply(cluster, namespace, obj("v1", "ConfigMap", "a"), obj("v1", "ConfigMap", "b"))
    a, b = (cluster.json("-n", namespace, "get", "cm", n) for n in "ab")
    apply(cluster, namespace, obj("v1", "ConfigMap", "c", metadata={"ownerReferences": [owner(a), owner(b)]}))
    cluster.kubectl("-n", namespace, "delete", "cm", "a")
    cluster.eventually("the lost owner to be struck off", lambda: [r["name"] for r in cluster.json(
        "-n", namespace, "get", "cm", "c")["metadata"].get("ownerReferences", [])] == ["b"])
    cluster.kubectl("-n", namespace, "delete", "cm", "b")
    cluster.eventually("c to be collected", lambda: gone(cluster, namespace, "cm", "c"))


def test_an_owner_in_another_namespace_is_none(cluster, namespace):
    a = cluster.json("-n", "default", "get", "svc", "kubernetes")
    apply(cluster, namespace, obj("v1", "ConfigMap", "stray", metadata={"ownerReferences": [owner(a)]}))
    cluster.eventually("it to be collected", lambda: gone(cluster, namespace, "cm", "stray"))
    cluster.eventually("the event", lambda: "OwnerRefInvalidNamespace" in cluster.out("-n", namespace, "get", "events"))


# ---- endpoints ----

def fake_pod(cluster, namespace, name, ip, ready=True, node=None, **spec):
    """A pod that no kubelet runs: bound to a node that is not there, its status written by hand."""
    body = {"nodeName": node or "made-up", "containers": [{"name": "c", "image": "x", "ports": [{"name": "http", "containerPort": 8080}]}],
            "tolerations": [{"operator": "Exists"}]}
    body.update(spec)
    apply(cluster, namespace, obj("v1", "Pod", name, metadata={"labels": {"app": "web"}}, spec=body))
    write_pod_status(cluster, namespace, name, ip, ready)


def write_pod_status(cluster, namespace, name, ip, ready):
    status = {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [{"type": "Ready", "status": "True" if ready else "False"}]}
    cluster.kubectl("-n", namespace, "patch", "pod", name, "--subresource=status", "--type=merge", "-p", json.dumps({"status": status}))


def slices(cluster, namespace, service):
    return cluster.json("-n", namespace, "get", "endpointslices", "-l", f"kubernetes.io/service-name={service}")["items"]


def addresses(cluster, namespace, service, ready=True):
    return sorted(e["addresses"][0] for s in slices(cluster, namespace, service) for e in s.get("endpoints") or []
                  if e["conditions"]["ready"] == ready)


def test_slices_follow_pods(cluster, namespace):
    apply(cluster, namespace, obj("v1", "Service", "web", metadata={"labels": {"team": "x"}},
                                  spec={"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": "http", "name": "http"}]}))
    cluster.eventually("an empty slice", lambda: len(slices(cluster, namespace, "web")) == 1)
    fake_pod(cluster, namespace, "one", "10.1.2.3")
    fake_pod(cluster, namespace, "two", "10.1.2.4", ready=False)
    cluster.eventually("the ready one", lambda: addresses(cluster, namespace, "web") == ["10.1.2.3"])
    cluster.eventually("the other", lambda: addresses(cluster, namespace, "web", ready=False) == ["10.1.2.4"])
    all_slices = slices(cluster, namespace, "web")
    assert len(all_slices) == 1
    labels = all_slices[0]["metadata"]["labels"]
    assert labels["endpointslice.kubernetes.io/managed-by"] == "endpointslice-controller.k8s.io" and labels["team"] == "x"
    assert all_slices[0]["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
    endpoint = [e for e in all_slices[0]["endpoints"] if e["addresses"] == ["10.1.2.3"]][0]
    assert endpoint["nodeName"] == "made-up" and endpoint["targetRef"]["name"] == "one"
    subsets = cluster.eventually("Endpoints", lambda: cluster.json("-n", namespace, "get", "endpoints", "web").get("subsets"))
    assert [a["ip"] for a in subsets[0]["addresses"]] == ["10.1.2.3"]
    write_pod_status(cluster, namespace, "two", "10.1.2.4", True)
    cluster.eventually("both", lambda: addresses(cluster, namespace, "web") == ["10.1.2.3", "10.1.2.4"])
    cluster.kubectl("-n", namespace, "delete", "pod", "one", "--grace-period=0", "--force")
    cluster.eventually("one left", lambda: addresses(cluster, namespace, "web") == ["10.1.2.4"])
    cluster.kubectl("-n", namespace, "delete", "svc", "web")
    cluster.eventually("all of it to go", lambda: not slices(cluster, namespace, "web") and gone(cluster, namespace, "endpoints", "web"))


def test_endpoints_without_a_selector_are_mirrored(cluster, namespace):
    apply(cluster, namespace, obj("v1", "Service", "outside", spec={"ports": [{"port": 80}]}),
          obj("v1", "Endpoints", "outside", subsets=[{"addresses": [{"ip": "192.0.2.7"}], "ports": [{"port": 8080}]}]))
    cluster.eventually("the mirror", lambda: addresses(cluster, namespace, "outside") == ["192.0.2.7"])
    assert slices(cluster, namespace, "outside")[0]["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] == \
        "endpointslicemirroring-controller.k8s.io"
    cluster.kubectl("-n", namespace, "patch", "endpoints", "outside", "--type=merge", "-p",
                    '{"subsets":[{"addresses":[{"ip":"192.0.2.8"}],"ports":[{"port":8080}]}]}')
    cluster.eventually("the mirror to follow", lambda: addresses(cluster, namespace, "outside") == ["192.0.2.8"])
    cluster.kubectl("-n", namespace, "delete", "endpoints", "outside")
    cluster.eventually("the mirror to go", lambda: not slices(cluster, namespace, "outside"))


def test_two_hundred_and_fifty_endpoints_make_three_slices(cluster, namespace):
    apply(cluster, namespace, obj("v1", "Service", "many", spec={"selector": {"app": "many"}, "ports": [{"port": 80}]}))
    pods = [obj("v1", "Pod", f"p{i}", metadata={"labels": {"app": "many"}}, spec={
        "nodeName": "held", "containers": [{"name": "c", "image": "x"}]}) for i in range(250)]
    # Without its Node, a pod is collected as soon as the controller is sure of that.
    apply(cluster, namespace, obj("v1", "Node", "held"), *pods)

    def write_status(i):
        cluster.kubectl("-n", namespace, "patch", "pod", f"p{i}", "--subresource=status", "--type=merge", "-p", json.dumps(
            {"status": {"phase": "Running", "podIP": f"10.9.0.{i + 1}", "podIPs": [{"ip": f"10.9.0.{i + 1}"}]}}))
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(write_status, range(250)))
    cluster.eventually("all of them", lambda: len(addresses(cluster, namespace, "many", ready=False)) == 250)
    assert len(slices(cluster, namespace, "many")) == 3
    before = {s["metadata"]["name"]: s["metadata"]["resourceVersion"] for s in slices(cluster, namespace, "many")}
    cluster.kubectl("-n", namespace, "patch", "pod", "p7", "--subresource=status", "--type=merge", "-p",
                    '{"status":{"conditions":[{"type":"Ready","status":"True"}]}}')
    cluster.eventually("one ready", lambda: addresses(cluster, namespace, "many") == ["10.9.0.8"])
    after = {s["metadata"]["name"]: s["metadata"]["resourceVersion"] for s in slices(cluster, namespace, "many")}
    assert sum(before[n] != after[n] for n in before) == 1, "one changed endpoint writes one slice"
    cluster.kubectl("delete", "node", "held")
    cluster.kubectl("-n", namespace, "delete", "pods", "--all", "--force", "--grace-period=0", "--wait=false")


# ---- nodes ----

def test_a_silent_node_loses_its_pods(cluster, namespace):
    cluster.apply(json.dumps(obj("v1", "Node", "silent")))
    try:
        ready = {"status": {"conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "m",
                                            "lastHeartbeatTime": "2026-01-01T00:00:00Z", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}}
        cluster.kubectl("patch", "node", "silent", "--subresource=status", "--type=merge", "-p", json.dumps(ready))
        fake_pod(cluster, namespace, "short", "10.1.2.5", node="silent", tolerations=[
            {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 3}])
        fake_pod(cluster, namespace, "staying", "10.1.2.6", node="silent")
        default = cluster.json("-n", namespace, "get", "pod", "short")["spec"]["tolerations"]
        assert {"key": "node.kubernetes.io/not-ready", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300} in default

        def node():
            return cluster.json("get", "node", "silent")

        def condition(kind):
            return next((c for c in node()["status"]["conditions"] if c["type"] == kind), {})
        cluster.eventually("Ready to become Unknown", lambda: condition("Ready").get("status") == "Unknown", timeout=90)
        assert condition("Ready")["reason"] == "NodeStatusUnknown"
        assert condition("Ready")["message"] == "Kubelet stopped posting node status."
        assert condition("MemoryPressure")["status"] == "Unknown"

        def taints():
            return {(t["key"], t["effect"]) for t in node()["spec"].get("taints", [])}
        cluster.eventually("both taints", lambda: {("node.kubernetes.io/unreachable", e) for e in ("NoSchedule", "NoExecute")} <= taints(), timeout=30)

        def pod(name):
            return cluster.json("-n", namespace, "get", "pod", name)
        cluster.eventually("the pods to be not ready", lambda: all(
            c["status"] == "False" for n in ("short", "staying") for c in pod(n)["status"]["conditions"] if c["type"] == "Ready"), timeout=30)
        cluster.eventually("one pod to be evicted", lambda: "deletionTimestamp" in pod("short")["metadata"], timeout=30)
        assert any(c["type"] == "DisruptionTarget" and c["reason"] == "DeletionByTaintManager" for c in pod("short")["status"]["conditions"])
        assert "deletionTimestamp" not in pod("staying")["metadata"]
        # Back again: taints off.
        ready["status"]["conditions"][0]["lastHeartbeatTime"] = "2026-01-02T00:00:00Z"
        cluster.kubectl("patch", "node", "silent", "--subresource=status", "--type=merge", "-p", json.dumps(ready))
        cluster.eventually("the taints to go", lambda: not taints(), timeout=30)
        # Gone: its pods go too.
        cluster.kubectl("delete", "node", "silent")
        cluster.eventually("pods of a node that is gone to go", lambda: gone(cluster, namespace, "pod", "staying") and
                           gone(cluster, namespace, "pod", "short"), timeout=180)
    finally:
        cluster.kubectl("delete", "node", "silent", "--ignore-not-found")


def test_cordon_and_pressure_become_taints(cluster):
    cluster.apply(json.dumps(obj("v1", "Node", "pressed")))
    try:
        cluster.kubectl("patch", "node", "pressed", "--subresource=status", "--type=merge", "-p", json.dumps({"status": {"conditions": [
            {"type": "Ready", "status": "True"}, {"type": "DiskPressure", "status": "True"}]}}))
        cluster.kubectl("cordon", "pressed")
        cluster.eventually("taints", lambda: {t["key"] for t in cluster.json("get", "node", "pressed")["spec"].get("taints", [])} ==
                           {"node.kubernetes.io/disk-pressure", "node.kubernetes.io/unschedulable"})
        cluster.kubectl("uncordon", "pressed")
        cluster.eventually("one taint", lambda: [t["key"] for t in cluster.json("get", "node", "pressed")["spec"].get("taints", [])] ==
                           ["node.kubernetes.io/disk-pressure"])
    finally:
        cluster.kubectl("delete", "node", "pressed")
