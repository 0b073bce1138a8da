"""Who did what is in the audit log, and nothing secret is: the default, a policy of one's own, and the webhook."""
import base64
import http.server
import json
import socket
import threading
import time

import pytest
from control_plane import ControlPlane

SECRET = "open-sesame-4711"


def events_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def find(events, **wanted):
    """Events with these members; dots in a name are given as __."""
    def value(event, name):
        for part in name.split("__"):
            event = event.get(part, {}) if isinstance(event, dict) else {}
        return event
    return [e for e in events if all(value(e, k) == v for k, v in wanted.items())]


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audit")
    plane = ControlPlane(folder, "--audit-log-path", folder / "audit.log")
    plane.audit = folder / "audit.log"
    yield plane
    plane.stop()


def test_a_write_is_in_the_log_when_kubectl_returns(plane):
    plane.out("create", "configmap", "c1", "--from-literal=a=b")
    (event,) = find(events_of(plane.audit), verb="create", objectRef__resource="configmaps", objectRef__name="c1")
    assert event["kind"] == "Event" and event["apiVersion"] == "audit.k8s.io/v1" and event["level"] == "Metadata"
    assert event["stage"] == "ResponseComplete" and event["responseStatus"]["code"] == 201
    assert event["sourceIPs"] == ["127.0.0.1"] and event["userAgent"].startswith("kubectl")
    assert "system:masters" in event["user"]["groups"]
    assert event["annotations"]["authorization.k8s.io/decision"] == "allow"
    assert "requestObject" not in event
    assert plane.audit.stat().st_mode & 0o777 == 0o600


def test_impersonation_names_both(plane):
    result = plane.kubectl("--as=ann", "--as-group=dev", "delete", "configmap", "kube-root-ca.crt", check=False)
    assert result.returncode != 0
    (event,) = find(events_of(plane.audit), verb="delete", impersonatedUser__username="ann")
    assert event["impersonatedUser"]["groups"] == ["dev", "system:authenticated"]
    assert event["user"]["username"] != "ann"
    assert event["responseStatus"]["code"] == 403 and event["responseStatus"]["reason"] == "Forbidden"
    assert event["annotations"]["authorization.k8s.io/decision"] == "forbid"


def test_no_secret_value_and_no_token_is_ever_in_it(plane):
    plane.out("create", "secret", "generic", "s1", f"--from-literal=password={SECRET}")
    plane.out("get", "secret", "s1", "-o", "json")
    plane.out("patch", "secret", "s1", "-p", json.dumps({"stringData": {"more": SECRET}}))
    plane.out("get", "secrets", "-A", "-o", "yaml")
    token = plane.out("create", "token", "default")
    plane.curl("/api/v1/secrets", "-H", f"Authorization: Bearer {token}")
    plane.curl("/api/v1/secrets", "-H", "Authorization: Bearer wrong-but-secret")
    plane.curl(f"/api/v1/secrets?access_token={token}")
    plane.out("delete", "secret", "s1")
    events = events_of(plane.audit)
    assert find(events, objectRef__resource="secrets", verb="get", objectRef__name="s1")
    assert find(events, objectRef__resource="serviceaccounts", objectRef__subresource="token", verb="create")
    assert find(events, objectRef__resource="secrets", verb="list", user__username="system:serviceaccount:default:default")
    text = plane.audit.read_text()
    for secret in (SECRET, base64.b64encode(SECRET.encode()).decode(), token, token.split(".")[2], "wrong-but-secret"):
        assert secret not in text


def test_who_is_refused_at_the_door_is_recorded_once(plane):
    before = len(events_of(plane.audit))
    code, _ = plane.curl("/api/v1/namespaces/default/secrets", "-H", "Authorization: Bearer nobodys")
    assert code == 401
    (event,) = events_of(plane.audit)[before:]
    assert event["stage"] == "ResponseStarted" and event["user"] == {} and event["responseStatus"]["code"] == 401
    assert event["responseStatus"]["message"] == "Authentication failed, attempted: bearer"


def test_a_quiet_cluster_writes_nothing(plane):
    plane.out("get", "--raw", "/readyz")
    time.sleep(2)
    before = len(events_of(plane.audit))
    plane.out("get", "--raw", "/healthz")
    plane.out("get", "pods")
    time.sleep(6)
    new = events_of(plane.audit)[before:]
    assert new == [], [(e["verb"], e["requestURI"], e["user"]["username"]) for e in new]


def test_the_audit_id_is_the_callers_or_a_new_one(plane):
    _, text = plane.curl("/api/v1/namespaces/default/secrets", "-H", "Audit-ID: from-the-proxy")
    assert "audit-id: from-the-proxy" in text.lower()
    assert find(events_of(plane.audit), auditID="from-the-proxy")
    _, text = plane.curl("/livez")
    assert len(text.lower().split("audit-id: ")[1].split()[0]) == 36


def test_ways_into_the_cluster_carry_their_path(plane):
    for request, path in (("/api/v1/nodes/nowhere/proxy/metrics", "apiserver-node"), ("/api/v1/namespaces/default/pods/nobody/proxy/", "apiserver-pod"),
                          ("/api/v1/namespaces/default/services/nothing/proxy/", "apiserver-service"),
                          ("/api/v1/namespaces/default/pods/nobody/log", "apiserver-kubelet")):
        plane.kubectl("get", "--raw", request, check=False)
        event = find(events_of(plane.audit), requestURI=request)[-1]
        assert event["annotations"]["redoubt.io/path"] == path
        assert event["stage"] == "ResponseComplete"


POLICY = """
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- level: RequestResponse
  resources:
  - group: ""
    resources: ["secrets"]
    resourceNames: ["watched"]
- level: RequestResponse
  omitManagedFields: true
"""


def test_a_policy_of_ones_own_decides_over_bodies_and_stages(tmp_path):
    (tmp_path / "policy.yaml").write_text(POLICY)
    log = tmp_path / "audit.log"
    plane = ControlPlane(tmp_path, "--audit-log-path", log, "--audit-policy-file", tmp_path / "policy.yaml")
    try:
        plane.out("create", "configmap", "c1", "--from-literal=a=b")
        (complete,) = find(events_of(log), verb="create", objectRef__resource="configmaps", objectRef__name="c1", stage="ResponseComplete")
        assert find(events_of(log), auditID=complete["auditID"], stage="RequestReceived")
        assert complete["requestObject"]["data"] == {"a": "b"} and complete["responseObject"]["metadata"]["uid"]
        assert "managedFields" not in complete["responseObject"]["metadata"]
        plane.out("create", "secret", "generic", "quiet", f"--from-literal=password={SECRET}")
        plane.out("get", "secret", "quiet", "-o", "yaml")
        token = plane.out("create", "token", "default")
        text = log.read_text()
        assert SECRET not in text and base64.b64encode(SECRET.encode()).decode() not in text and token not in text
        event = find(events_of(log), verb="get", objectRef__name="quiet", stage="ResponseComplete")[0]
        assert event["level"] == "Metadata" and "redoubt.io/bodies-withheld" in event["annotations"]
        # Who names it, gets it.
        plane.out("create", "secret", "generic", "watched", "--from-literal=password=asked-for")
        plane.out("get", "secret", "watched")
        event = find(events_of(log), verb="get", objectRef__name="watched", stage="ResponseComplete")[0]
        assert event["level"] == "RequestResponse" and event["responseObject"]
        watch = plane.out("get", "--raw", "/api/v1/namespaces/default/configmaps?watch=1&timeoutSeconds=1")
        assert "c1" in watch
        stages = [e["stage"] for e in find(events_of(log), verb="watch", objectRef__namespace="default") if "timeoutSeconds=1" in e["requestURI"]]
        assert stages == ["RequestReceived", "ResponseStarted", "ResponseComplete"]
    finally:
        plane.stop()
    (tmp_path / "policy.yaml").write_text(POLICY.replace("omitManagedFields: true", "omitManagedField: true"))
    said = plane.refuses("--audit-log-path", log, "--audit-policy-file", tmp_path / "policy.yaml")
    assert "policy.yaml" in said and 'unknown field "rules[1].omitManagedField"' in said


def test_the_webhook_gets_what_the_log_gets(tmp_path):
    bodies = []

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    (tmp_path / "webhook.kubeconfig").write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "w", "clusters": [{"name": "w", "cluster": {"server": f"http://127.0.0.1:{server.server_port}/a"}}],
        "users": [{"name": "w", "user": {}}], "contexts": [{"name": "w", "context": {"cluster": "w", "user": "w"}}]}))
    plane = ControlPlane(tmp_path, "--audit-webhook-config-file", tmp_path / "webhook.kubeconfig", "--audit-webhook-batch-max-wait", "1s")
    try:
        plane.out("create", "configmap", "c1")
        end = time.monotonic() + 20
        while not any(e.get("objectRef", {}).get("name") == "c1" for b in bodies for e in b["items"]):
            assert time.monotonic() < end
            time.sleep(0.1)
        assert all(b["kind"] == "EventList" and b["apiVersion"] == "audit.k8s.io/v1" for b in bodies)
    finally:
        plane.stop()
        server.shutdown()


def test_where_a_proxied_request_went_is_in_the_log(plane):
    """The path, and how far the backend was known."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_way:
        any_way.connect(("203.0.113.1", 9))
        address = any_way.getsockname()[0]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"here")

        def log_message(self, *args):
            pass
    backend = http.server.ThreadingHTTPServer((address, 0), Handler)
    threading.Thread(target=backend.serve_forever, daemon=True).start()
    plane.kubectl("apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "audited"}}))
    plane.out("patch", "node", "audited", "--subresource=status", "--type=merge", "-p",
              json.dumps({"status": {"addresses": [{"type": "InternalIP", "address": address}]}}))
    try:
        assert plane.out("get", "--raw", f"/api/v1/nodes/audited:{backend.server_port}/proxy/x") == "here"
    finally:
        backend.shutdown()
    (event,) = find(events_of(plane.audit), objectRef__resource="nodes", objectRef__subresource="proxy", stage="ResponseComplete",
                    objectRef__name=f"audited:{backend.server_port}")
    assert event["annotations"]["redoubt.io/path"] == "apiserver-node"
    assert event["annotations"]["redoubt.io/proxy-verification"].startswith("plaintext; way=direct")
