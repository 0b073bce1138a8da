"""Who decides, by flags and by file: ABAC's policies, the modes for tests, and an AuthorizationConfiguration that changes."""
import json

import pytest
from authorities import Authority, put
from servers import Caller, Server, eventually, refused

POD = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "image": "i"}]}}


def policy(**spec):
    return json.dumps({"apiVersion": "abac.authorization.kubernetes.io/v1beta1", "kind": "Policy", "spec": spec})


@pytest.fixture
def people(tmp_path):
    return Authority(tmp_path, "people")


def who(server, certificate):
    return Caller(("127.0.0.1", server.port), (server.data / "pki" / "ca.crt").read_text(), certificate)


def pods(caller, namespace="default", method="GET", body=None):
    return caller.request(method, f"/api/v1/namespaces/{namespace}/pods", body).status


def test_abac_grants_what_its_file_says(tmp_path, people):
    file = put(tmp_path / "policies", policy(user="jane", namespace="default", resource="pods", readonly=True) + "\n" + policy(
        group="writers", namespace="*", resource="configmaps", apiGroup="*") + "\n")
    with Server(tmp_path / "s", "--client-ca-file", people.file, "--authorization-mode", "Node,RBAC,ABAC", "--authorization-policy-file", file) as server:
        jane, joe = who(server, people.leaf("jane")), who(server, people.leaf("joe", ["writers"]))
        assert pods(jane) == 200 and pods(jane, method="POST", body=POD) == 403 and pods(jane, "kube-system") == 403 and pods(joe) == 403
        config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}
        assert joe.request("POST", "/api/v1/namespaces/default/configmaps", config).status == 201
        assert joe.request("GET", "/api/v1/namespaces/default/secrets").status == 403
        assert server.kubectl("auth", "can-i", "list", "pods", "--as=jane").stdout.strip() == "yes"


def test_modes_for_tests(tmp_path, people):
    with Server(tmp_path / "allow", "--client-ca-file", people.file, "--authorization-mode", "AlwaysAllow") as server:
        assert who(server, people.leaf("jane")).request("GET", "/api/v1/namespaces/kube-system/secrets").status == 200
        # Whoever shows nothing is still nobody.
        assert who(server, None).request("GET", "/api/v1/namespaces/kube-system/secrets").status == 401
    with Server(tmp_path / "deny", "--client-ca-file", people.file, "--authorization-mode", "Node,RBAC,AlwaysDeny") as server:
        server.kubectl("create", "clusterrolebinding", "v", "--clusterrole=view", "--user=jane")
        jane = who(server, people.leaf("jane"))
        assert pods(jane) == 200 and pods(jane, method="POST", body=POD) == 403


def test_a_changed_authorization_file_is_taken_without_a_restart(tmp_path, people):
    def chain(*types):
        return json.dumps({"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthorizationConfiguration",
                           "authorizers": [{"type": kind, "name": kind.lower()} for kind in types]})
    file, policies = put(tmp_path / "chain.json", chain("Node", "RBAC")), put(tmp_path / "policies", policy(user="jane", namespace="default", resource="pods"))
    with Server(tmp_path / "s", "--client-ca-file", people.file, "--authorization-config", file, "--authorization-policy-file", policies) as server:
        jane = who(server, people.leaf("jane"))
        assert pods(jane) == 403
        put(file, chain("Node", "RBAC", "ABAC"))
        eventually("it is taken", lambda: pods(jane) == 200)
        # A wrong one changes nothing.
        put(file, chain("Node", "RBAC", "Nobody"))
        eventually("it is said", lambda: "Nobody" in (tmp_path / "s" / "server.log").read_text())
        assert pods(jane) == 200
        put(file, chain("Node", "RBAC"))
        eventually("it is taken", lambda: pods(jane) == 403)


def test_what_does_not_go_together_stops_the_start(tmp_path):
    right, wrong = put(tmp_path / "right", policy(user="jane")), put(tmp_path / "wrong", policy(user="jane") + "\nnothing\n")
    for flags, said in ((["--authorization-mode", "ABAC"], "needs --authorization-policy-file"),
                        (["--authorization-mode", "RBAC", "--authorization-policy-file", right], "without mode ABAC"),
                        (["--authorization-mode", "ABAC", "--authorization-policy-file", wrong], "line 2"),
                        (["--authorization-mode", "Webhook"], "needs --authorization-webhook-config-file"),
                        (["--authorization-mode", "RBAC,RBAC"], "is specified more than once"),
                        (["--authorization-mode", "Nobody"], "Nobody")):
        assert said in refused(tmp_path / "s", *flags), flags
