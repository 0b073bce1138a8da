#!/usr/bin/env python3
"""./dev bench api: Redoubt's API server under load, the machine's ceiling, and upstream when its programs are named.

Everything runs on loopback, with data of its own under build/bench/, bounded in count and time.
REDOUBT_BENCH_ETCD and REDOUBT_BENCH_KUBE_APISERVER name upstream's programs; REDOUBT_BENCH_KUBE_CONTROLLER_MANAGER and
REDOUBT_BENCH_KUBE_SCHEDULER add the rest of its control plane.
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import report
import upstream
from processes import Group, free_port

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / os.environ.get("REDOUBT_PRESET", "release")
OUT = ROOT / "build" / "bench"
SETTLE_SECONDS = 12
IDLE_SECONDS = 20


def bench(command, kubeconfig, out, *options):
    """Runs the load client; its figures."""
    subprocess.run([BUILD / "redoubt_bench", command, "--kubeconfig", kubeconfig, "--out", out, *options], check=True, timeout=600)
    return json.loads(Path(out).read_text())


def until_ready(group, start, kubeconfig):
    """Seconds from before the first exec until /readyz says ok."""
    began = time.monotonic()
    start(group)
    subprocess.run([BUILD / "redoubt_bench", "ready", "--kubeconfig", kubeconfig, "--seconds", "60"], check=True, timeout=90)
    return time.monotonic() - began


def measure(name, start, kubeconfig):
    """All figures of one API server: `start` starts its programs, again with the same data after the load."""
    print(f"{name}:", flush=True)
    folder = OUT / name
    figures = {}
    with Group(folder) as group:
        figures["ready_s"] = until_ready(group, start, kubeconfig)
        time.sleep(SETTLE_SECONDS)
        before = group.cpu_seconds()
        time.sleep(IDLE_SECONDS)
        figures["idle_cpu_percent"] = (group.cpu_seconds() - before) / IDLE_SECONDS * 100
        figures["idle_mb"] = group.resident_mb()
        figures |= bench("api", kubeconfig, folder / "creates.json", "--phases", "configmaps,pods")
        time.sleep(SETTLE_SECONDS)
        figures["loaded_mb"] = group.resident_mb()
        figures |= bench("api", kubeconfig, folder / "load.json", "--phases", "gets,list,watch", "--bodies", folder)
        time.sleep(SETTLE_SECONDS)
        figures["end_mb"] = group.resident_mb()
    with Group(folder) as group:
        figures["ready_again_s"] = until_ready(group, start, kubeconfig)
    return figures


def redoubt():
    data, port = OUT / "redoubt" / "data", free_port()
    kubeconfig = data / "admin.kubeconfig"

    def start(group):
        group.start("redoubt", BUILD / "redoubt", "--log-level", "warning", "server", "--data-dir", data, "--bind-address", "127.0.0.1",
                    "--secure-port", port)
    return measure("redoubt", start, kubeconfig)


def ceiling():
    """nghttpd with the same bytes, the same certificate and the same client."""
    print("ceiling:", flush=True)
    folder, port = OUT / "ceiling", free_port()
    pki = OUT / "redoubt" / "data" / "pki"
    kubeconfig = OUT / "ceiling.kubeconfig"
    text = (OUT / "redoubt" / "data" / "admin.kubeconfig").read_text()
    kubeconfig.write_text("\n".join(f"    server: https://127.0.0.1:{port}" if "server:" in line else line for line in text.split("\n")))
    with Group(folder) as group:
        group.start("nghttpd", "nghttpd", "-n", "2", "-a", "127.0.0.1", "-d", OUT / "redoubt", port, pki / "apiserver.key", pki / "apiserver.crt")
        time.sleep(1)
        return bench("files", kubeconfig, folder / "load.json")


def api():
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    results = {"redoubt": redoubt(), "ceiling": ceiling()}
    if upstream.named():
        start, kubeconfig = upstream.prepare(OUT / "upstream")
        results["upstream"] = measure("upstream", start, kubeconfig)
    (OUT / "api.json").write_text(json.dumps(results, indent=2) + "\n")
    print(report.table(results))
    for scratch in ("redoubt", "upstream"):
        shutil.rmtree(OUT / scratch, ignore_errors=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    if sys.argv[1:] != ["api"]:
        sys.exit("usage: ./dev bench api")
    api()
