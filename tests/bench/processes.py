"""Programs under measurement: started together, stopped together, and what they take of the machine."""
import os
import signal
import socket
import subprocess
from pathlib import Path


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Group:
    """A context: its programs are ended with it. Their output goes to FOLDER/NAME.log."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.processes = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def start(self, name, *command):
        with open(self.folder / f"{name}.log", "a") as log:
            self.processes.append(subprocess.Popen([str(part) for part in command], stdout=log, stderr=log))

    def cpu_seconds(self):
        ticks = 0
        for process in self.processes:
            fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def resident_mb(self):
        pages = sum(int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) for process in self.processes)
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
