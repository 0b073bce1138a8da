"""`redoubt paths`: a sound cluster raises no alarm; each broken one is found; the page is one file and for administrators only."""
import http.server
import json
import re
import ssl
import subprocess
import threading

import pytest
from conftest import KUBECONFIG, ROOT
from control_plane import REDOUBT, ControlPlane


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    plane = ControlPlane(tmp_path_factory.mktemp("paths"))
    yield plane
    plane.stop()


def paths(kubeconfig, data, *args, timeout=120):
    return subprocess.run([REDOUBT, "paths", "--kubeconfig", kubeconfig, "--data-dir", data, *args], text=True, capture_output=True, timeout=timeout,
                          stdin=subprocess.DEVNULL)


def report(plane, *args):
    result = paths(plane.kubeconfig, plane.data, "-o", "json", *args)
    assert result.returncode in (0, 1), result.stderr
    return json.loads(result.stdout)


def alarms(seen):
    return {(p["path"], f["id"], f["verdict"]) for p in seen["paths"] for f in p["findings"] if f["verdict"] in ("weak", "open")}


def test_a_sound_control_plane_raises_no_alarm_under_probes(plane):
    result = paths(plane.kubeconfig, plane.data, "--probe", "-o", "json", "--fail-on", "unknown")
    seen = json.loads(result.stdout)
    assert alarms(seen) == set()
    assert [p["path"] for p in seen["paths"] if p["verdict"] == "unknown"] == []
    assert result.returncode == 0
    done = {p["id"]: p for p in seen["probes"] if p["verdict"] == "secure"}
    # Here the authority's key is at hand, so that nothing is left out.
    for probe in ("apiserver-plain-http", "apiserver-old-tls", "apiserver-weak-suites", "apiserver-anonymous", "apiserver-self-signed-certificate",
                  "apiserver-wrong-token", "apiserver-expired-certificate", "apiserver-other-node", "under-privileged", "other-nodes-secrets"):
        assert probe in done, seen["probes"]
        assert done[probe]["did"] and done[probe]["saw"]


def test_probing_changes_nothing(plane):
    def state():
        return {k: [(i["metadata"].get("namespace"), i["metadata"]["name"], i["metadata"].get("labels")) for i in plane.json("get", k, "-A")["items"]]
                for k in ("secrets", "nodes", "clusterrolebindings", "serviceaccounts", "certificatesigningrequests")}
    before = state()
    assert paths(plane.kubeconfig, plane.data, "--probe").returncode == 0
    assert state() == before


def test_a_foreign_cluster_is_not_probed_without_leave(plane, tmp_path):
    refused = paths(plane.kubeconfig, tmp_path, "--probe")
    assert refused.returncode == 2 and "--yes" in refused.stderr
    seen = json.loads(paths(plane.kubeconfig, tmp_path, "--probe", "--yes", "-o", "json").stdout)
    left_out = {p["id"] for p in seen["probes"] if p["verdict"] == "unknown"}
    assert {"apiserver-expired-certificate", "apiserver-other-node"} <= left_out


def bind(subject, rules=None, role=None):
    objects = []
    if rules:
        role = "t-paths"
        objects.append({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": role}, "rules": rules})
    kind, *rest = subject.split(":", 1)
    name = rest[0]
    who = {"kind": kind, "name": name, "apiGroup": "rbac.authorization.k8s.io"}
    if kind == "ServiceAccount":
        ns, name = name.split("/")
        who = {"kind": kind, "name": name, "namespace": ns}
    objects.append({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "t-paths"}, "subjects": [who],
                    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}})
    return objects


def rule(verbs, resources):
    return [{"apiGroups": [""], "verbs": verbs, "resources": resources}]


BROKEN = {
    "anonymous": (bind("User:system:anonymous", rule(["get"], ["pods"])), ("client-apiserver", "anonymous-grant", "open")),
    "unauthenticated": (bind("Group:system:unauthenticated", role="view"), ("client-apiserver", "anonymous-grant", "open")),
    "anonymous-secrets": (bind("User:system:anonymous", rule(["list"], ["secrets"])), ("client-apiserver", "anonymous-allowed", "open")),
    "everybody": (bind("Group:system:authenticated", rule(["get", "list"], ["secrets"])), ("client-apiserver", "everybody-grant", "open")),
    "everybody-admin": (bind("Group:system:authenticated", role="cluster-admin"), ("client-apiserver", "always-allow", "open")),
    "impersonator": (bind("ServiceAccount:default/ci", rule(["impersonate"], ["users", "groups"])), ("client-apiserver", "impersonate-grant", "weak")),
    "nodes-admin": (bind("Group:system:nodes", role="cluster-admin"), ("kubelet-apiserver", "node-grant", "open")),
    "nodes-secrets": (bind("Group:system:nodes", rule(["get", "list"], ["secrets"])), ("kubelet-apiserver", "node-reads-secrets", "open")),
    "bootstrappers": (bind("Group:system:bootstrappers", role="cluster-admin"), ("kubelet-apiserver", "bootstrap-grant", "open")),
    "default-account": (bind("ServiceAccount:default/default", role="cluster-admin"), ("pod-apiserver", "default-account-grant", "open")),
    "service-accounts": (bind("Group:system:serviceaccounts", role="cluster-admin"), ("pod-apiserver", "everybody-grant", "open")),
    "scheduler": (bind("User:system:kube-scheduler", role="cluster-admin"), ("component-apiserver", "component-rights", "weak")),
    "kube-proxy": (bind("User:system:kube-proxy", rule(["list"], ["secrets"])), ("component-apiserver", "component-grant", "weak")),
    "legacy-token": ([{"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/service-account-token",
                       "metadata": {"name": "t-paths", "namespace": "default", "annotations": {"kubernetes.io/service-account.name": "default"}}}],
                     ("pod-apiserver", "legacy-tokens", "weak")),
}
# Of rights on nodes there has to be a node to ask about.
NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "t-paths"}}
BROKEN["nodes-proxy"] = (bind("ServiceAccount:default/metrics", rule(["get"], ["nodes/proxy"])) + [NODE], ("apiserver-node", "nodes-proxy-grant", "weak"))


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_cluster_is_found_and_a_mended_one_is_sound(plane, name):
    objects, expected = BROKEN[name]
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    plane.kubectl("apply", "-f", "-", input=text)
    try:
        seen = report(plane)
        assert expected in alarms(seen)
        finding = next(f for p in seen["paths"] for f in p["findings"] if (p["path"], f["id"], f["verdict"]) == expected)
        assert finding["advice"]
        result = paths(plane.kubeconfig, plane.data)
        assert result.returncode == (1 if expected[2] == "open" else 0)
        assert expected[1] in result.stdout
        assert paths(plane.kubeconfig, plane.data, "--fail-on", "weak").returncode == 1
    finally:
        plane.kubectl("delete", "--ignore-not-found", "-f", "-", input=text)
    assert alarms(report(plane)) == set()


class FakeKubelet:
    """An HTTPS server with a certificate of its own making that lets everybody in; and a plain one."""

    def __init__(self, folder, port=0, tls=True):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b'{"kind":"PodList","items":[]}')

            def log_message(self, *args):
                pass
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        if tls:
            key, crt = folder / "kubelet.key", folder / "kubelet.crt"
            subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", crt, "-days", "2",
                            "-subj", "/CN=t-paths@1764000000"], check=True, capture_output=True)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(crt, key)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def test_an_open_kubelet_with_a_certificate_of_its_own_is_found(plane, tmp_path):
    kubelet, read_only = FakeKubelet(tmp_path), FakeKubelet(tmp_path, 10255, tls=False)
    plane.kubectl("apply", "-f", "-", input=json.dumps(NODE))
    try:
        status = {"status": {"addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
                             "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet.port}}}}
        plane.kubectl("patch", "node", "t-paths", "--subresource=status", "--type=merge", "-p", json.dumps(status))
        result = paths(plane.kubeconfig, plane.data, "--probe", "-o", "json", "--node", "t-paths")
        found = alarms(json.loads(result.stdout))
        assert ("apiserver-kubelet", "kubelet-anonymous", "open") in found
        assert ("apiserver-kubelet", "kubelet-chain", "weak") in found
        assert ("apiserver-kubelet", "kubelet-self-signed-certificate", "open") in found
        assert ("apiserver-kubelet", "read-only-port", "open") in found
        assert result.returncode == 1
    finally:
        kubelet.stop()
        read_only.stop()
        plane.kubectl("delete", "node", "t-paths")


def test_what_is_wrong_is_said_with_status_2(plane, tmp_path):
    assert paths(plane.kubeconfig, plane.data, "--node", "nowhere").returncode == 2
    assert paths(tmp_path / "none", plane.data).returncode == 2
    assert paths(plane.kubeconfig, plane.data, "-o", "xml").returncode == 2
    unknown = subprocess.run([REDOUBT, "paths", "explain", "apiserver-moon"], text=True, capture_output=True, timeout=30)
    assert unknown.returncode == 2 and "apiserver-kubelet" in unknown.stderr


def test_the_table_is_plain_and_at_most_a_hundred_columns(plane):
    text = paths(plane.kubeconfig, plane.data).stdout
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 100
    assert "client-apiserver" in paths(plane.kubeconfig, plane.data, "-o", "yaml").stdout
    assert "AUTHORIZATION" in paths(plane.kubeconfig, plane.data, "-o", "wide").stdout


def test_explain_is_what_the_documents_say():
    def explained(*args):
        return subprocess.run([REDOUBT, "paths", "explain", *args], text=True, capture_output=True, timeout=30, check=True).stdout
    assert explained("all") == (ROOT / "docs/paths.md").read_text()
    assert explained("all", "--lang", "de") == (ROOT / "docs/paths.de.md").read_text()
    assert explained("evidence") == (ROOT / "docs/evidence.md").read_text()
    assert "Umkehrtunnel" in explained("tunnel-ssh", "--lang", "de") or "Host-Schlüssel" in explained("tunnel-ssh", "--lang", "de")


def test_watch_looks_again_until_it_is_ended(plane):
    process = subprocess.Popen([REDOUBT, "paths", "--kubeconfig", plane.kubeconfig, "--data-dir", plane.data, "--watch", "--interval", "1", "-o", "json"],
                               text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        first, second = json.loads(process.stdout.readline()), json.loads(process.stdout.readline())
        assert first["kind"] == second["kind"] == "PathReport"
        process.terminate()
        assert process.wait(30) == 0
    finally:
        process.kill()


def test_the_page_is_one_file_that_loads_nothing(plane, tmp_path):
    page = tmp_path / "paths.html"
    assert paths(plane.kubeconfig, plane.data, "--html", page).returncode == 0
    text = page.read_text()
    embedded = json.loads(re.search(r'<script type="application/json" id="report">(.*?)</script>', text, re.S)[1])
    assert embedded["kind"] == "PathReport"
    assert json.loads(re.search(r'<script type="application/json" id="live">(.*?)</script>', text, re.S)[1]) == ""
    without_names = text.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r'(src|href)\s*=|url\(|@import|https?://(?!127\.0\.0\.1)', without_names)


def test_the_served_page_is_for_administrators(plane):
    code, _ = plane.curl("/redoubt/paths")
    assert code == 401
    plane.kubectl("create", "serviceaccount", "t-visitor", "-n", "default")
    token = plane.out("create", "token", "t-visitor", "-n", "default")
    for path in ("/redoubt/paths", "/redoubt/paths/report.json", "/redoubt/paths/state"):
        assert plane.curl(path, "-H", f"Authorization: Bearer {token}")[0] == 403
    text = plane.out("get", "--raw", "/redoubt/paths")
    assert "<svg" not in text and 'id="map"' in text  # drawn by its own script
    assert json.loads(plane.out("get", "--raw", "/redoubt/paths/report.json"))["kind"] == "PathReport"
    admin = json.loads(plane.out("config", "view", "--raw", "-o", "json"))["users"][0]["user"]
    assert admin["client-certificate-data"]


def test_metrics_name_the_paths(plane):
    text = plane.out("get", "--raw", "/metrics")
    for series in ('redoubt_path_requests_total{path="client-apiserver",result="served"}', 'redoubt_path_requests_total{path="component-apiserver",result="served"}',
                   'redoubt_path_requests_inflight{path="component-apiserver"}', 'redoubt_path_request_duration_seconds_count{path="client-apiserver"}'):
        assert series in text


def test_a_whole_cluster_is_secure_under_probes(cluster):
    result = paths(KUBECONFIG, ROOT / ".dev/data", "--probe", "-o", "json", "--fail-on", "unknown", timeout=180)
    seen = json.loads(result.stdout)
    assert alarms(seen) == set(), seen
    assert result.returncode == 0, [(p["path"], p["findings"]) for p in seen["paths"] if p["verdict"] == "unknown"]
    by_path = {p["path"]: p for p in seen["paths"]}
    assert by_path["tunnel-reverse"]["live"] >= 1
    assert by_path["apiserver-kubelet"]["verifiedBy"]
    assert {p["id"] for p in seen["probes"] if p["verdict"] == "secure"} >= {"node-restriction", "proxy-plaintext", "read-only-port"}


def test_check_says_what_is_wrong_and_what_to_do(plane, tmp_path):
    def check(*args):
        result = subprocess.run([REDOUBT, "check", "-o", "json", *map(str, args)], text=True, capture_output=True, timeout=60)
        return result.returncode, {c["name"]: c for c in json.loads(result.stdout)}
    code, seen = check("--role", "server", "--data-dir", plane.data, "--secure-port", plane.port)
    assert code == 0, seen
    assert seen["port"]["outcome"] == seen["certificates"]["outcome"] == seen["kernel"]["outcome"] == "ok"
    code, seen = check("--role", "server", "--data-dir", tmp_path, "--secure-port", plane.port)
    assert code == 1 and seen["port"]["outcome"] == "failed" and seen["port"]["remedy"]
    code, seen = check("--role", "server", "--data-dir", tmp_path, "--server", "127.0.0.1:1")
    assert code == 1 and seen["server"]["remedy"]
