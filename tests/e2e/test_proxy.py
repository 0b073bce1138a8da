"""The proxies to nodes, pods and Services, with the real kubectl and curl."""
import base64
import json
import re
import socket
import subprocess
import tempfile
from pathlib import Path

from conftest import KUBECONFIG, ROOT
from test_pods import kube_env

PKI = ROOT / ".dev" / "data" / "pki"
WEB = ("mkdir -p /tmp/w/cgi-bin; echo '<a href=\"/x\">x</a>' > /tmp/w/index.html; echo text > /tmp/w/plain.txt; "
       "exec httpd -f -p 8080 -h /tmp/w")


def raw(cluster, path, check=True):
    return cluster.kubectl("get", "--raw", path, check=check)


def curl(cluster, *args):
    """curl with the administrator's certificate; SERVER stands for the API server's URL."""
    config = json.loads(cluster.out("config", "view", "--raw", "-o", "json"))
    server = config["clusters"][0]["cluster"]["server"]
    with tempfile.TemporaryDirectory() as folder:
        for name, data in (("crt", config["users"][0]["user"]["client-certificate-data"]), ("key", config["users"][0]["user"]["client-key-data"])):
            Path(folder, name).write_bytes(base64.b64decode(data))
        return cluster.run("curl", "-s", "--max-time", "20", "--cacert", str(PKI / "ca.crt"), "--cert", f"{folder}/crt", "--key", f"{folder}/key",
                           *[a.replace("SERVER", server) for a in args]).stdout


def test_pod_proxy_and_what_it_says_of_its_backend(cluster, namespace, make_pod):
    make_pod("web", WEB)
    base = f"/api/v1/namespaces/{namespace}/pods/web:8080/proxy"
    assert raw(cluster, base + "/plain.txt").stdout == "text\n"
    page = curl(cluster, "-i", f"SERVER{base}/")
    assert f'<a href="{base}/x">' in page
    assert re.search(r"(?i)^redoubt-proxy-verification: plaintext; way=\w+", page, re.M), page
    redirect = curl(cluster, "-i", f"SERVER{base}?a=b")
    assert " 301" in redirect.splitlines()[0] and f"location: {base}/?a=b" in redirect.lower()
    missing = raw(cluster, base + "/none", check=False)
    assert missing.returncode != 0 and "could not find the requested resource" in missing.stderr
    refused = raw(cluster, f"/api/v1/namespaces/{namespace}/pods/web:8081/proxy/", check=False)
    assert "error trying to reach service" in refused.stderr and "connection refused" in refused.stderr
    # Big and unfinished bodies: all of it, unchanged.
    cluster.kubectl("-n", namespace, "exec", "web", "--", "sh", "-c", "head -c 30000000 /dev/urandom > /tmp/w/big; sha256sum /tmp/w/big > /tmp/sum")
    wanted = cluster.out("-n", namespace, "exec", "web", "--", "cut", "-d ", "-f1", "/tmp/sum")
    got = subprocess.run(f"kubectl get --raw {base}/big | sha256sum", shell=True, capture_output=True, text=True, env=kube_env(), timeout=60)
    assert got.stdout.split()[0] == wanted


def test_service_proxy_by_number_and_name(cluster, namespace, make_pod):
    make_pod("web", WEB)
    cluster.apply(json.dumps({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": namespace},
                              "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}}))
    ip = cluster.out("-n", namespace, "get", "pod", "web", "-o", "jsonpath={.status.podIP}")
    # Until the endpoint slice controller has made one, the test does.
    if not cluster.json("-n", namespace, "get", "endpointslices")["items"]:
        cluster.apply(json.dumps({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                                  "metadata": {"name": "web-x", "namespace": namespace, "labels": {"kubernetes.io/service-name": "web"}},
                                  "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
                                  "endpoints": [{"addresses": [ip], "conditions": {"ready": True},
                                                 "targetRef": {"kind": "Pod", "name": "web", "namespace": namespace}}]}))
    base = f"/api/v1/namespaces/{namespace}/services"
    for name in ("web:80", "web:http", "http:web:80"):
        assert raw(cluster, f"{base}/{name}/proxy/plain.txt").stdout == "text\n", name
    assert "no endpoints available for service" in raw(cluster, f"{base}/web/proxy/", check=False).stderr
    assert 'no service port 81 found for service "web"' in raw(cluster, f"{base}/web:81/proxy/", check=False).stderr


def test_node_proxy_reaches_the_kubelet(cluster):
    name = cluster.json("get", "nodes")["items"][0]["metadata"]["name"]
    base = f"/api/v1/nodes/{name}/proxy"
    assert raw(cluster, base + "/healthz").stdout == "ok"
    assert json.loads(raw(cluster, base + "/pods").stdout)["kind"] == "PodList"
    assert json.loads(raw(cluster, base + "/runningpods/").stdout)["kind"] == "PodList"
    assert json.loads(raw(cluster, base + "/configz").stdout)["kubeletconfig"]["kind"] == "KubeletConfiguration"
    summary = json.loads(raw(cluster, base + "/stats/summary").stdout)
    assert summary["node"]["nodeName"] == name and summary["node"]["memory"]["workingSetBytes"] > 0
    assert "container_cpu_usage_seconds_total" in raw(cluster, base + "/metrics/cadvisor").stdout
    assert "node_cpu_usage_seconds_total" in raw(cluster, base + "/metrics/resource").stdout
    assert "<pre>" in raw(cluster, base + "/logs/").stdout
    for path in ("/logs/..%2f..%2fetc%2fpasswd", "/checkpoint/x/y/z", "/nonsense"):
        assert raw(cluster, base + path, check=False).returncode != 0, path
    assert "address not allowed" in raw(cluster, f"/api/v1/nodes/{name}:6443/proxy/", check=False).stderr


def test_reading_through_a_node_proxy_opens_no_shell(cluster, namespace, make_pod):
    """kubernetes issue 83465: a WebSocket's exec is a GET."""
    make_pod("victim", "sleep 1000")
    name = cluster.json("get", "nodes")["items"][0]["metadata"]["name"]
    cluster.kubectl("create", "clusterrole", "node-reader", "--verb=get", "--resource=nodes/proxy")
    cluster.kubectl("-n", namespace, "create", "serviceaccount", "reader")
    cluster.kubectl("create", "clusterrolebinding", "node-reader", "--clusterrole=node-reader", f"--serviceaccount={namespace}:reader")
    try:
        token = cluster.out("-n", namespace, "create", "token", "reader")
        server = json.loads(cluster.out("config", "view", "--raw", "-o", "json"))["clusters"][0]["cluster"]["server"]
        ask = ["curl", "-s", "--http1.1", "--max-time", "10", "--cacert", str(PKI / "ca.crt"), "-H", f"Authorization: Bearer {token}", "-o", "/dev/null", "-w", "%{http_code}"]
        upgrade = ["-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Version: 13", "-H", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
                   "-H", "Sec-WebSocket-Protocol: v4.channel.k8s.io"]
        base = f"{server}/api/v1/nodes/{name}/proxy"
        assert cluster.run(*ask, base + "/pods").stdout == "200"
        for path in (f"/exec/{namespace}/victim/c?output=1&command=id", f"/%65xec/{namespace}/victim/c?output=1&command=id"):
            assert cluster.run(*ask, *upgrade, base + path).stdout == "403", path
        assert cluster.run(*ask, "-X", "POST", base + f"/run/{namespace}/victim/c?cmd=id").stdout == "403"
    finally:
        cluster.kubectl("delete", "clusterrolebinding,clusterrole", "node-reader")


def test_kubectl_proxy(cluster, namespace, make_pod):
    make_pod("web", WEB)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    proxy = subprocess.Popen(["kubectl", "proxy", f"--port={port}"], stdout=subprocess.PIPE, text=True, env=dict(kube_env(), KUBECONFIG=str(KUBECONFIG)))
    try:
        assert "Starting to serve" in proxy.stdout.readline()
        url = f"http://127.0.0.1:{port}/api/v1/namespaces/{namespace}/pods/web:8080/proxy/"
        assert f'href="/api/v1/namespaces/{namespace}/pods/web:8080/proxy/x"' in cluster.run("curl", "-s", "--max-time", "10", url).stdout
    finally:
        proxy.kill()
