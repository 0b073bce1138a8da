#!/usr/bin/env python3
"""./dev bench services: the service proxy with 10 and with 10,000 Services of 10 endpoints each, and the node's DNS.

In a network namespace of its own: a server, `redoubt kube-proxy` (and, when REDOUBT_BENCH_KUBE_PROXY names it, upstream's in
nftables mode, with the same Services), and a few TCP servers that one Service leads to. Prints a table, writes
build/bench/services.json. Needs root.
"""
import base64
import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from processes import Group

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / os.environ.get("REDOUBT_PRESET", "release")
OUT = ROOT / "build" / "bench" / "services"
FEW, MANY = 10, int(os.environ.get("REDOUBT_BENCH_SERVICES", "10000"))
NODE, PORT = "192.0.2.1", 36443
SILENT = "10.244.0.99"  # this machine's, and nobody listens: refused at once
CHANGES, CONNECTIONS = 20, 2000
SETTLE_SECONDS = 10


class Api:
    """The server's API, by the administrator's certificate; a connection a thread."""

    def __init__(self, kubeconfig):
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        pem = OUT / "admin.pem"
        pem.write_bytes(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
        self.context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        self.context.load_cert_chain(pem)
        self.local = threading.local()

    def send(self, method, path, body, content_type="application/json"):
        if not hasattr(self.local, "connection"):
            self.local.connection = http.client.HTTPSConnection("127.0.0.1", PORT, context=self.context, timeout=30)
        self.local.connection.request(method, path, json.dumps(body), {"Content-Type": content_type})
        answer = self.local.connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {text[:300]}")
        return json.loads(text)


def service(name, **spec):
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": [{"name": "http", "port": 80}], **spec}}


def endpoint_slice(name, addresses, port=8080):
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4", "endpoints": [{"addresses": [a]} for a in addresses], "ports": [{"name": "http", "port": port, "protocol": "TCP"}]}


SERVICES, SLICES = "/api/v1/namespaces/default/services", "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"


def make(api, first, last):
    def one(i):
        api.send("POST", SERVICES, service(f"s{i}"))
        api.send("POST", SLICES, endpoint_slice(f"s{i}", [f"10.{128 + i // 250 // 250}.{i // 250 % 250}.{1 + (i + j) % 250}" for j in range(10)]))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(first, last)))


def backends():
    """Ten TCP servers, one an address, that accept and close."""
    out = []
    for i in range(10):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((f"10.244.0.{1 + i}", 8080))
        listener.listen(128)

        def serve(listener=listener):
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                connection.close()
        threading.Thread(target=serve, daemon=True).start()
        out.append(listener)
    return out


def connect_micros(address, port):
    """p50 and p99 of connecting, one after another; and how many did not get through."""
    times, failed = [], 0
    for _ in range(CONNECTIONS):
        began = time.perf_counter()
        try:
            socket.create_connection((address, port), timeout=5).close()
            times.append((time.perf_counter() - began) * 1e6)
        except OSError:
            failed += 1
    times.sort()
    return round(times[len(times) // 2]), round(times[len(times) * 99 // 100]), failed


def reachable(address):
    try:
        socket.create_connection((address, 80), timeout=1).close()
        return True
    except OSError:
        return False


def until(what, condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"not within {seconds} s: {what}")
        time.sleep(0.005)


def cpu_seconds(group):
    """Of its processes and of what they ran (upstream's proxy runs nft)."""
    ticks = 0
    for process in group.processes:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        ticks += sum(int(field) for field in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def measure(name, start, api, target, services):
    """One proxy against what is in the API: from its start, through changes, to its end."""
    print(f"{name}, {services} Services:", flush=True)
    figures = {}
    with Group(OUT / f"{name}-{services}") as group:
        began = time.monotonic()
        start(group)
        until("the first rules", lambda: reachable(target), 300)
        figures["programmed_s"] = time.monotonic() - began
        figures["programmed_cpu_s"] = cpu_seconds(group)
        time.sleep(SETTLE_SECONDS)
        figures["resident_mb"] = group.resident_mb()
        figures["connect_p50_us"], figures["connect_p99_us"], figures["connect_failed"] = connect_micros(target, 80)
        # One Service's port moves, again and again: until the new one is served.
        cpu, took = cpu_seconds(group), []
        for i in range(CHANGES):
            ip = api.send("GET", SERVICES + "/moving", {})["spec"]["clusterIP"]
            endpoint = f"10.244.0.{1 + i % 10}" if i % 2 == 0 else SILENT
            began = time.monotonic()
            api.send("PATCH", SLICES + "/moving", {"endpoints": [{"addresses": [endpoint]}]}, "application/merge-patch+json")
            if i % 2 == 0:
                until("the change", lambda: reachable(ip), 60)
                took.append(time.monotonic() - began)
            else:
                time.sleep(0.5)
        figures["change_ms"] = sorted(took)[len(took) // 2] * 1e3
        figures["change_cpu_ms"] = (cpu_seconds(group) - cpu) / CHANGES * 1e3
        for key, value in figures.items():
            print(f"  {key:20} {value:10.2f}", flush=True)
    subprocess.run(["nft", "flush", "ruleset"], check=True)
    return figures


def network():
    """This process's own network: loopback, and the addresses that are needed."""
    for command in ("link set lo up", "link add up0 type veth peer name up1", "link set up0 up", "link set up1 up", f"address add {NODE}/24 dev up0",
                    "route add default via 192.0.2.254", f"address add {SILENT}/32 dev lo", *(f"address add 10.244.0.{1 + i}/32 dev lo" for i in range(10))):
        subprocess.run(["ip", *command.split()], check=True)


def main():
    if os.environ.get("REDOUBT_BENCH_INSIDE") != "1":
        os.execvpe("unshare", ["unshare", "--net", sys.executable, *sys.argv], dict(os.environ, REDOUBT_BENCH_INSIDE="1"))
    OUT.mkdir(parents=True, exist_ok=True)
    subprocess.run(["rm", "-rf", OUT / "data"], check=True)
    network()
    listeners = backends()
    kubeconfig = OUT / "admin.kubeconfig"
    kubeconfig.unlink(missing_ok=True)

    def ours(group):
        group.start("kube-proxy", BUILD / "redoubt", "kube-proxy", "--kubeconfig", kubeconfig, "--hostname-override", "bench")

    def upstream(group):
        group.start("kube-proxy", os.environ["REDOUBT_BENCH_KUBE_PROXY"], "--kubeconfig", kubeconfig, "--hostname-override", "bench",
                    "--proxy-mode", "nftables", "--nodeport-addresses", "primary", "--conntrack-max-per-core", "0",
                    "--conntrack-tcp-timeout-established", "0", "--conntrack-tcp-timeout-close-wait", "0", "--cluster-cidr", "10.244.0.0/16")
    proxies = {"redoubt": ours} | ({"upstream": upstream} if "REDOUBT_BENCH_KUBE_PROXY" in os.environ else {})
    figures = {name: {} for name in proxies}
    with Group(OUT) as server:
        server.start("server", BUILD / "redoubt", "server", "--data-dir", OUT / "data", "--secure-port", PORT, "--advertise-address", NODE,
                     "--write-kubeconfig", kubeconfig)
        until("the server", lambda: kubeconfig.exists() and reachable_port(), 60)
        api = Api(kubeconfig)
        api.send("POST", "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "bench"}})
        api.send("PATCH", "/api/v1/nodes/bench/status", {"status": {"addresses": [{"type": "InternalIP", "address": NODE}]}}, "application/merge-patch+json")
        target = api.send("POST", SERVICES, service("target"))["spec"]["clusterIP"]
        api.send("POST", SLICES, endpoint_slice("target", [f"10.244.0.{1 + i}" for i in range(10)]))
        api.send("POST", SERVICES, service("moving"))
        api.send("POST", SLICES, endpoint_slice("moving", [SILENT]))
        direct = connect_micros("10.244.0.1", 8080)
        print(f"an endpoint itself: connect p50 {direct[0]} us, p99 {direct[1]} us", flush=True)
        made = 0
        for count in (FEW, MANY):
            began = time.monotonic()
            make(api, made, count)
            print(f"{count - made} Services with 10 endpoints each made in {time.monotonic() - began:.0f} s", flush=True)
            made = count
            for name, start in proxies.items():
                figures[name][count] = measure(name, start, api, target, count)
        figures["direct"] = {"connect_p50_us": direct[0], "connect_p99_us": direct[1]}
    dns = subprocess.run([BUILD / "tests/bench/bench_dns", "--services", str(MANY)], capture_output=True, text=True, check=True, timeout=120).stdout
    figures["dns"] = json.loads(dns)
    print(f"DNS, {MANY} Services: {dns.strip()}", flush=True)
    (OUT.parent / "services.json").write_text(json.dumps(figures, indent=1))
    for listener in listeners:
        listener.close()


def reachable_port():
    try:
        socket.create_connection(("127.0.0.1", PORT), timeout=1).close()
        return True
    except OSError:
        return False


if __name__ == "__main__":
    main()
