"""Test hosts as network namespaces around one router, in which the attacker sits.

Every packet between two hosts passes the router: there it is recorded, dropped, delayed, redirected to somebody else.
"""
import ctypes
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent


class Unsupported(Exception):
    """This machine can't build the testbed; says what is missing."""


def sh(*args, check=True, timeout=30, input=None):
    result = subprocess.run([str(a) for a in args], text=True, capture_output=True, timeout=timeout, input=input)
    if check and result.returncode != 0:
        raise RuntimeError(f"{' '.join(str(a) for a in args)} exited {result.returncode}: {result.stderr.strip() or result.stdout.strip()}")
    return result.stdout


def check_machine():
    if os.geteuid() != 0:
        raise Unsupported("the testbed makes network namespaces: run it as root")
    missing = [tool for tool in ("ip", "nft", "nsenter", "containerd", "runc", "ctr", "kubectl", "openssl") if shutil.which(tool) is None]
    if missing:
        raise Unsupported(f"the testbed needs {', '.join(missing)}: ./dev build installs what is missing")
    probe = f"rtb-probe-{os.getpid()}"
    result = subprocess.run(["ip", "netns", "add", probe], text=True, capture_output=True)
    if result.returncode != 0:
        raise Unsupported(f"the testbed can't make a network namespace here: {result.stderr.strip()}")
    sh("ip", "netns", "del", probe)


def socket_in(netns):
    """A TCP socket of this process that belongs to another network namespace."""
    made = []

    def make():
        libc = ctypes.CDLL(None, use_errno=True)
        with open(f"/run/netns/{netns}") as namespace:
            if libc.setns(namespace.fileno(), 0x40000000) != 0:  # CLONE_NEWNET; of this thread alone
                made.append(OSError(ctypes.get_errno(), f"setns {netns}"))
                return
        made.append(socket.socket())
    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    if isinstance(made[0], OSError):
        raise made[0]
    return made[0]


class Process:
    """A program that runs in a host's network namespace, with its output in a file."""

    def __init__(self, netns, args, log, env=None):
        self.args, self.log = [str(a) for a in args], Path(log)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        # nsenter, not `ip netns exec`: that one mounts a fresh /sys, which hides the cgroup hierarchies.
        with open(self.log, "ab") as out:
            self.process = subprocess.Popen(["nsenter", f"--net=/run/netns/{netns}", *self.args], stdin=subprocess.DEVNULL,
                                            stdout=out, stderr=out, start_new_session=True, env=env)

    @property
    def pid(self):
        return self.process.pid

    def running(self):
        return self.process.poll() is None

    def stop(self, timeout=15):
        if self.running():
            self.process.terminate()
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self):
        """As a crash would: the process alone, at once."""
        if self.running():
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(10)

    def signal(self, number):
        self.process.send_signal(number)

    def tail(self, lines=20):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


class Host:
    """One machine of the testbed: a network namespace with one link to the router."""

    def __init__(self, network, name, number):
        self.network, self.name, self.number = network, name, number
        self.netns = f"{network.prefix}-{name}"
        self.ip = f"10.77.{number}.2"
        self.gateway = f"10.77.{number}.1"
        self.link = f"to-{name}"  # the router's end
        self.slow_link = f"slow{number}"  # the way by which its packets come late (Network.delay)

    def run(self, *args, check=True, timeout=60, input=None):
        return sh("nsenter", f"--net=/run/netns/{self.netns}", *args, check=check, timeout=timeout, input=input)

    def start(self, *args, log, env=None):
        return self.network.track(Process(self.netns, args, log, env))

    def connect(self, address, port, timeout=10):
        """A connection of this process, made from the host."""
        connection = socket_in(self.netns)
        connection.settimeout(timeout)
        connection.connect((address, port))
        return connection

    def connections(self, port):
        """TCP connections of this host that are up and have that port at one end: [(own port, peer's port), ...]."""
        out = []
        for line in self.run("ss", "-Htn", "state", "established").splitlines():
            own, peer = (int(part.rpartition(":")[2]) for part in line.split()[2:4])
            if port in (own, peer):
                out.append((own, peer))
        return out

    def listening(self):
        """Addresses that TCP sockets of this host listen on: [("127.0.0.1", 10250), ...]."""
        out = []
        for line in self.run("ss", "-Hltn").splitlines():
            address, _, port = line.split()[3].rpartition(":")
            out.append((address.strip("[]").split("%")[0], int(port)))
        return sorted(out)


class Impostor:
    """Answers TLS on a port of the router, and notes who refused it and what anybody said to it."""

    def __init__(self, netns, port, certificate, key):
        self.refused, self.handshakes, self.received, self.certificates = [], 0, b"", []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(certificate, key)
        self.context.load_verify_locations(certificate)
        self.context.verify_mode = ssl.CERT_OPTIONAL
        self.listener = socket_in(netns)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("0.0.0.0", port))
        self.listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, peer = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection, peer[0]), daemon=True).start()

    def _serve(self, connection, peer):
        connection.settimeout(10)
        try:
            with self.context.wrap_socket(connection, server_side=True) as tls:
                self.handshakes += 1
                while got := tls.recv(65536):
                    self.received += got
        except ssl.SSLError as error:
            self.refused.append((peer, str(error)))
        except OSError:
            pass

    def refusals_of(self, host):
        return [why for peer, why in self.refused if peer == host.ip]

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class Capture:
    """Every packet that passed the router while it ran, as a pcap file."""

    def __init__(self, process, path):
        self.process, self.path = process, Path(path)

    def stop(self):
        # What is on its way to the recorder still gets there.
        time.sleep(0.3)
        self.process.signal(signal.SIGINT)
        self.process.process.wait(10)
        return self

    def bytes(self):
        return self.path.read_bytes()

    def contains(self, marker):
        marker = marker.encode() if isinstance(marker, str) else marker
        return marker in self.bytes()

    def size(self):
        return self.path.stat().st_size


class Network:
    made = 0  # by this process

    def __init__(self, folder, prefix=None):
        check_machine()
        self.folder = Path(folder)
        Network.made += 1
        self.prefix = prefix or f"rtb{os.getpid()}x{Network.made}"
        self.router = f"{self.prefix}-router"
        self.hosts = {}
        self.processes = []
        self.silences = 0
        sh("ip", "netns", "add", self.router)
        sh("ip", "-n", self.router, "link", "set", "lo", "up")
        self.in_router("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0")

    def in_router(self, *args, **kwargs):
        return sh("nsenter", f"--net=/run/netns/{self.router}", *args, **kwargs)

    def track(self, process):
        self.processes.append(process)
        return process

    def add_host(self, name, nat=False):
        number = len(self.hosts) + 1
        host = Host(self, name, number)
        sh("ip", "netns", "add", host.netns)
        sh("ip", "-n", host.netns, "link", "set", "lo", "up")
        sh("ip", "link", "add", f"rtb{os.getpid()}e{number}", "netns", host.netns, "type", "veth", "peer", "name", host.link, "netns", self.router)
        sh("ip", "-n", host.netns, "link", "set", f"rtb{os.getpid()}e{number}", "name", "eth0")
        sh("ip", "-n", host.netns, "addr", "add", f"{host.ip}/24", "dev", "eth0")
        sh("ip", "-n", host.netns, "link", "set", "eth0", "up")
        sh("ip", "-n", self.router, "addr", "add", f"{host.gateway}/24", "dev", host.link)
        sh("ip", "-n", self.router, "link", "set", host.link, "up")
        sh("ip", "-n", host.netns, "route", "add", "default", "via", host.gateway)
        host.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        self.hosts[name] = host
        if nat:
            self.nft(f"""table ip nat_{name} {{
                chain post {{ type nat hook postrouting priority 100; iifname {{ "{host.link}", "{host.slow_link}" }} oifname != "{host.link}" masquerade; }}
                chain forward_in {{ type filter hook forward priority 0; oifname "{host.link}" ct state established,related accept; oifname "{host.link}" drop; }}
            }}""")
        return host

    def nft(self, rules):
        self.in_router("nft", "-f", "-", input=rules)

    # ---- what the attacker can do ----

    def capture(self, name="capture"):
        """Records all links of the router until stop()."""
        path = self.folder / f"{name}.pcap"
        ready = self.folder / f"{name}.ready"
        ready.unlink(missing_ok=True)
        links = [host.link for host in self.hosts.values()]
        process = self.track(Process(self.router, [sys.executable, HERE / "recorder.py", path, ready, *links], self.folder / f"{name}.log"))
        wait(lambda: ready.exists() or not process.running(), 10, "the recorder")
        if not process.running():
            raise RuntimeError(f"the recorder ended: {process.tail()}")
        return Capture(process, path)

    def cut(self, host):
        """Nothing passes to or from the host, and nobody is told."""
        self.nft(f"""table ip cut_{host.name} {{
            chain both {{ type filter hook forward priority -10; iifname "{host.link}" drop; oifname "{host.link}" drop; }}
        }}""")

    def heal(self, host):
        self.in_router("nft", "delete", "table", "ip", f"cut_{host.name}", check=False)

    def silence(self, host, connections, both_ways):
        """Of these connections of the host (own port, peer's port) nothing from it gets through any more, and if `both_ways` nothing to it;
        others do. Returns what unsilence() takes."""
        self.silences += 1
        name = f"silence_{host.name}_{self.silences}"
        rules = [f"ip saddr {host.ip} tcp sport {own} tcp dport {peer} drop;" for own, peer in connections]
        if both_ways:
            rules += [f"ip daddr {host.ip} tcp dport {own} tcp sport {peer} drop;" for own, peer in connections]
        self.nft(f"table ip {name} {{\n chain both {{\n type filter hook forward priority -10; {' '.join(rules)}\n }}\n}}")
        return name

    def unsilence(self, name):
        self.in_router("nft", "delete", "table", "ip", name, check=False)

    def lose(self, host, percent):
        """That share of the packets to and from the host is lost. 0 ends it."""
        self.in_router("nft", "delete", "table", "ip", f"lose_{host.name}", check=False)
        if percent:
            self.nft(f"""table ip lose_{host.name} {{
                chain both {{ type filter hook forward priority -9;
                    iifname "{host.link}" numgen random mod 100 < {percent} drop; oifname "{host.link}" numgen random mod 100 < {percent} drop; }}
            }}""")

    def delay(self, host, milliseconds):
        """Packets from the host take that much longer (a program on a TUN device: this needs no netem). 0 ends it."""
        device, table = host.slow_link, str(100 + host.number)
        for process in [p for p in self.processes if device in p.args]:
            process.stop()
            self.processes.remove(process)
        sh("ip", "-n", self.router, "rule", "del", "iif", host.link, "table", table, check=False)
        self.in_router("nft", "delete", "table", "ip", f"delay_{host.name}", check=False)
        if not milliseconds:
            return
        ready = self.folder / f"{device}.ready"
        ready.unlink(missing_ok=True)
        process = self.track(Process(self.router, [sys.executable, HERE / "slow_wire.py", device, milliseconds, ready], self.folder / f"{device}.log"))
        wait(lambda: ready.exists() or not process.running(), 10, "the slow wire")
        if not process.running():
            raise RuntimeError(f"the slow wire ended: {process.tail()}")
        sh("ip", "-n", self.router, "link", "set", device, "up")
        sh("ip", "-n", self.router, "route", "replace", "default", "dev", device, "table", table)
        sh("ip", "-n", self.router, "rule", "add", "iif", host.link, "table", table, "priority", str(200 + host.number))
        # Each packet passes the router twice: only the second time, when it comes back late, is it part of a connection.
        self.nft(f"""table ip delay_{host.name} {{
            chain pre {{ type filter hook prerouting priority -300; iifname "{host.link}" notrack; }}
        }}""")

    def redirect(self, host, port, to_port):
        """What is meant for the host's port goes to a program on the router instead: the attacker answers."""
        self.nft(f"""table ip redirect_{host.name} {{
            chain pre {{ type nat hook prerouting priority -100; ip daddr {host.ip} tcp dport {port} redirect to :{to_port}; }}
        }}""")

    def restore(self, host):
        self.in_router("nft", "delete", "table", "ip", f"redirect_{host.name}", check=False)

    def start_in_router(self, *args, log):
        return self.track(Process(self.router, args, log))

    def impostor(self, port, certificate, key):
        return Impostor(self.router, port, certificate, key)

    def close(self):
        for process in reversed(self.processes):
            process.stop()
        for host in self.hosts.values():
            sh("ip", "netns", "del", host.netns, check=False)
        sh("ip", "netns", "del", self.router, check=False)


def wait(condition, seconds, what):
    """Until condition() is true; returns its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.1)
