"""NetworkPolicies between pods for real: allow, deny, default deny, established connections, probes from the node."""
import json

import pytest

SERVER = "mkdir -p /www; echo hello >/www/index.html; httpd -p 8080 -h /www; httpd -f -p 9090 -h /www"


def policy(name, spec):
    return json.dumps({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": name}, "spec": spec})


@pytest.fixture
def pods(cluster, namespace, make_pod):
    """A web server that the node probes, a friend and a stranger; and a way to ask."""
    probe = {"httpGet": {"path": "/", "port": 8080}, "periodSeconds": 1, "failureThreshold": 1}
    make_pod("web", SERVER, container={"readinessProbe": probe, "ports": [{"name": "http", "containerPort": 8080}]})
    make_pod("friend", "sleep 1000")
    make_pod("stranger", "sleep 1000")
    ip = cluster.out("-n", namespace, "get", "pod", "web", "-o", "jsonpath={.status.podIP}")

    def reaches(who, port=8080, host=ip):
        asked = cluster.kubectl("-n", namespace, "exec", who, "--", "timeout", "3", "wget", "-qO-", f"http://{host}:{port}/", check=False, timeout=30)
        return asked.stdout == "hello\n"
    return reaches


def apply(cluster, namespace, name, spec):
    cluster.kubectl("-n", namespace, "apply", "-f", "-", input=policy(name, spec))


def test_ingress_is_denied_and_allowed(cluster, namespace, pods):
    assert pods("friend") and pods("stranger")
    apply(cluster, namespace, "deny", {"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"]})
    cluster.eventually("the denial", lambda: not pods("stranger"), timeout=20)
    assert not pods("friend")
    apply(cluster, namespace, "allow", {
        "podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": {"matchLabels": {"app": "friend"}}}], "ports": [{"port": "http"}]}]})
    cluster.eventually("the allowance", lambda: pods("friend"), timeout=20)
    assert not pods("friend", 9090), "another port"
    assert not pods("stranger")
    # The node's probes go on: the pod was Ready all the while.
    assert cluster.out("-n", namespace, "get", "pod", "web", "-o", "jsonpath={.status.conditions[?(@.type=='Ready')].status}") == "True"
    cluster.kubectl("-n", namespace, "label", "pod", "stranger", "app=friend", "--overwrite")
    cluster.eventually("the new label to count", lambda: pods("stranger"), timeout=20)
    cluster.kubectl("-n", namespace, "delete", "networkpolicy", "--all")
    cluster.eventually("freedom", lambda: pods("stranger", 9090), timeout=20)


def test_egress_is_denied_but_for_names(cluster, namespace, pods):
    apply(cluster, namespace, "egress", {
        "podSelector": {"matchLabels": {"app": "friend"}}, "policyTypes": ["Egress"],
        "egress": [{"to": [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}],
                    "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}]})
    cluster.eventually("the denial", lambda: not pods("friend"), timeout=20)
    assert pods("stranger")
    names = cluster.kubectl("-n", namespace, "exec", "friend", "--", "nslookup", "kubernetes.default.svc.cluster.local.", check=False)
    assert "10.96.0.1" in names.stdout, names.stdout + names.stderr
    server = cluster.out("get", "endpoints", "kubernetes", "-o", "jsonpath={.subsets[0].addresses[0].ip}")
    asked = cluster.kubectl("-n", namespace, "exec", "friend", "--", "nc", "-w", "2", server, "6443", "-e", "true", check=False, timeout=20)
    assert asked.returncode != 0, "the node's own ports are outside the pod, too"


def test_a_block_with_an_exception(cluster, namespace, pods):
    friend = cluster.out("-n", namespace, "get", "pod", "friend", "-o", "jsonpath={.status.podIP}")
    apply(cluster, namespace, "block", {
        "podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"ipBlock": {"cidr": "10.244.0.0/16", "except": [f"{friend}/32"]}}], "ports": [{"port": 8000, "endPort": 8999}]}]})
    cluster.eventually("the exception", lambda: not pods("friend"), timeout=20)
    assert pods("stranger") and not pods("stranger", 9090)
