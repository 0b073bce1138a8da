"""A node's credential in a thief's hands opens what that node may do, and nothing else."""
import base64
import json
import time

import pytest
from servers import Caller, Server, eventually, make_request

DENIED = (401, 403)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stolen")
    with Server(folder, "--audit-log-path", str(folder / "audit.log")) as running:
        for name in ("stolen", "other"):
            running.join(name)
            node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
            assert running.node(name).request("POST", "/api/v1/nodes", node).status == 201
        status = {"status": {"addresses": [{"type": "InternalIP", "address": "10.1.2.3"}]}}
        merge = "application/merge-patch+json"
        assert running.node("other").request("PATCH", "/api/v1/nodes/other/status", status, content_type=merge).status == 200
        eventually("the default account", lambda: running.kubectl("get", "sa", "default", check=False).returncode == 0)
        for node in ("stolen", "other"):
            running.kubectl("create", "secret", "generic", f"secret-{node}", "--from-literal=k=v")
            pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"pod-{node}"},
                   "spec": {"nodeName": node, "containers": [{"name": "c", "image": "i"}],
                            "volumes": [{"name": "s", "secret": {"secretName": f"secret-{node}"}}]}}
            running.kubectl("apply", "-f", "-", input=json.dumps(pod))
        yield running


class Thief:
    """The stolen credential. Whatever it is refused must be in the audit log, under its name and with what was asked."""

    def __init__(self, server):
        self.caller, self.audit, self.read = server.node("stolen"), server.folder / "audit.log", 0

    def request(self, method, path, body=None, **options):
        answer = self.caller.request(method, path, body, **options)
        events = self.events()
        if answer.status == 403:
            found = [e for e in events if e["requestURI"] == path and e["user"]["username"] == "system:node:stolen"]
            assert found, f"{method} {path} is not in the audit log"
            assert found[-1]["responseStatus"]["code"] == 403 and found[-1]["sourceIPs"] == ["127.0.0.1"], found[-1]
        return answer

    def events(self):
        """What was recorded since the last call: an answer leaves after its event was written."""
        with open(self.audit) as log:
            log.seek(self.read)
            text = log.read()
        whole = text[:text.rfind("\n") + 1]
        self.read += len(whole.encode())
        return [json.loads(line) for line in whole.splitlines()]


@pytest.fixture(scope="module")
def thief(server):
    return Thief(server)


def test_what_is_the_nodes_own_works(server, thief):
    """So that the refusals below are not the refusal of everything."""
    eventually("its own pod's secret", lambda: thief.request("GET", "/api/v1/namespaces/default/secrets/secret-stolen").status == 200)
    assert thief.request("GET", "/api/v1/nodes/stolen").status == 200
    uid = server.get("pod", "pod-stolen")["metadata"]["uid"]
    asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
             "spec": {"audiences": [], "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "pod-stolen", "uid": uid}}}
    assert thief.request("POST", "/api/v1/namespaces/default/serviceaccounts/default/token", asked).status == 201


@pytest.mark.parametrize("path", [
    "/api/v1/namespaces/default/secrets/secret-other", "/api/v1/namespaces/default/secrets", "/api/v1/secrets",
    "/api/v1/namespaces/kube-system/secrets", "/api/v1/namespaces/default/configmaps",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles", "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/other"])
def test_others_things_are_not_read(thief, path):
    assert thief.request("GET", path).status in DENIED, path


def test_other_pods_tokens(server, thief):
    uid = server.get("pod", "pod-other")["metadata"]["uid"]
    bound = {"kind": "Pod", "apiVersion": "v1", "name": "pod-other", "uid": uid}
    ask = lambda spec: thief.request("POST", "/api/v1/namespaces/default/serviceaccounts/default/token",
                                     {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec})
    assert ask({"audiences": [], "boundObjectRef": bound}).status in DENIED
    assert ask({"audiences": []}).status in DENIED, "a token bound to nothing"
    own = server.get("pod", "pod-stolen")["metadata"]["uid"]
    assert ask({"audiences": [], "boundObjectRef": dict(bound, uid=own)}).status in (*DENIED, 409)
    assert ask({"audiences": [], "boundObjectRef": dict(bound, name="pod-stolen")}).status in (*DENIED, 409)


@pytest.mark.parametrize("node, change", [
    ("stolen", {"metadata": {"labels": {"node-restriction.kubernetes.io/trusted": "yes"}}}),
    ("stolen", {"metadata": {"labels": {"node-role.kubernetes.io/control-plane": ""}}}),
    ("stolen", {"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}}),
    ("other", {"metadata": {"labels": {"a": "b"}}})])
def test_relabelling(thief, node, change):
    assert thief.request("PATCH", f"/api/v1/nodes/{node}", change, content_type="application/merge-patch+json").status in DENIED


@pytest.mark.parametrize("method, path", [
    ("DELETE", "/api/v1/nodes/other"), ("DELETE", "/api/v1/namespaces/default/pods/pod-other"),
    ("DELETE", "/api/v1/namespaces/default"), ("DELETE", "/api/v1/namespaces/default/secrets/secret-stolen")])
def test_deleting(thief, method, path):
    assert thief.request(method, path).status in DENIED, path


@pytest.mark.parametrize("body", [
    {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "evil"}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
    {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "evil", "annotations": {"kubernetes.io/config.mirror": "x"}},
     "spec": {"nodeName": "stolen", "containers": [{"name": "c", "image": "i"}],
              "volumes": [{"name": "s", "secret": {"secretName": "secret-other"}}]}}])
def test_pods_that_would_open_secrets(thief, body):
    assert thief.request("POST", "/api/v1/namespaces/default/pods", body).status in (*DENIED, 422)


@pytest.mark.parametrize("headers", [
    {"Impersonate-User": "kubernetes-admin"}, {"Impersonate-User": "system:node:other", "Impersonate-Group": "system:nodes"},
    {"Impersonate-User": "x", "Impersonate-Group": "system:masters"}, {"Impersonate-Uid": "1", "Impersonate-User": "system:node:stolen"}])
def test_impersonation(thief, headers):
    assert thief.request("GET", "/api/v1/services", headers=headers).status in DENIED


def csr(folder, name, subject, signer, usages, sans=(), **metadata):
    return {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": name, **metadata},
            "spec": {"request": make_request(folder, name, subject, sans), "signerName": f"kubernetes.io/{signer}", "usages": usages}}


def status(server, name):
    return server.get("csr", name).get("status", {})


SERVING = ["digital signature", "server auth"]
CLIENT = ["digital signature", "client auth"]
OWN = "/O=system:nodes/CN=system:node:stolen"
OTHER = "/O=system:nodes/CN=system:node:other"
CSRS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"


@pytest.mark.parametrize("name, subject, signer, usages, sans, why", [
    ("as-other", OTHER, "kube-apiserver-client-kubelet", CLIENT, (), "may not create"),
    ("serve-other", OTHER, "kubelet-serving", SERVING, ("DNS:other",), "not the node"),
    ("serve-others-name", OWN, "kubelet-serving", SERVING, ("DNS:other",), "not the node's name"),
    ("serve-others-address", OWN, "kubelet-serving", SERVING, ("DNS:stolen", "IP:10.1.2.3"), "belongs to node other"),
    ("serve-kubernetes-name", OWN, "kubelet-serving", SERVING, ("DNS:kubernetes.default.svc",), "not the node's name"),
    ("serve-kubernetes-address", OWN, "kubelet-serving", SERVING, ("DNS:stolen", "IP:10.96.0.1"), "Service"),
    ("serve-loopback", OWN, "kubelet-serving", SERVING, ("DNS:stolen", "IP:127.0.0.1"), "no node's own"),
    ("serve-unseen", OWN, "kubelet-serving", SERVING, ("DNS:stolen", "IP:203.0.113.9"), "not seen to connect"),
    ("serve-as-client", OWN, "kubelet-serving", [*SERVING, "client auth"], ("DNS:stolen",), "client auth"),
    ("client-as-server", OWN, "kube-apiserver-client-kubelet", [*CLIENT, "server auth"], (), "server auth")])
def test_certificates_that_are_not_its_own_wait_for_a_person(server, thief, tmp_path, name, subject, signer, usages, sans, why):
    assert thief.request("POST", CSRS, csr(tmp_path, name, subject, signer, usages, sans)).status == 201
    events = lambda: [e for e in server.get("-n", "default", "events")["items"] if e["involvedObject"].get("name") == name]
    found = eventually("an event that says why", events)
    assert why in found[0]["message"], found[0]["message"]
    assert not status(server, name).get("conditions") and not status(server, name).get("certificate")


@pytest.mark.parametrize("name, subject", [("as-admin", "/O=system:masters/CN=root"), ("as-apiserver", "/CN=kube-apiserver")])
def test_client_certificates_of_others(server, thief, tmp_path, name, subject):
    made = thief.request("POST", CSRS, csr(tmp_path, name, subject, "kube-apiserver-client", ["client auth"]))
    assert made.status in (201, *DENIED)
    time.sleep(1)
    if made.status == 201:
        assert not status(server, name).get("certificate")


def test_its_record_of_addresses_is_not_its_own_to_write(server, thief, tmp_path):
    lie = {"redoubt.dev/seen-addresses": "203.0.113.9"}
    body = csr(tmp_path, "liar", OWN, "kubelet-serving", SERVING, ("DNS:stolen", "IP:203.0.113.9"), annotations=lie)
    assert thief.request("POST", CSRS, body).status == 201
    assert server.get("csr", "liar")["metadata"]["annotations"]["redoubt.dev/seen-addresses"] != "203.0.113.9"
    eventually("an event", lambda: [e for e in server.get("-n", "default", "events")["items"] if e["involvedObject"].get("name") == "liar"])
    assert not status(server, "liar").get("certificate")


def test_approving_and_signing_its_own_request(server, thief, tmp_path):
    body = csr(tmp_path, "self-approved", OWN, "kubelet-serving", SERVING, ("DNS:stolen", "IP:203.0.113.9"))
    made = thief.request("POST", CSRS, body).json
    made["status"] = {"conditions": [{"type": "Approved", "status": "True", "reason": "x", "message": "x"}]}
    assert thief.request("PUT", f"{CSRS}/self-approved/approval", made).status in DENIED
    made["status"]["certificate"] = "Zm9v"
    assert thief.request("PUT", f"{CSRS}/self-approved/status", made).status in DENIED
    assert thief.request("PUT", f"{CSRS}/self-approved", made).status in DENIED
    assert thief.request("DELETE", f"{CSRS}/self-approved").status in DENIED


def test_even_a_person_can_not_approve_another_nodes_serving_certificate(server, thief, tmp_path):
    assert thief.request("POST", CSRS, csr(tmp_path, "misled", OTHER, "kubelet-serving", SERVING, ("DNS:other",))).status == 201
    server.kubectl("certificate", "approve", "misled")
    failed = lambda: [c for c in status(server, "misled").get("conditions", []) if c["type"] == "Failed"]
    assert "own serving certificate only" in eventually("the signer's refusal", failed)[0]["message"]


def test_a_serving_certificate_is_no_client_certificate(server, tmp_path):
    node = server.node("other")
    body = csr(tmp_path, "own", OTHER, "kubelet-serving", SERVING, ("DNS:other",))
    assert node.request("POST", CSRS, body).status == 201
    certificate = eventually("its own name is approved", lambda: status(server, "own").get("certificate"))
    (tmp_path / "own.crt").write_bytes(base64.b64decode(certificate))
    caller = Caller(("127.0.0.1", server.port), (server.data / "pki" / "ca.crt").read_text(), str(tmp_path / "own.crt"), str(tmp_path / "own.key"))
    assert caller.request("GET", "/api/v1/services").status == 401
