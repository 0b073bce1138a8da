"""Admission webhooks: a server of the test's own, called by URL over verified https."""
import base64
import http.server
import json
import ssl
import subprocess
import threading
import time

import pytest


class Hook:
    """An https server whose answers a test sets: `answer(request) -> response`."""

    def __init__(self, folder, namespace="none"):
        self.seen, self.answer, self.delay = [], lambda request: {"allowed": True}, 0
        run = lambda *args: subprocess.run(args, cwd=folder, check=True, capture_output=True)
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=hook",
            "-keyout", "key", "-out", "crt", "-addext", f"subjectAltName=IP:127.0.0.1,DNS:hook.{namespace}.svc")
        hook = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                review = json.loads(self.rfile.read(int(self.headers["content-length"])))
                hook.seen.append(review["request"])
                time.sleep(hook.delay)
                response = dict({"uid": review["request"]["uid"]}, **hook.answer(review["request"]))
                body = json.dumps({"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": response}).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args):
                pass
        self.server = http.server.ThreadingHTTPServer(("0.0.0.0", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "crt", folder / "key")
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.ca = base64.b64encode((folder / "crt").read_bytes()).decode()
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def configuration(self, kind, namespace, **changes):
        hook = {"name": "hook.redoubt.test", "admissionReviewVersions": ["v1"], "sideEffects": "None", "timeoutSeconds": 2,
                "clientConfig": {"url": f"https://127.0.0.1:{self.server.server_port}/", "caBundle": self.ca},
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "rules": [{"operations": ["CREATE", "UPDATE", "DELETE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}]}
        hook.update(changes)
        return json.dumps({"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": "t-" + kind.lower()}, "webhooks": [hook]})


@pytest.fixture
def hook(cluster, namespace, tmp_path):
    one = Hook(tmp_path, namespace)
    yield one
    for kind in ("mutatingwebhookconfiguration", "validatingwebhookconfiguration"):
        cluster.kubectl("delete", kind, "t-" + kind, "--ignore-not-found")
    one.server.shutdown()


def test_a_validating_webhook_denies_with_its_own_words(cluster, namespace, hook):
    cluster.apply(hook.configuration("ValidatingWebhookConfiguration", namespace))
    hook.answer = lambda r: {"allowed": r["operation"] != "CREATE" or "bad" not in r["object"].get("data", {}),
                             "warnings": ["mind the gap"], "status": {"code": 403, "message": "no bad keys here"}}
    done = cluster.kubectl("-n", namespace, "create", "configmap", "good", "--from-literal=a=b")
    assert "Warning: mind the gap" in done.stderr
    denied = cluster.fails("-n", namespace, "create", "configmap", "evil", "--from-literal=bad=1")
    assert 'admission webhook "hook.redoubt.test" denied the request: no bad keys here' in denied
    request = hook.seen[0]
    assert request["kind"] == {"group": "", "version": "v1", "kind": "ConfigMap"} and request["operation"] == "CREATE"
    assert request["userInfo"]["username"] and request["namespace"] == namespace and request["dryRun"] is False
    cluster.kubectl("-n", namespace, "delete", "configmap", "good")
    assert hook.seen[-1]["operation"] == "DELETE" and hook.seen[-1]["oldObject"]["data"] == {"a": "b"}


def test_a_mutating_webhook_changes_what_is_stored(cluster, namespace, hook):
    cluster.apply(hook.configuration("MutatingWebhookConfiguration", namespace))
    patch = base64.b64encode(json.dumps([{"op": "add", "path": "/metadata/labels", "value": {"touched": "yes"}}]).encode()).decode()
    hook.answer = lambda r: {"allowed": True, "patchType": "JSONPatch", "patch": patch} if r["operation"] == "CREATE" else {"allowed": True}
    cluster.kubectl("-n", namespace, "create", "configmap", "plain", "--from-literal=a=b")
    assert cluster.json("-n", namespace, "get", "configmap", "plain")["metadata"]["labels"] == {"touched": "yes"}
    cluster.kubectl("-n", namespace, "create", "configmap", "dry", "--from-literal=a=b", "--dry-run=server")
    assert hook.seen[-1]["dryRun"] is True


def test_failure_policy_decides_about_a_webhook_that_fails(cluster, namespace, hook):
    broken = {"clientConfig": {"url": "https://127.0.0.1:1/", "caBundle": hook.ca}}
    cluster.apply(hook.configuration("ValidatingWebhookConfiguration", namespace, **broken))
    refused = cluster.fails("-n", namespace, "create", "configmap", "a")
    assert 'failed calling webhook "hook.redoubt.test": failed to call webhook: Post "https://127.0.0.1:1/?timeout=2s"' in refused
    cluster.apply(hook.configuration("ValidatingWebhookConfiguration", namespace, failurePolicy="Ignore", **broken))
    cluster.kubectl("-n", namespace, "create", "configmap", "a")
    # Slower than its timeout: as good as down.
    hook.delay = 5
    cluster.apply(hook.configuration("ValidatingWebhookConfiguration", namespace, timeoutSeconds=1))
    began = time.monotonic()
    assert "failed calling webhook" in cluster.fails("-n", namespace, "create", "configmap", "b")
    assert time.monotonic() - began < 4


def test_a_webhook_with_another_certificate_is_not_asked(cluster, namespace, hook, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    impostor = Hook(other)
    cluster.apply(hook.configuration("ValidatingWebhookConfiguration", namespace,
                                     clientConfig={"url": f"https://127.0.0.1:{impostor.server.server_port}/", "caBundle": hook.ca}))
    assert "x509" in cluster.fails("-n", namespace, "create", "configmap", "a")
    assert impostor.seen == []
    impostor.server.shutdown()


def test_what_a_webhook_may_not_say(cluster, namespace, hook):
    for change, words in (({"matchConditions": [{"name": "x", "expression": "true"}]}, "evaluates no CEL"),
                          ({"sideEffects": "Some"}, "sideEffects"), ({"timeoutSeconds": 31}, "between 1 and 30"),
                          ({"clientConfig": {"url": "http://127.0.0.1/"}}, "https"), ({"clientConfig": {}}, "exactly one of"),
                          ({"name": "short"}, "at least three segments"), ({"admissionReviewVersions": ["v9"]}, "at least one of v1")):
        refused = cluster.kubectl("apply", "-f", "-", input=hook.configuration("ValidatingWebhookConfiguration", namespace, **change), check=False)
        assert refused.returncode != 0 and words in refused.stderr, (change, refused.stderr)


def test_a_webhook_behind_a_service(cluster, namespace, hook):
    """By its Service's endpoints, and only if its certificate is the Service's."""
    address = next(a["address"] for a in cluster.json("get", "nodes")["items"][0]["status"]["addresses"] if a["type"] == "InternalIP")
    cluster.apply(json.dumps({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "hook", "namespace": namespace},
                              "spec": {"ports": [{"port": 8443, "targetPort": hook.server.server_port}]}}))
    cluster.apply(json.dumps({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                              "metadata": {"name": "hook-x", "namespace": namespace, "labels": {"kubernetes.io/service-name": "hook"}},
                              "ports": [{"name": "", "port": hook.server.server_port, "protocol": "TCP"}],
                              "endpoints": [{"addresses": [address], "conditions": {"ready": True}}]}))
    service = {"service": {"namespace": namespace, "name": "hook", "path": "/check", "port": 8443}, "caBundle": hook.ca}
    cluster.apply(hook.configuration("ValidatingWebhookConfiguration", namespace, clientConfig=service))
    cluster.kubectl("-n", namespace, "create", "configmap", "a")
    assert [r["name"] for r in hook.seen] == ["a"]
    cluster.kubectl("-n", namespace, "delete", "endpointslice", "hook-x")
    assert "no endpoints available for service" in cluster.fails("-n", namespace, "create", "configmap", "b")


def test_what_a_webhook_adds_to_a_pod_is_completed(cluster, namespace, hook):
    """A sidecar that a webhook adds gets defaults and the account's token as if the client had sent it."""
    rules = [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}]
    cluster.apply(hook.configuration("MutatingWebhookConfiguration", namespace, rules=rules))
    sidecar = [{"op": "add", "path": "/spec/containers/-", "value": {"name": "side", "image": "redoubt.test/busybox:1", "command": ["sleep", "1000"]}}]
    hook.answer = lambda r: {"allowed": True, "patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(sidecar).encode()).decode()}
    cluster.kubectl("-n", namespace, "apply", "-f", "-", input=json.dumps(
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "two"}, "spec": {"containers": [{"name": "c", "image": "redoubt.test/busybox:1", "command": ["sleep", "1000"]}]}}))
    spec = cluster.json("-n", namespace, "get", "pod", "two")["spec"]
    assert [c["name"] for c in spec["containers"]] == ["c", "side"]
    assert spec["containers"][1]["terminationMessagePolicy"] == "File"
    mounts = [m["name"] for c in spec["containers"] for m in c["volumeMounts"]]
    assert len(mounts) == 2 and mounts[0] == mounts[1] and [v["name"] for v in spec["volumes"]] == mounts[:1]
    # The webhook saw what a client's defaults had made of the pod.
    assert hook.seen[0]["object"]["spec"]["restartPolicy"] == "Always"


def test_evictions_commands_and_scales_are_asked_about(cluster, namespace, hook, make_pod):
    make_pod("one", "sleep 1000")
    rules = [{"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["pods/exec", "pods/eviction", "deployments/scale"]}]
    cluster.apply(hook.configuration("ValidatingWebhookConfiguration", namespace, rules=rules))
    hook.answer = lambda r: {"allowed": False, "status": {"message": r["operation"] + " " + r["kind"]["kind"]}}
    assert "CONNECT PodExecOptions" in cluster.fails("-n", namespace, "exec", "one", "--", "true")
    assert hook.seen[-1]["object"]["command"] == ["true"]
    eviction = json.dumps({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "one", "namespace": namespace}})
    assert "CREATE Eviction" in cluster.fails("create", "--raw", f"/api/v1/namespaces/{namespace}/pods/one/eviction", "-f", "-", input=eviction)
    cluster.kubectl("-n", namespace, "create", "deployment", "d", "--image=redoubt.test/busybox:1", "--replicas=0")
    assert "UPDATE Scale" in cluster.fails("-n", namespace, "scale", "deployment", "d", "--replicas=2")
    assert cluster.json("-n", namespace, "get", "deployment", "d")["spec"]["replicas"] == 0
