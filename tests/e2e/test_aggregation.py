"""Extension API servers behind APIService objects: found, trusted by their caBundle alone, told who asks, and never given a credential."""
import base64
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_proxy import curl

GROUP = "things.redoubt.test"
NAME = f"v1.{GROUP}"
THINGS = f"/apis/{GROUP}/v1/things"


class Extension:
    """The server, in a pod behind the Service `extension`. It is the host's Python: the pod's root is the host's."""

    def __init__(self, cluster, namespace, folder):
        self.folder = folder
        run = lambda *args: subprocess.run(args, cwd=folder, check=True, capture_output=True)
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=extension",
            "-keyout", "key", "-out", "crt", "-addext", f"subjectAltName=DNS:extension.{namespace}.svc")
        self.ca = base64.b64encode((folder / "crt").read_bytes()).decode()
        trust = cluster.json("-n", "kube-system", "get", "configmap", "extension-apiserver-authentication")["data"]
        (folder / "authentication.json").write_text(json.dumps(trust))
        shutil.copy(Path(__file__).with_name("extension_server.py"), folder)
        cluster.apply(json.dumps({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "extension", "namespace": namespace},
                                  "spec": {"selector": {"app": "extension"}, "ports": [{"port": 443, "targetPort": 8443}]}}))

    @property
    def seen(self):
        file = self.folder / "seen"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def asked(self, path):
        return [s for s in self.seen if s["path"].startswith(path)]


@pytest.fixture
def extension(cluster, namespace, make_pod, tmp_path):
    one = Extension(cluster, namespace, tmp_path)
    make_pod("extension", f"exec chroot /host {sys.executable} {tmp_path}/extension_server.py {tmp_path} 8443",
             container={"volumeMounts": [{"name": "host", "mountPath": "/host"}],
                        "readinessProbe": {"tcpSocket": {"port": 8443}, "periodSeconds": 1}},
             volumes=[{"name": "host", "hostPath": {"path": "/"}}])
    yield one
    cluster.kubectl("delete", "apiservice", NAME, "--ignore-not-found")


def api_service(namespace, **changes):
    spec = {"group": GROUP, "version": "v1", "groupPriorityMinimum": 100, "versionPriority": 10, "service": {"namespace": namespace, "name": "extension"}}
    spec.update(changes)
    return json.dumps({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService", "metadata": {"name": NAME}, "spec": spec})


def available(cluster):
    conditions = cluster.json("get", "apiservice", NAME).get("status", {}).get("conditions", [{}])
    return conditions[0].get("status"), conditions[0].get("reason"), conditions[0].get("message")


def test_an_extension_server_is_served_as_part_of_the_api(cluster, namespace, extension):
    cluster.apply(api_service(namespace, caBundle=extension.ca))
    cluster.kubectl("wait", "--for=condition=Available", f"apiservice/{NAME}", "--timeout=30s")
    assert available(cluster)[1] == "Passed"
    assert f"{namespace}/extension" in cluster.out("get", "apiservice", NAME)
    # Found in both forms of discovery, and in OpenAPI.
    assert f"things.{GROUP}" in cluster.out("api-resources", "--api-group", GROUP, "-o", "name", "--cached=false")
    groups = json.loads(curl(cluster, "-H", "accept: application/json", "SERVER/apis"))
    assert groups["kind"] == "APIGroupList" and GROUP in [g["name"] for g in groups["groups"]]
    v2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    entry = next(i for i in json.loads(curl(cluster, "-H", f"accept: {v2}", "SERVER/apis"))["items"] if i["metadata"].get("name") == GROUP)
    assert entry["versions"][0]["freshness"] == "Current" and entry["versions"][0]["resources"][0]["resource"] == "things"
    assert json.loads(curl(cluster, f"SERVER/apis/{GROUP}"))["preferredVersion"]["groupVersion"] == f"{GROUP}/v1"
    assert "A thing of another server's." in cluster.out("explain", "things")
    # Read, watched, written.
    assert cluster.out("get", "things", "-o", "name") == f"thing.{GROUP}/one"
    assert cluster.out("get", "th", "one", "-o", "jsonpath={.metadata.name}") == "one"
    cluster.kubectl("create", "--validate=false", "-f", "-", input=json.dumps({"kind": "Thing", "apiVersion": f"{GROUP}/v1", "metadata": {"name": "two"}}))
    assert [json.loads(line)["object"]["metadata"]["name"] for line in cluster.out("get", "--raw", THINGS + "?watch=true").splitlines()] == ["one", "two"]
    assert "no such thing" in curl(cluster, f"SERVER{THINGS}/three")
    # By the tunnel of the pod's node, under the path's id.
    dials = [line for line in cluster.out("get", "--raw", "/metrics").splitlines() if line.startswith("redoubt_egress_dials_total")
             and 'path="apiserver-webhook"' in line and 'result="ok"' in line and int(line.rsplit(" ", 1)[1]) > 0]
    assert any('="reverse"' in line for line in dials), dials
    assert 'redoubt_aggregator_requests_total{path="apiserver-webhook"' in cluster.out("get", "--raw", "/metrics")


def test_an_extension_server_learns_who_asks_and_gets_no_credential(cluster, namespace, extension):
    cluster.apply(api_service(namespace, caBundle=extension.ca))
    cluster.kubectl("wait", "--for=condition=Available", f"apiservice/{NAME}", "--timeout=30s")
    me = json.loads(cluster.out("auth", "whoami", "-o", "json"))["status"]["userInfo"]
    answer = curl(cluster, "-i", "-H", "X-Remote-User: mallory", "-H", "X-Remote-Group: system:masters", "-H", "X-Remote-Extra-A: b", "-H", "Cookie: c=d",
                  "-H", "Proxy-Authorization: Basic YTpi", "-H", "X-Forwarded-Client-Cert: e", f"SERVER{THINGS}?q=1")
    assert " 200" in answer.splitlines()[0] and "set-cookie" not in answer.lower()
    seen = extension.asked(THINGS + "?q=1")[0]
    values = lambda name: [value for header, value in seen["headers"] if header == name]
    assert seen["user"] == me["username"] and values("x-remote-user") == [me["username"]]
    assert sorted(values("x-remote-group")) == sorted(me["groups"])
    assert not {name for name, _ in seen["headers"]} & {"cookie", "authorization", "proxy-authorization", "x-remote-extra-a", "x-forwarded-client-cert"}
    # As somebody else, who has to have the right; the other server hears of nobody who has not.
    assert "forbidden" in cluster.fails("get", "--raw", THINGS + "?q=2", "--as=jane")
    cluster.kubectl("create", "clusterrole", NAME, "--verb=list", f"--resource=things.{GROUP}")
    cluster.kubectl("create", "clusterrolebinding", NAME, f"--clusterrole={NAME}", "--user=jane")
    try:
        cluster.eventually("jane may", lambda: cluster.kubectl("get", "--raw", THINGS + "?q=3", "--as=jane", check=False).returncode == 0)
    finally:
        cluster.kubectl("delete", "clusterrole,clusterrolebinding", NAME)
    assert extension.asked(THINGS + "?q=2") == []
    assert [s["user"] for s in extension.asked(THINGS + "?q=3")] == ["jane"]
    assert not [name for name, _ in extension.asked(THINGS + "?q=3")[0]["headers"] if name.startswith("impersonate-")]
    # A token is one of this server's.
    token = cluster.out("-n", namespace, "create", "token", "default")
    server = cluster.out("config", "view", "-o", "jsonpath={.clusters[0].cluster.server}")
    cluster.run("curl", "-sk", "--max-time", "20", "-H", f"Authorization: Bearer {token}", f"{server}/openapi/v3/apis/{GROUP}/v1")
    seen = extension.asked("/openapi/v3/")[-1]
    assert seen["user"] == f"system:serviceaccount:{namespace}:default" and token not in json.dumps(seen)
    # Nobody is sent elsewhere, nor is a path passed on that reads otherwise there.
    elsewhere = curl(cluster, "-i", f"SERVER{THINGS}/elsewhere")
    assert " 502" in elsewhere.splitlines()[0] and "192.0.2.1" not in elsewhere
    assert " 400" in curl(cluster, "-i", "--path-as-is", f"SERVER/apis/{GROUP}/v1/namespaces/a%2fb/things").splitlines()[0]


def test_an_extension_server_that_is_not_verified_is_not_called(cluster, namespace, extension, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    impostor = Extension(cluster, namespace, other)
    cluster.apply(api_service(namespace, caBundle=impostor.ca))
    cluster.eventually("the check has failed", lambda: available(cluster)[:2] == ("False", "FailedDiscoveryCheck"), timeout=30)
    assert "x509" in available(cluster)[2]
    answer = curl(cluster, "-i", f"SERVER{THINGS}")
    assert " 503" in answer.splitlines()[0] and "x509" in answer
    cluster.apply(api_service(namespace, insecureSkipTLSVerify=True))
    cluster.eventually("it asks for what is never done", lambda: available(cluster)[:2] == ("False", "VerificationRequired"), timeout=30)
    answer = curl(cluster, "-i", f"SERVER{THINGS}")
    assert " 503" in answer.splitlines()[0] and "caBundle" in answer
    assert extension.seen == []
    # Once it is named, it is asked; without endpoints it is gone, and its condition says so.
    cluster.apply(api_service(namespace, caBundle=extension.ca))
    cluster.eventually("it is there", lambda: available(cluster)[:2] == ("True", "Passed"), timeout=30)
    cluster.kubectl("-n", namespace, "delete", "pod", "extension")
    cluster.eventually("it is gone", lambda: available(cluster)[:2] == ("False", "MissingEndpoints"), timeout=30)
    assert "no endpoints available" in cluster.fails("get", "--raw", THINGS)
    v2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    entry = next(i for i in json.loads(curl(cluster, "-H", f"accept: {v2}", "SERVER/apis"))["items"] if i["metadata"].get("name") == GROUP)
    assert entry["versions"][0]["freshness"] == "Stale"
    cluster.kubectl("-n", namespace, "delete", "service", "extension")
    cluster.eventually("its Service too", lambda: available(cluster)[:2] == ("False", "ServiceNotFound"), timeout=30)


def test_this_servers_own_groups_are_local(cluster):
    status = lambda name: cluster.json("get", "apiservice", name).get("status", {}).get("conditions", [{}])[0]
    cluster.eventually("conditions are written", lambda: status("v1.apps").get("reason") == "Local", timeout=30)
    assert status("v1.apps")["status"] == "True"
    cluster.eventually("the core group's too", lambda: status("v1.").get("reason") == "Local", timeout=30)
    assert "must be" in cluster.kubectl("apply", "-f", "-", input=api_service("x").replace(NAME, "wrong.name"), check=False).stderr
