"""Pods, Services and the API server across three nodes, one of them behind NAT: who reaches whom, by which endpoint, and what
goes on while the API server is away."""
import time

import pytest

from network import sh, wait
from testbed import BUSYBOX

NODES = ("n1", "n2", "edge")
SERVE = "ln -s /usr/lib /lib; ln -s /usr/lib64 /lib64; mkdir -p /tmp/w && hostname > /tmp/w/index.html && exec httpd -f -v -p 8080 -h /tmp/w"
# The image has no TLS client that verifies: the machine's openssl is lent to the pods.
ASK = r"""
D=/var/run/secrets/kubernetes.io/serviceaccount
printf 'GET %s HTTP/1.1\r\nHost: kubernetes.default.svc\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n' "$1" "$(cat $D/token)" |
  timeout 5 openssl s_client -quiet -verify_return_error -CAfile $D/ca.crt -verify_hostname kubernetes.default.svc \
    -connect kubernetes.default.svc.cluster.local:443 2>/dev/null | head -1
"""


def pod(node):
    container = {"name": "c", "image": BUSYBOX, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", SERVE],
                 "ports": [{"name": "web", "containerPort": 8080}], "volumeMounts": [{"name": "usr", "mountPath": "/usr", "readOnly": True}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"at-{node}", "labels": {"app": "traffic", "at": node}},
            "spec": {"nodeName": node, "terminationGracePeriodSeconds": 1, "containers": [container],
                     "volumes": [{"name": "usr", "hostPath": {"path": "/usr"}}]}}


def service(name, selector=None, **spec):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": selector or {"app": "traffic"}, "ports": [{"port": 80, "targetPort": "web"}], **spec}}


class Traffic:
    """What runs on the testbed, and ways to ask."""

    def __init__(self, bed):
        self.bed = bed
        bed.apply({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "view"},
                   "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
                   "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "default"}]},
                  *map(pod, NODES),
                  service("all", type="NodePort"), service("sticky", sessionAffinity="ClientIP"),
                  service("inside", internalTrafficPolicy="Local"), service("inside-n2", {"at": "n2"}, internalTrafficPolicy="Local"),
                  service("outside-n2", {"at": "n2"}, type="NodePort", externalTrafficPolicy="Local"))
        bed.kubectl("wait", "--for=condition=Ready", *[f"pod/at-{n}" for n in NODES], "--timeout=90s", timeout=100)
        self.ips = {n: bed.out("get", "pod", f"at-{n}", "-o", "jsonpath={.status.podIP}") for n in NODES}

    def exec(self, node, *command, timeout=30):
        return self.bed.kubectl("exec", f"at-{node}", "--", *command, check=False, timeout=timeout).stdout.strip()

    def fetch(self, node, host, seconds=3):
        return self.exec(node, "timeout", seconds, "wget", "-qO-", f"http://{host}/")

    def many(self, node, host, times=12):
        """The pods that answered `times` requests from one node's pod."""
        script = f"for i in $(seq {times}); do timeout 3 wget -qO- http://{host}/; done"
        return self.exec(node, "sh", "-c", script, timeout=60).split()

    def api(self, node, path):
        answer = self.exec(node, "sh", "-c", ASK, "sh", path)
        return answer.split()[1] if answer else None

    def node_port(self, name):
        return self.bed.out("get", "service", name, "-o", "jsonpath={.spec.ports[0].nodePort}")

    def from_outside(self, node, port):
        """Asked from the control plane's host, which is no node."""
        address = f"http://{self.bed.nodes[node].host.ip}:{port}/"
        netns = self.bed.control_plane.netns
        return sh("nsenter", f"--net=/run/netns/{netns}", "curl", "-s", "-m", "3", address, check=False).strip()


@pytest.fixture(scope="module")
def traffic(bed, node, other_node, nat_node):
    return Traffic(bed)


@pytest.mark.parametrize("where", NODES)
def test_a_pod_reaches_the_api_server_with_what_was_injected(traffic, where):
    wait(lambda: traffic.api(where, "/api/v1/namespaces/default/pods") == "200", 40, f"{where}'s pod to reach the API server")
    assert traffic.api(where, "/api/v1/namespaces/default/secrets") == "403"
    assert traffic.api(where, "/api/v1/namespaces/kube-system/pods") == "403"


def test_every_pod_reaches_every_other_and_the_services_by_name(traffic):
    for node in NODES:
        for other in NODES:
            wait(lambda: traffic.fetch(node, f"{traffic.ips[other]}:8080") == f"at-{other}", 40, f"{node} to {other}")
        wait(lambda: set(traffic.many(node, "all.default.svc.cluster.local")) == {f"at-{n}" for n in NODES}, 30, f"{node} to all by the Service's name")


def test_node_ports_are_open_from_outside(traffic):
    port = traffic.node_port("all")
    for node in ("n1", "n2"):
        wait(lambda: {traffic.from_outside(node, port) for _ in range(12)} == {f"at-{n}" for n in NODES}, 30, f"all pods by {node}'s port")


def test_a_local_policy_keeps_outside_traffic_and_its_senders_address(traffic):
    port = traffic.node_port("outside-n2")
    wait(lambda: traffic.from_outside("n2", port) == "at-n2", 20, "the node that has the pod")
    assert traffic.from_outside("n1", port) == "", "a node without a pod drops it"
    assert f"{traffic.bed.control_plane.ip}]" in traffic.bed.out("logs", "at-n2"), "as the pod saw its client"


def test_a_client_comes_back_to_the_same_pod(traffic):
    for node in ("n1", "edge"):
        wait(lambda: traffic.fetch(node, "sticky"), 20, "the sticky Service")
        assert len(set(traffic.many(node, "sticky"))) == 1


def test_an_internal_local_policy_stays_on_the_node(traffic):
    for node in ("n1", "n2"):
        wait(lambda: traffic.fetch(node, "inside"), 20, f"{node}'s own pod")
        assert set(traffic.many(node, "inside", 6)) == {f"at-{node}"}
    assert traffic.fetch("n2", "inside-n2") == "at-n2"
    assert traffic.fetch("n1", "inside-n2", 2) == "", "another node's pod is not asked"


def test_policies_count_across_nodes(traffic):
    target = f"{traffic.ips['n1']}:8080"
    traffic.bed.apply({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "only-n2"},
                       "spec": {"podSelector": {"matchLabels": {"at": "n1"}}, "policyTypes": ["Ingress"],
                                "ingress": [{"from": [{"podSelector": {"matchLabels": {"at": "n2"}}}], "ports": [{"port": "web"}]}]}})
    try:
        wait(lambda: traffic.fetch("edge", target, 2) == "", 20, "the denial")
        wait(lambda: traffic.fetch("n2", target) == "at-n1", 20, "the allowance")
        # By a Service too: what it leads to counts.
        traffic.bed.apply(service("n1-only", {"at": "n1"}))
        wait(lambda: traffic.fetch("n2", "n1-only") == "at-n1", 20, "the allowance by Service")
        assert traffic.fetch("edge", "n1-only", 2) == ""
    finally:
        traffic.bed.kubectl("delete", "networkpolicy", "only-n2")
    wait(lambda: traffic.fetch("edge", target) == "at-n1", 20, "freedom")


def test_services_and_names_go_on_while_the_api_server_is_away(traffic):
    """Killed as a crash would. Nothing in the cluster stops, and pods are served again within five seconds of its return."""
    bed = traffic.bed
    port = traffic.node_port("all")
    assert traffic.api("n1", "/api/v1/namespaces/default/pods") == "200"
    # In the pods themselves: kubectl exec needs the API server.
    asks = ('while true; do if timeout 2 wget -qO- http://all.default.svc.cluster.local/ >/dev/null; then echo ok; else echo lost; fi; '
            'sleep 0.1; done > /tmp/log 2>&1 &')
    back = ('while true; do echo "$(cut -d" " -f1 /proc/uptime) $(sh /tmp/ask /api/v1/namespaces/default/pods | cut -d" " -f2)"; sleep 0.2; done > /tmp/api 2>&1 &')
    for node in NODES:
        traffic.exec(node, "sh", "-c", f"cat > /tmp/ask <<'EOF'\n{ASK}\nEOF\n({asks}) ; ({back})")
    time.sleep(1)
    bed.server.kill()
    away = time.monotonic()
    while time.monotonic() - away < 4:
        assert traffic.from_outside("n1", port).startswith("at-"), "from outside"
        time.sleep(0.2)
    bed.start_server()
    ready = float(open("/proc/uptime").read().split()[0])
    time.sleep(5)
    for node in NODES:
        wait(lambda: traffic.exec(node, "true") == "" and traffic.exec(node, "cat", "/tmp/log"), 30, f"exec on {node} again")
        log = traffic.exec(node, "cat", "/tmp/log").split()
        assert len(log) > 30 and "lost" not in log, f"{node}: {log.count('lost')} of {len(log)} lost"
        lines = [line.split() for line in traffic.exec(node, "cat", "/tmp/api").splitlines()]
        again = [float(line[0]) for line in lines if len(line) == 2 and line[1] == "200" and float(line[0]) > ready - 1]
        assert again and again[0] - ready < 5, f"{node}: the API server again after {again[0] - ready if again else 'never'} s"
