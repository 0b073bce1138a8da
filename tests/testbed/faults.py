"""What every kind of tunnel must survive: the same faults for each of them. Every wait is bounded; recovery times are printed."""
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from network import sh, wait
from paths import dials, recovery, resident, works

HERE = Path(__file__).resolve().parent
# How long a link stays cut: what it takes both ends to notice, and a little; a full run may ask for a minute.
CUT_SECONDS = float(os.environ.get("REDOUBT_TESTBED_CUT_SECONDS", "20"))
# What wants a machine that is otherwise idle: a thousand clients at once.
FULL_RUN = "REDOUBT_TESTBED_FULL" in os.environ
# Within this a stream that was open when its tunnel died has ended with an error.
STREAM_ENDS_SECONDS = 30
# Within this the node is reached again once it can be.
RECOVERY_SECONDS = 45


# ---- webhooks ----

def webhooks_in_the_cluster_are_asked(bed, node, kind):
    """An admission webhook by Service, whose pod runs on the node: asked through its tunnel and by no other way."""
    folder = bed.folder / "hook"
    folder.mkdir()
    sh("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=hook",
       "-addext", "subjectAltName=DNS:hook.default.svc", "-keyout", folder / "key", "-out", folder / "crt")
    (folder / "server.py").write_text((HERE / "webhook_server.py").read_text())
    # The pod brings the machine's Python by hostPath: the test image has no TLS server.
    bed.pod("hook", "ln -s /usr/lib /lib; ln -s /usr/lib64 /lib64; exec /usr/bin/python3 /hook/server.py 8443 /hook/crt /hook/key", node,
            ports=[8443], mounts={"/usr": "/usr", "/hook": str(folder)})
    bed.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "hook"},
               "spec": {"selector": {"app": "hook"}, "ports": [{"port": 443, "targetPort": 8443}]}})
    authority = sh("base64", "-w0", folder / "crt")

    def configuration(kind, path):
        return {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {"name": "hook"}, "webhooks": [
            {"name": "hook.redoubt.test", "admissionReviewVersions": ["v1"], "sideEffects": "None", "timeoutSeconds": 5, "failurePolicy": "Fail",
             "clientConfig": {"service": {"namespace": "default", "name": "hook", "path": path}, "caBundle": authority},
             "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "default"}},
             "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"]}]}]}
    began = time.monotonic()
    bed.apply(configuration("MutatingWebhookConfiguration", "/mutate"), configuration("ValidatingWebhookConfiguration", "/validate"))
    before = dials(bed, "apiserver-webhook", kind)
    try:
        create = lambda name, key: bed.kubectl("create", "configmap", name, f"--from-literal={key}=1", check=False)
        wait(lambda: create("good", "fine").returncode == 0, 30, "the webhooks to answer")
        print(f"\na webhook in the cluster answered {time.monotonic() - began:.1f} s after it was registered")
        assert bed.json("get", "configmap", "good")["metadata"]["labels"] == {"touched": "yes"}
        refused = create("evil", "bad")
        assert 'admission webhook "hook.redoubt.test" denied the request: no bad keys here' in refused.stderr, refused.stderr
        assert dials(bed, "apiserver-webhook", kind) > before, f"the webhook was not called by {kind}"
        assert bed.metric("redoubt_egress_dials_total", path="apiserver-webhook", kind="direct") == 0
    finally:
        bed.kubectl("delete", "mutatingwebhookconfiguration,validatingwebhookconfiguration", "hook")
        bed.kubectl("delete", "pod", "hook", "--force", "--grace-period=0", "--wait=false")
        bed.kubectl("delete", "configmap", "good", "--ignore-not-found")


# ---- streams that are open when something breaks ----

class Streams:
    """An exec that talks, a log that is followed, and a connection through a port-forward."""

    def __init__(self, bed, name="web"):
        talk = "while true; do echo x; sleep 0.2; done"
        self.programs = {"exec": bed.popen_kubectl("exec", name, "--", "sh", "-c", talk, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True),
                         "logs": bed.popen_kubectl("logs", "-f", name, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)}
        self.forward = bed.popen_kubectl("port-forward", f"pod/{name}", "18081:8080", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        assert self.programs["exec"].stdout.readline().strip() == "x"
        assert self.programs["logs"].stdout.readline()
        assert "Forwarding" in self.forward.stdout.readline()
        self.connection = bed.control_plane.connect("127.0.0.1", 18081)
        # Half a request: the server waits for the rest of it.
        self.connection.sendall(b"GET /index.html HTTP/1.1\r\n")

    def all_end(self, what):
        """Each of them ends, and says that this is no good end."""
        began, took = time.monotonic(), {}
        try:
            for kind, program in self.programs.items():
                left = max(0.1, STREAM_ENDS_SECONDS - (time.monotonic() - began))
                try:
                    _, said = program.communicate(timeout=left)
                except subprocess.TimeoutExpired:
                    raise AssertionError(f"{kind} still hangs {STREAM_ENDS_SECONDS} s after: {what}") from None
                took[kind] = time.monotonic() - began
                assert program.returncode != 0, f"{kind} ended as if all were well after: {what}"
            self.connection.settimeout(max(0.1, STREAM_ENDS_SECONDS - (time.monotonic() - began)))
            try:
                assert self.connection.recv(1) == b""
            except ConnectionError:
                pass
            took["port-forward"] = time.monotonic() - began
        finally:
            self.end()
        print(f"\nstreams ended {', '.join(f'{kind} {seconds:.1f} s' for kind, seconds in took.items())} after: {what}")

    def end(self):
        self.connection.close()
        for program in (*self.programs.values(), self.forward):
            if program.poll() is None:
                program.kill()
            program.communicate()


def a_cut_link_leaves_no_stream_hanging(bed, host, marker):
    streams = Streams(bed)
    bed.network.cut(host)
    cut = time.monotonic()
    try:
        streams.all_end("the link was cut")
        time.sleep(max(0, CUT_SECONDS - (time.monotonic() - cut)))
    finally:
        bed.network.heal(host)
    recovery(bed, marker, f"the link was cut for {time.monotonic() - cut:.0f} s", time.monotonic(), RECOVERY_SECONDS)


def half_open_connections_are_noticed(bed, host, marker, connections, kill, start):
    """The tunnel's connection is up, for all its ends know; nothing passes any more. `connections()`: the tunnel's, on the host, as
    (port, peer's port)."""
    # The node is not heard any more; it still hears.
    streams = Streams(bed)
    quiet = bed.network.silence(host, connections(), both_ways=False)
    began = time.monotonic()
    try:
        streams.all_end("the node's packets were lost, of this connection alone")
        recovery(bed, marker, "the node's packets were lost, of this connection alone", began, RECOVERY_SECONDS)
    finally:
        bed.network.unsilence(quiet)
    # The node's end is killed, and no FIN and no RST gets through.
    quiet = bed.network.silence(host, connections(), both_ways=True)
    try:
        kill()
        began = time.monotonic()
        start()
        recovery(bed, marker, "the node's end was killed without a word, and started again", began, RECOVERY_SECONDS)
    finally:
        bed.network.unsilence(quiet)


# ---- bad links ----

def a_bad_link_is_slow_and_no_more(bed, host, marker):
    """30 % of all packets lost each way; then 200 ms more each way. Logs and exec get through, and nothing is left hanging."""
    def log_is_read():
        try:
            return marker in bed.kubectl("logs", "web", check=False, timeout=30).stdout
        except subprocess.TimeoutExpired:
            return False

    before = open_streams(bed)
    bed.network.lose(host, 30)
    try:
        began = time.monotonic()
        recovery(bed, marker, "30 % loss began", began, 90)
        wait(log_is_read, 90, "logs with 30 % loss")
        print(f"logs were there {time.monotonic() - began:.1f} s after 30 % loss began")
    finally:
        bed.network.lose(host, 0)
    recovery(bed, marker, "30 % loss ended", time.monotonic(), RECOVERY_SECONDS)
    bed.network.delay(host, 200)
    try:
        for what, works_now in (("exec", lambda: works(bed, marker)), ("logs", log_is_read)):
            began = time.monotonic()
            assert works_now(), f"{what} with 200 ms more on the way"
            print(f"{what} took {time.monotonic() - began:.1f} s with 200 ms more on the way")
    finally:
        bed.network.delay(host, 0)
    streams_end(bed, before)


def open_streams(bed):
    return bed.metric("redoubt_egress_open_streams")


def streams_end(bed, before):
    """Down to what was open before, and the few connections that are kept for the next request."""
    wait(lambda: open_streams(bed) <= before + 5, 30, "the streams to end")


# ---- dials that nobody answers ----

DIALS, DIAL_SECONDS = 1000, 20
# What a connection of a client's costs the server while it waits, and what allocators may keep of it.
GROWTH_KB, KEPT_KB = 200_000, 60_000


def dials_into_a_black_hole_hold_up_nothing(bed, node, marker, *programs):
    """1,000 dials at once to an address of the node's pods that never answers: each gets its error, others get through beside them."""
    address = bed.json("get", "pod", "web")["status"]["podIP"]
    host = bed.nodes[node].host
    # The node itself drops what is sent to that port.
    host.run("nft", "-f", "-", input=f"""table ip hole {{
        chain out {{ type filter hook output priority 0; ip daddr {address} tcp dport 9 drop; }}
    }}""")
    before, streams = [resident(pid) for pid in programs], open_streams(bed)
    peak = list(before)
    try:
        asking = bed.control_plane.start(sys.executable, HERE / "many_requests.py", bed.kubeconfig, "/api/v1/namespaces/default/pods/web:9/proxy/", DIALS,
                                         3 * DIAL_SECONDS, log=bed.folder / "dials.log")
        began, beside = time.monotonic(), []
        while asking.running():
            assert time.monotonic() - began < 90, asking.tail()
            once = time.monotonic()
            assert works(bed, marker), "others don't get through beside the dials"
            beside.append(time.monotonic() - once)
            peak = [max(a, resident(pid)) for a, pid in zip(peak, programs)]
        outcome = json.loads(asking.tail(1))
        print(f"\n{DIALS} dials into a black hole: {outcome['codes']}, answered after {outcome['seconds']['first']} to {outcome['seconds']['last']} s; "
              f"exec beside them took at most {max(beside):.1f} s")
        assert list(outcome["codes"]) in (["503"], ["504"]), outcome
        assert outcome["seconds"]["last"] < DIAL_SECONDS, outcome
    finally:
        host.run("nft", "delete", "table", "ip", "hole")
    streams_end(bed, streams)
    began = time.monotonic()
    while any(resident(pid) > was + KEPT_KB for pid, was in zip(programs, before)) and time.monotonic() - began < 30:
        time.sleep(0.5)
    for pid, was, most in zip(programs, before, peak):
        print(f"resident: {was // 1024} MB before, {most // 1024} MB at most, {resident(pid) // 1024} MB {time.monotonic() - began:.0f} s after")
        assert most < was + GROWTH_KB
        assert resident(pid) < was + KEPT_KB, "the memory is not given back"
