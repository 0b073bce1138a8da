"""A control plane of a test's own (`redoubt server`, no node), for tests that need flags or files of their own."""
import json
import os
import socket
import subprocess
import time

from conftest import ROOT

REDOUBT = ROOT / "build" / os.environ.get("REDOUBT_PRESET", "release") / "redoubt"


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class ControlPlane:
    """Starts on a free loopback port with its data under `folder`; every call has a deadline."""

    def __init__(self, folder, *flags):
        self.folder = folder
        self.data = folder / "data"
        self.kubeconfig = folder / "admin.kubeconfig"
        self.log = folder / "redoubt.log"
        self.port = free_port()
        self.process = None
        self.start(*flags)

    def command(self, *flags):
        return [REDOUBT, "server", "--data-dir", self.data, "--bind-address", "127.0.0.1", "--secure-port", str(self.port), "--write-kubeconfig",
                self.kubeconfig, *map(str, flags)]

    def start(self, *flags):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command(*flags), stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        end = time.monotonic() + 60
        # Its controllers too: tests ask for the default service account's token.
        while not self.kubeconfig.exists() or self.kubectl("-n", "default", "get", "serviceaccount", "default", check=False).returncode != 0:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.1)

    def stop(self, kill=False):
        if self.process is None:
            return
        self.process.kill() if kill else self.process.terminate()
        self.process.wait(30)
        self.process = None

    def restart(self, *flags, kill=False):
        self.stop(kill)
        self.start(*flags)

    def refuses(self, *flags):
        """Starts with what must not start; returns what it said."""
        result = subprocess.run(self.command(*flags), capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        assert result.returncode != 0, "this should not have started"
        return result.stdout + result.stderr

    def kubectl(self, *args, input=None, check=True, timeout=60):
        result = subprocess.run(["kubectl", "--kubeconfig", self.kubeconfig, *args], input=input, text=True, capture_output=True, timeout=timeout)
        if check and result.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(args)} exited {result.returncode}\n{result.stdout}\n{result.stderr}\n{self.log.read_text()[-2000:]}")
        return result

    def out(self, *args, **kwargs):
        return self.kubectl(*args, **kwargs).stdout.strip()

    def json(self, *args):
        return json.loads(self.out(*args, "-o", "json"))

    def curl(self, path, *args):
        """An anonymous request; (status code, headers and body)."""
        result = subprocess.run(["curl", "-sik", f"https://127.0.0.1:{self.port}{path}", "-w", "\n%{http_code}", *args], text=True, capture_output=True,
                                timeout=30, check=True)
        text, _, code = result.stdout.rpartition("\n")
        return int(code), text
