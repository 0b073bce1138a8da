"""Pods for real: logs, exec, attach, port-forward, volumes, environment, probes, restarts."""
import os
import pty
import re
import select
import socket
import subprocess
import time

from conftest import KUBECONFIG


def kube_env():
    return dict(os.environ, KUBECONFIG=str(KUBECONFIG))


def read_until(read, wanted, timeout=20):
    text, end = "", time.monotonic() + timeout
    while wanted not in text:
        assert time.monotonic() < end, f"{wanted!r} not in {text!r}"
        text += read()
    return text


def test_logs_follow_previous_and_tail(cluster, namespace, make_pod):
    make_pod("chatty", "for i in 1 2 3 4 5 6; do echo line $i; sleep 0.3; done; sleep 1000")
    follow = subprocess.Popen(["kubectl", "-n", namespace, "logs", "-f", "chatty"], stdout=subprocess.PIPE, text=True, env=kube_env())
    try:
        lines = [follow.stdout.readline().strip() for _ in range(6)]
        assert lines == [f"line {i}" for i in range(1, 7)]
    finally:
        follow.kill()
    assert cluster.out("-n", namespace, "logs", "chatty", "--tail=2") == "line 5\nline 6"
    stamped = cluster.out("-n", namespace, "logs", "chatty", "--tail=1", "--timestamps")
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z line 6$", stamped)
    assert "container nope is not valid for pod chatty" in cluster.fails("-n", namespace, "logs", "chatty", "-c", "nope")


def test_exec_output_status_and_input(cluster, namespace, make_pod):
    make_pod("worker", "sleep 1000")
    assert cluster.out("-n", namespace, "exec", "worker", "--", "echo", "hi") == "hi"
    failing = cluster.kubectl("-n", namespace, "exec", "worker", "--", "sh", "-c", "echo oops >&2; exit 7", check=False)
    assert failing.returncode == 7 and "oops" in failing.stderr
    assert "command terminated with exit code 7" in failing.stderr
    # Half-close: cat ends when kubectl's input does. Large enough to need back-pressure.
    data = "0123456789abcdef" * 65536
    copied = cluster.kubectl("-n", namespace, "exec", "-i", "worker", "--", "wc", "-c", input=data)
    assert copied.stdout.strip() == str(len(data))
    big = cluster.kubectl("-n", namespace, "exec", "worker", "--", "sh", "-c", "yes | head -c 5000000")
    assert len(big.stdout) == 5000000


def test_exec_with_a_terminal(cluster, namespace, make_pod):
    make_pod("shell", "sleep 1000")
    master, slave = pty.openpty()
    shell = subprocess.Popen(["kubectl", "-n", namespace, "exec", "-it", "shell", "--", "sh"],
                             stdin=slave, stdout=slave, stderr=slave, env=kube_env(), close_fds=True)
    os.close(slave)

    def read():
        ready, _, _ = select.select([master], [], [], 1)
        return os.read(master, 4096).decode() if ready else ""
    try:
        read_until(read, "#")
        os.write(master, b"echo $((40+2)); tty\n")
        assert "/dev/pts/" in read_until(read, "/dev/pts/")
        os.write(master, b"exit 3\n")
        assert shell.wait(20) == 3
    finally:
        shell.kill()
        os.close(master)


def test_attach_reaches_the_main_process(cluster, namespace, make_pod):
    make_pod("echo", "while read line; do echo got $line; done", container={"stdin": True})
    attach = subprocess.Popen(["kubectl", "-n", namespace, "attach", "-i", "echo"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, text=True, env=kube_env())
    try:
        attach.stdin.write("ping\n")
        attach.stdin.flush()
        assert attach.stdout.readline().strip() == "got ping"
    finally:
        attach.kill()


def test_port_forward(cluster, namespace, make_pod):
    make_pod("web", "mkdir /tmp/w; echo served > /tmp/w/index.html; exec httpd -f -p 8080 -h /tmp/w")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    forward = subprocess.Popen(["kubectl", "-n", namespace, "port-forward", "pod/web", f"{port}:8080"], stdout=subprocess.PIPE, text=True, env=kube_env())
    try:
        assert "Forwarding from 127.0.0.1" in forward.stdout.readline()
        for _ in range(3):
            assert cluster.run("curl", "-s", "--max-time", "10", f"http://127.0.0.1:{port}/").stdout == "served\n"
    finally:
        forward.kill()


def test_environment_and_volumes(cluster, namespace, make_pod):
    cluster.kubectl("-n", namespace, "create", "configmap", "conf", "--from-literal=key=fromconfig")
    cluster.kubectl("-n", namespace, "create", "secret", "generic", "sec", "--from-literal=pw=fromsecret")
    make_pod("rich", "sleep 1000", container={
        "env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "conf", "key": "key"}}},
                {"name": "B", "valueFrom": {"secretKeyRef": {"name": "sec", "key": "pw"}}},
                {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "D", "value": "$(A)-$(B)"}],
        "envFrom": [{"configMapRef": {"name": "conf"}, "prefix": "P_"}],
        "resources": {"limits": {"memory": "64Mi", "cpu": "500m"}},
        "volumeMounts": [{"name": "conf", "mountPath": "/conf"}, {"name": "sec", "mountPath": "/sec"}, {"name": "tmp", "mountPath": "/scratch"},
                         {"name": "down", "mountPath": "/down"}, {"name": "all", "mountPath": "/all"}, {"name": "host", "mountPath": "/host"}]},
        volumes=[{"name": "conf", "configMap": {"name": "conf"}}, {"name": "sec", "secret": {"secretName": "sec", "defaultMode": 0o400}},
                 {"name": "tmp", "emptyDir": {}}, {"name": "host", "hostPath": {"path": "/etc", "type": "Directory"}},
                 {"name": "down", "downwardAPI": {"items": [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
                 {"name": "all", "projected": {"sources": [{"configMap": {"name": "conf"}}, {"secret": {"name": "sec"}}]}}])
    script = "echo $A $B $C $D $P_key; cat /conf/key /sec/pw /down/labels /all/key /all/pw; echo; stat -L -c %a /sec/pw; touch /scratch/x; ls /host/hostname"
    out = cluster.out("-n", namespace, "exec", "rich", "--", "sh", "-c", script)
    assert out.splitlines()[0] == "fromconfig fromsecret rich fromconfig-fromsecret fromconfig"
    assert 'fromconfigfromsecretapp="rich"' in out.replace("\n", "")
    assert "400" in out and "/host/hostname" in out
    limit = cluster.out("-n", namespace, "exec", "rich", "--", "sh", "-c",
                        "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max")
    assert limit == str(64 * 1024 * 1024)
    # A changed ConfigMap reaches the running pod's volume.
    cluster.kubectl("-n", namespace, "patch", "cm/conf", "-p", '{"data":{"key":"changed"}}')
    cluster.eventually("the volume to follow", lambda: cluster.out("-n", namespace, "exec", "rich", "--", "cat", "/conf/key") == "changed", timeout=120)


def test_restart_policies_and_back_off(cluster, namespace, make_pod):
    make_pod("once", "exit 3", wait=None, restartPolicy="Never")
    cluster.eventually("Failed", lambda: cluster.json("-n", namespace, "get", "pod", "once")["status"].get("phase") == "Failed")
    state = cluster.json("-n", namespace, "get", "pod", "once")["status"]["containerStatuses"][0]["state"]
    assert state["terminated"]["exitCode"] == 3 and state["terminated"]["reason"] == "Error"
    make_pod("done", "true", wait=None, restartPolicy="OnFailure")
    cluster.eventually("Succeeded", lambda: cluster.json("-n", namespace, "get", "pod", "done")["status"].get("phase") == "Succeeded")
    make_pod("crashing", "echo started; exit 1", wait=None)
    cluster.eventually("a back-off", lambda: "CrashLoopBackOff" in cluster.out("-n", namespace, "get", "pod", "crashing"), timeout=60)
    assert cluster.out("-n", namespace, "logs", "crashing", "--previous") == "started"


def test_init_containers_and_probes(cluster, namespace, make_pod):
    make_pod("probed", "sleep 2; touch /tmp/ready; sleep 1000",
             initContainers=[{"name": "first", "image": "redoubt.test/busybox:1", "imagePullPolicy": "IfNotPresent",
                              "command": ["sh", "-c", "echo initialised > /work/x"], "volumeMounts": [{"name": "w", "mountPath": "/work"}]}],
             volumes=[{"name": "w", "emptyDir": {}}],
             container={"volumeMounts": [{"name": "w", "mountPath": "/work"}],
                        "readinessProbe": {"exec": {"command": ["test", "-f", "/tmp/ready"]}, "periodSeconds": 1}})
    assert cluster.out("-n", namespace, "exec", "probed", "--", "cat", "/work/x") == "initialised"
    make_pod("unlive", "sleep 1000", wait=None, container={"livenessProbe": {"exec": {"command": ["false"]}, "periodSeconds": 1, "failureThreshold": 1}})
    cluster.eventually("a restart by the liveness probe", lambda: cluster.json("-n", namespace, "get", "pod", "unlive")["status"].get("containerStatuses", [{"restartCount": 0}])[0]["restartCount"] > 0)


def test_deleted_pod_gets_its_grace_period(cluster, namespace, make_pod):
    make_pod("polite", "trap 'exit 0' TERM; while :; do sleep 0.1; done", terminationGracePeriodSeconds=30)
    began = time.monotonic()
    cluster.kubectl("-n", namespace, "delete", "pod", "polite", "--timeout=60s", timeout=90)
    assert time.monotonic() - began < 20


def test_missing_image_is_reported(cluster, namespace, make_pod):
    make_pod("missing", "true", wait=None, container={"image": "redoubt.test/absent:1", "imagePullPolicy": "Never"})
    cluster.eventually("ErrImageNeverPull", lambda: "ErrImageNeverPull" in cluster.out("-n", namespace, "get", "pod", "missing"))


def test_deployment_rolls_over(cluster, namespace):
    cluster.kubectl("-n", namespace, "create", "deployment", "roll", "--image=redoubt.test/busybox:1", "--replicas=2", "--", "sleep", "1000")
    cluster.kubectl("-n", namespace, "rollout", "status", "deploy/roll", "--timeout=60s", timeout=90)
    cluster.kubectl("-n", namespace, "set", "env", "deploy/roll", "A=1")
    cluster.kubectl("-n", namespace, "rollout", "status", "deploy/roll", "--timeout=90s", timeout=120)
    assert len(cluster.out("-n", namespace, "get", "rs", "-o", "name").splitlines()) == 2
    cluster.kubectl("-n", namespace, "rollout", "undo", "deploy/roll")
    cluster.kubectl("-n", namespace, "rollout", "status", "deploy/roll", "--timeout=90s", timeout=120)
    assert "env" not in cluster.json("-n", namespace, "get", "deploy", "roll")["spec"]["template"]["spec"]["containers"][0]


def test_unschedulable_pod_says_why(cluster, namespace, make_pod):
    make_pod("huge", "true", wait=None, container={"resources": {"requests": {"cpu": "1000"}}})
    def message():
        conditions = cluster.json("-n", namespace, "get", "pod", "huge")["status"].get("conditions", [])
        return [c for c in conditions if c["type"] == "PodScheduled" and "0/1 nodes are available: 1 Insufficient cpu" in c.get("message", "")]
    cluster.eventually("the scheduler's reason", message)
    assert "FailedScheduling" in cluster.out("-n", namespace, "describe", "pod", "huge")
