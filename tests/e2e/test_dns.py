"""Names as pods see them: the node's own DNS under the kube-dns Service's address."""
import json
import re
import subprocess

import pytest

from conftest import ROOT
from dns import Resolver


def service(name, **spec):
    body = {"selector": {"app": name}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}
    body.update(spec)
    return json.dumps({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": body})


@pytest.fixture
def client(cluster, namespace, make_pod):
    """A pod with a web server of its own, and a function that looks a name up in it (busybox' nslookup appends the search
    path to names without a dot only)."""
    make_pod("web", "mkdir /www; echo hello >/www/index.html; httpd -f -p 8080 -h /www", hostname="web-0", subdomain="db")

    def lookup(name, check=True):
        result = cluster.kubectl("-n", namespace, "exec", "web", "--", "nslookup", name, check=False)
        if check:
            assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout + result.stderr
    return lookup


def test_resolv_conf_of_a_pod(cluster, namespace, make_pod):
    make_pod("plain", "sleep 1000")
    text = cluster.out("-n", namespace, "exec", "plain", "--", "cat", "/etc/resolv.conf")
    dns = cluster.out("-n", "kube-system", "get", "service", "kube-dns", "-o", "jsonpath={.spec.clusterIP}")
    assert f"nameserver {dns}" in text
    assert re.search(rf"search {namespace}\.svc\.cluster\.local svc\.cluster\.local cluster\.local", text)
    assert "ndots:5" in text


def test_services_and_headless_endpoints_have_names(cluster, namespace, client):
    cluster.kubectl("-n", namespace, "apply", "-f", "-", input=service("web"))
    cluster.kubectl("-n", namespace, "apply", "-f", "-", input=service("db", selector={"app": "web"}, clusterIP="None"))
    ip = cluster.out("-n", namespace, "get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
    pod_ip = cluster.out("-n", namespace, "get", "pod", "web", "-o", "jsonpath={.status.podIP}")
    cluster.eventually("the Service's name", lambda: ip in client("web", check=False), timeout=20)
    assert ip in client(f"web.{namespace}.svc.cluster.local.")
    assert "10.96.0.1\n" in client("kubernetes.default.svc.cluster.local") + "\n"
    cluster.eventually("the headless name", lambda: pod_ip in client(f"db.{namespace}.svc.cluster.local", check=False), timeout=20)
    assert pod_ip in client(f"web-0.db.{namespace}.svc.cluster.local")
    # And back.
    assert f"web.{namespace}.svc.cluster.local" in client(ip)
    assert f"web-0.db.{namespace}.svc.cluster.local" in client(pod_ip)
    assert "NXDOMAIN" in client(f"nothing.{namespace}.svc.cluster.local.", check=False)
    # The name leads to the pod, through the service proxy.
    for name in ("web", f"web.{namespace}", f"web.{namespace}.svc"):
        page = cluster.kubectl("-n", namespace, "exec", "web", "--", "timeout", "5", "wget", "-qO-", f"http://{name}/")
        assert page.stdout == "hello\n", name


def test_other_names_are_asked_upstream_and_kept(cluster, namespace, client):
    conf = ROOT / ".dev" / "resolv.conf"
    before = conf.read_text()
    resolver = Resolver("127.0.0.5", {"www.example.test": "192.0.2.80"})
    try:
        conf.write_text("nameserver 127.0.0.5\n")
        cluster.eventually("the new resolver", lambda: "192.0.2.80" in client("www.example.test", check=False), timeout=30)
        times = resolver.asked.count("www.example.test")
        assert "192.0.2.80" in client("www.example.test")
        asked = [n for n in resolver.asked if n.endswith("cluster.local")]
        assert not asked, f"the cluster's names went out: {asked}"
        cluster.kubectl("-n", namespace, "apply", "-f", "-", input=json.dumps({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": "outside"},
            "spec": {"type": "ExternalName", "externalName": "www.example.test"}}))
        cluster.eventually("the alias", lambda: "192.0.2.80" in client(f"outside.{namespace}.svc.cluster.local", check=False), timeout=20)
        assert times <= resolver.asked.count("www.example.test") <= times + 2
    finally:
        conf.write_text(before)
        resolver.close()


def test_dns_is_put_back_and_stands_aside_for_another(cluster, namespace, client):
    dns = cluster.out("-n", "kube-system", "get", "service", "kube-dns", "-o", "jsonpath={.spec.clusterIP}")
    subprocess.run(["nft", "delete", "table", "ip", "redoubt-dns"], check=True)
    subprocess.run(["ip", "address", "delete", f"{dns}/32", "dev", "lo"], check=True)
    cluster.eventually("the table and the address", lambda: "10.96.0.1" in client("kubernetes.default.svc.cluster.local", check=False), timeout=30)
    # As when CoreDNS is installed: an endpoint for kube-dns. Here it is one that answers nothing.
    pod_ip = cluster.out("-n", namespace, "get", "pod", "web", "-o", "jsonpath={.status.podIP}")
    slice_ = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
              "metadata": {"name": "kube-dns-test", "namespace": "kube-system", "labels": {"kubernetes.io/service-name": "kube-dns"}},
              "endpoints": [{"addresses": [pod_ip], "conditions": {"ready": True}}],
              "ports": [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]}
    cluster.apply(json.dumps(slice_))
    try:
        cluster.eventually("the address to be given up", lambda: dns not in subprocess.run(
            ["ip", "address", "show", "dev", "lo"], capture_output=True, text=True, check=True).stdout, timeout=20)
        cluster.eventually("the service proxy to lead there", lambda: re.search(rf"{re.escape(dns)} \. udp \. 53 : goto service-", subprocess.run(
            ["nft", "list", "map", "ip", "redoubt-proxy", "service-ips"], capture_output=True, text=True, check=True).stdout), timeout=20)
    finally:
        cluster.kubectl("-n", "kube-system", "delete", "endpointslice", "kube-dns-test")
    cluster.eventually("the node's own DNS again", lambda: "10.96.0.1" in client("kubernetes.default.svc.cluster.local", check=False), timeout=30)


def test_names_stay_while_the_network_is_asked_hard(cluster, namespace, client):
    """Three hundred questions one after another, none lost."""
    out = cluster.kubectl("-n", namespace, "exec", "web", "--", "sh", "-c",
                          "n=0; for i in $(seq 300); do nslookup kubernetes.default.svc.cluster.local. >/dev/null 2>&1 && n=$((n+1)); done; echo $n", timeout=120)
    assert out.stdout.strip() == "300"
