"""Jobs, CronJobs, DaemonSets and StatefulSets with pods that really run."""
import json
import time

IMAGE = "redoubt.test/busybox:1"


def template(command, labels=None, restart="Always", **spec):
    body = {"restartPolicy": restart, "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "c", "image": IMAGE, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", command]}]}
    body.update(spec)
    out = {"spec": body}
    if labels:
        out["metadata"] = {"labels": labels}
    return out


def job(name, command, restart="Never", **spec):
    body = {"template": template(command, restart=restart)}
    body.update(spec)
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": body}


def apply(cluster, namespace, *objects):
    cluster.kubectl("-n", namespace, "apply", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))


def status(cluster, namespace, what):
    return cluster.json("-n", namespace, "get", what).get("status", {})


def pods(cluster, namespace, selector):
    return cluster.json("-n", namespace, "get", "pods", "-l", selector)["items"]


def test_job_completes(cluster, namespace):
    apply(cluster, namespace, job("done", "echo hello", completions=3, parallelism=2))
    cluster.kubectl("-n", namespace, "wait", "--for=condition=complete", "job/done", "--timeout=60s", timeout=90)
    seen = status(cluster, namespace, "job/done")
    assert seen["succeeded"] == 3 and "completionTime" in seen
    assert cluster.out("-n", namespace, "logs", "job/done") == "hello"
    assert all("finalizers" not in p["metadata"] for p in pods(cluster, namespace, "job-name=done")), "counted pods are let go"
    cluster.kubectl("-n", namespace, "delete", "job/done", "--timeout=30s")
    cluster.eventually("its pods to go", lambda: not pods(cluster, namespace, "job-name=done"))


def test_job_gives_up_after_its_backoff_limit(cluster, namespace):
    apply(cluster, namespace, job("bad", "exit 3", backoffLimit=0))
    cluster.kubectl("-n", namespace, "wait", "--for=condition=failed", "job/bad", "--timeout=60s", timeout=90)
    seen = status(cluster, namespace, "job/bad")
    assert seen["failed"] == 1
    assert [c["reason"] for c in seen["conditions"] if c["type"] == "Failed"] == ["BackoffLimitExceeded"]


def test_indexed_job_gives_each_pod_its_index(cluster, namespace):
    apply(cluster, namespace, job("indexed", "echo index $JOB_COMPLETION_INDEX on $(hostname)", completions=3, parallelism=3, completionMode="Indexed"))
    cluster.kubectl("-n", namespace, "wait", "--for=condition=complete", "job/indexed", "--timeout=60s", timeout=90)
    assert status(cluster, namespace, "job/indexed")["completedIndexes"] == "0-2"
    logs = sorted(cluster.out("-n", namespace, "logs", p["metadata"]["name"]) for p in pods(cluster, namespace, "job-name=indexed"))
    assert logs == [f"index {i} on indexed-{i}" for i in range(3)]


def test_suspended_job_waits_and_a_finished_one_expires(cluster, namespace):
    apply(cluster, namespace, job("later", "true", suspend=True, ttlSecondsAfterFinished=2))
    cluster.kubectl("-n", namespace, "wait", "--for=condition=suspended", "job/later", "--timeout=30s")
    assert not pods(cluster, namespace, "job-name=later")
    cluster.kubectl("-n", namespace, "patch", "job/later", "--type=merge", "-p", '{"spec":{"suspend":false}}')
    cluster.eventually("it to finish and be deleted", lambda: cluster.kubectl("-n", namespace, "get", "job", "later", check=False).returncode != 0)


def test_job_deadline_and_failure_policy(cluster, namespace):
    apply(cluster, namespace, job("slow", "sleep 1000", activeDeadlineSeconds=2),
          job("picky", "exit 42", backoffLimit=6, podFailurePolicy={"rules": [
              {"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}]}))

    def reason(name):
        return [c["reason"] for c in status(cluster, namespace, f"job/{name}").get("conditions", []) if c["type"] == "Failed"]
    # Its pod does not listen to SIGTERM, and the Job has failed once that has gone, 30 s later.
    cluster.eventually("the deadline", lambda: reason("slow") == ["DeadlineExceeded"], timeout=90)
    cluster.eventually("the policy", lambda: reason("picky") == ["PodFailurePolicy"])


def test_cron_job_starts_jobs_and_keeps_few(cluster, namespace):
    apply(cluster, namespace, {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "tick"}, "spec": {
        "schedule": "@every 2s", "successfulJobsHistoryLimit": 1, "jobTemplate": {"spec": {"template": template("true", restart="Never")}}}})
    cluster.eventually("a success", lambda: "lastSuccessfulTime" in status(cluster, namespace, "cronjob/tick"))
    time.sleep(6)
    ended = [j for j in cluster.json("-n", namespace, "get", "jobs")["items"]
             if any(c["type"] == "Complete" for c in j.get("status", {}).get("conditions", []))]
    assert len(ended) <= 2
    cluster.kubectl("-n", namespace, "patch", "cronjob/tick", "-p", '{"spec":{"suspend":true}}')
    cluster.kubectl("-n", namespace, "create", "job", "by-hand", "--from=cronjob/tick")
    cluster.kubectl("-n", namespace, "wait", "--for=condition=complete", "job/by-hand", "--timeout=60s", timeout=90)


def test_daemon_set_runs_on_the_node_and_rolls(cluster, namespace):
    ds = {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "agent"}, "spec": {
        "selector": {"matchLabels": {"app": "agent"}}, "template": template("sleep 1000", {"app": "agent"})}}
    apply(cluster, namespace, ds)
    cluster.kubectl("-n", namespace, "rollout", "status", "ds/agent", "--timeout=60s", timeout=90)
    assert status(cluster, namespace, "ds/agent")["numberAvailable"] == 1
    [pod] = pods(cluster, namespace, "app=agent")
    assert {"key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute"} in pod["spec"]["tolerations"]
    cluster.kubectl("-n", namespace, "set", "env", "ds/agent", "A=1")
    cluster.kubectl("-n", namespace, "rollout", "status", "ds/agent", "--timeout=60s", timeout=90)
    [new] = [p for p in pods(cluster, namespace, "app=agent") if "deletionTimestamp" not in p["metadata"]]
    assert new["metadata"]["name"] != pod["metadata"]["name"]
    assert len(cluster.out("-n", namespace, "get", "controllerrevisions", "-o", "name").splitlines()) == 2
    cluster.kubectl("-n", namespace, "rollout", "undo", "ds/agent")
    cluster.kubectl("-n", namespace, "rollout", "status", "ds/agent", "--timeout=60s", timeout=90)
    assert "env" not in cluster.json("-n", namespace, "get", "ds", "agent")["spec"]["template"]["spec"]["containers"][0]
    # A node that its selector no longer means loses the pod.
    cluster.kubectl("-n", namespace, "patch", "ds/agent", "-p", '{"spec":{"template":{"spec":{"nodeSelector":{"no":"such"}}}}}')
    cluster.eventually("the pod to go", lambda: not pods(cluster, namespace, "app=agent"))


def stateful(name, **spec):
    body = {"serviceName": name, "replicas": 2, "selector": {"matchLabels": {"app": name}},
            "template": template("sleep 1000", {"app": name})}
    body.update(spec)
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": name}, "spec": body}


def test_stateful_set_in_order(cluster, namespace):
    apply(cluster, namespace, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "db"}, "spec": {
        "clusterIP": "None", "selector": {"app": "db"}, "ports": [{"port": 80}]}}, stateful("db"))
    cluster.kubectl("-n", namespace, "rollout", "status", "sts/db", "--timeout=90s", timeout=120)
    first, second = sorted(pods(cluster, namespace, "app=db"), key=lambda p: p["metadata"]["name"])
    assert [first["metadata"]["name"], second["metadata"]["name"]] == ["db-0", "db-1"]
    ready = next(c["lastTransitionTime"] for c in first["status"]["conditions"] if c["type"] == "Ready")
    assert second["metadata"]["creationTimestamp"] >= ready
    assert cluster.out("-n", namespace, "exec", "db-1", "--", "hostname") == "db-1"
    [piece] = cluster.json("-n", namespace, "get", "endpointslices", "-l", "kubernetes.io/service-name=db")["items"]
    assert sorted(e["hostname"] for e in piece["endpoints"]) == ["db-0", "db-1"]
    # A partition keeps the lower ones back.
    cluster.kubectl("-n", namespace, "patch", "sts/db", "-p", json.dumps({"spec": {
        "updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"partition": 1}},
        "template": {"metadata": {"annotations": {"v": "2"}}}}}))

    def versions():
        return {p["metadata"]["name"]: p["metadata"].get("annotations", {}).get("v") for p in pods(cluster, namespace, "app=db")
                if any(c["type"] == "Ready" and c["status"] == "True" for c in p["status"].get("conditions", []))}
    cluster.eventually("the partition's part", lambda: versions() == {"db-0": None, "db-1": "2"})
    cluster.kubectl("-n", namespace, "patch", "sts/db", "-p", '{"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}}}}')
    cluster.eventually("all of it", lambda: versions() == {"db-0": "2", "db-1": "2"})
    cluster.eventually("the revision", lambda: status(cluster, namespace, "sts/db")["currentRevision"] == status(cluster, namespace, "sts/db")["updateRevision"])
    cluster.kubectl("-n", namespace, "scale", "sts/db", "--replicas=1")
    cluster.eventually("the highest to go", lambda: [p["metadata"]["name"] for p in pods(cluster, namespace, "app=db")] == ["db-0"])


def test_stateful_set_makes_its_claims(cluster, namespace):
    claim = {"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}}}
    apply(cluster, namespace, stateful("store", podManagementPolicy="Parallel", volumeClaimTemplates=[claim],
                                       persistentVolumeClaimRetentionPolicy={"whenDeleted": "Delete", "whenScaled": "Retain"}))
    cluster.eventually("claims", lambda: cluster.out("-n", namespace, "get", "pvc", "-o", "name").split() == [
        "persistentvolumeclaim/data-store-0", "persistentvolumeclaim/data-store-1"])
    pod = cluster.eventually("a pod", lambda: pods(cluster, namespace, "app=store"))[0]
    assert any(v.get("persistentVolumeClaim", {}).get("claimName") == "data-" + pod["metadata"]["name"] for v in pod["spec"]["volumes"])
    cluster.eventually("owners", lambda: all(c["metadata"].get("ownerReferences") for c in cluster.json("-n", namespace, "get", "pvc")["items"]))
    cluster.kubectl("-n", namespace, "delete", "sts/store")
    cluster.eventually("the claims to go with the set", lambda: not cluster.out("-n", namespace, "get", "pvc", "-o", "name"))
