"""What every kind of tunnel must carry, and what nobody may see of it: the same suite for each of them."""
import json
import secrets
import subprocess
import time

from network import wait
from testbed import binary

SERVE = "mkdir -p /tmp/w && echo {marker} > /tmp/w/index.html && exec httpd -f -p 8080 -h /tmp/w"


def new_marker():
    return "marker-" + secrets.token_hex(16)


def web_pod(bed, node, marker, name="web"):
    """A pod that says the marker by log, by exec and by HTTP, and a Service of it."""
    pod = bed.pod(name, f"echo {marker}; " + SERVE.format(marker=marker), node, ports=[8080])
    bed.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
               "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]}})
    return pod


def use_streams(bed, marker, name="web"):
    """logs, exec, port-forward."""
    assert marker in bed.out("logs", name)
    assert bed.out("exec", name, "--", "cat", "/tmp/w/index.html") == marker
    forward = bed.popen_kubectl("port-forward", f"pod/{name}", "18080:8080", stdout=subprocess.PIPE, text=True)
    try:
        assert "Forwarding" in forward.stdout.readline()
        fetched = bed.control_plane.run("busybox", "wget", "-qO-", "http://127.0.0.1:18080/index.html")
        assert fetched.strip() == marker
    finally:
        forward.terminate()
        forward.wait()


def use_proxies(bed, node, marker, name="web"):
    """The node's proxy, the pod's, the Service's."""
    assert bed.out("get", "--raw", f"/api/v1/nodes/{node}/proxy/healthz") == "ok"
    got = bed.kubectl("get", "--raw", f"/api/v1/namespaces/default/pods/{name}:8080/proxy/index.html", check=False)
    assert got.stdout.strip() == marker, got.stderr
    wait(lambda: bed.kubectl("get", "--raw", f"/api/v1/namespaces/default/services/{name}:80/proxy/index.html", check=False).stdout.strip() == marker,
         20, "the Service's endpoints")


def dials(bed, path, kind, result="ok"):
    return bed.metric("redoubt_egress_dials_total", path=path, kind=kind, result=result)


def every_path_works(bed, node, marker, kind, name="web"):
    """All of it, by that kind of tunnel and by no other way."""
    before = {path: dials(bed, path, kind) for path in ("apiserver-kubelet", "apiserver-pod", "apiserver-service")}
    use_streams(bed, marker, name)
    use_proxies(bed, node, marker, name)
    for path, count in before.items():
        assert dials(bed, path, kind) > count, f"{path} did not go by {kind}"
        assert bed.metric("redoubt_egress_dials_total", path=path, kind="direct") == 0, f"{path} was dialled directly"


def no_plaintext(bed, node, marker, secrets_of_the_way=(), name="web"):
    """The attacker records everything, and finds nothing in it."""
    capture = bed.network.capture("plaintext")
    use_streams(bed, marker, name)
    use_proxies(bed, node, marker, name)
    # The recorder does see what is sent in the clear.
    control = "control-" + secrets.token_hex(8)
    listener = bed.control_plane.start("busybox", "nc", "-l", "-p", "7777", log=bed.folder / "nc.log")
    time.sleep(0.5)
    bed.nodes[node].host.run("busybox", "nc", "-w", "2", bed.control_plane.ip, "7777", input=control, check=False)
    listener.stop()
    capture.stop()
    assert capture.size() > 10_000
    assert capture.contains(control), "the recorder saw nothing: this test proves nothing"
    for secret in (marker, "index.html", "bootstrap-token", "PRIVATE KEY", *secrets_of_the_way):
        assert not capture.contains(secret), f"{secret!r} crossed the network in the clear"


def works(bed, marker, name="web", timeout=30):
    try:
        got = bed.kubectl("exec", name, "--request-timeout=10s", "--", "cat", "/tmp/w/index.html", check=False, timeout=timeout)
    except subprocess.TimeoutExpired:
        return False
    return got.stdout.strip() == marker


def recovery(bed, marker, what, began, seconds=60, name="web"):
    wait(lambda: works(bed, marker, name), seconds, f"exec after: {what}")
    took = time.monotonic() - began
    print(f"\nrecovered {took:.1f} s after: {what}")
    return took


def the_tunnel_is_seen(bed, node, kind, name="web"):
    """`redoubt paths` and the metrics show it: peer, since, streams, bytes, round trip."""
    open_one = bed.popen_kubectl("exec", name, "--", "sh", "-c", "echo x; sleep 1000", stdout=subprocess.PIPE, text=True)
    try:
        assert open_one.stdout.readline().strip() == "x"

        def seen():
            report = bed.control_plane.run(binary(), "paths", "--kubeconfig", bed.kubeconfig, "--data-dir", bed.data, "-o", "json", "--fail-on", "open")
            rows = [t for p in json.loads(report)["paths"] if p["path"] == f"tunnel-{kind}" and p.get("node") == node for t in p.get("tunnels", [])]
            return [t for t in rows if t["up"] and t["streams"] > 0 and t["bytesToNode"] > 0 and t["bytesFromNode"] > 0 and
                    t.get("roundTripMicroseconds", 0) > 0]
        tunnel, = wait(seen, 20, "redoubt paths to see the tunnel")
        assert tunnel["kind"] == kind and tunnel["since"] and tunnel["identity"]
        assert tunnel["peer"].rpartition(":")[0] in (bed.nodes[node].host.ip, bed.nodes[node].host.network.hosts["cp"].gateway), tunnel
        assert bed.metric("redoubt_tunnel_info", kind=kind, node=node, peer=tunnel["peer"]) == 1
        assert bed.metric("redoubt_tunnel_streams", kind=kind, node=node) > 0
        assert bed.metric("redoubt_tunnel_bytes_total", kind=kind, node=node, direction="from_node") > 0
        assert 0 < bed.metric("redoubt_tunnel_round_trip_seconds", kind=kind, node=node) < 10
        assert 0 <= time.time() - bed.metric("redoubt_tunnel_start_time_seconds", kind=kind, node=node) < 3600
        print(f"\nseen: {tunnel}")
    finally:
        open_one.kill()
        open_one.communicate()


def resident(pid):
    """Kilobytes."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def a_stopped_reader_holds_up_nothing(bed, marker, *programs, name="web"):
    """A client stops reading an endless stream: no program on the way grows, and others get through beside it."""
    stopped = bed.popen_kubectl("exec", name, "--", "sh", "-c", "cat /dev/zero", stdout=subprocess.PIPE)
    try:
        stopped.stdout.read(1)
        time.sleep(3)
        before = [resident(pid) for pid in programs]
        time.sleep(3)
        for pid, was in zip(programs, before):
            assert resident(pid) <= was + 8_000, "memory grows behind a reader that stopped"
        assert works(bed, marker, name)
    finally:
        stopped.kill()
        stopped.communicate()
