"""An upstream control plane on loopback: etcd and kube-apiserver with mutual TLS, and the rest of it when named."""
import os
import subprocess
from pathlib import Path

from processes import free_port

PREFIX = "REDOUBT_BENCH_"
CLIENTS = {  # certificate: subject
    "admin": "/O=system:masters/CN=admin",
    "controller-manager": "/CN=system:kube-controller-manager",
    "scheduler": "/CN=system:kube-scheduler",
}


def program(name):
    return os.environ.get(PREFIX + name)


def named():
    return bool(program("ETCD") and program("KUBE_APISERVER"))


def openssl(folder, *arguments, stdin=None):
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True, input=stdin, text=True)


def make_certificates(folder):
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    openssl(folder, "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=bench")
    openssl(folder, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "sa.key")
    subjects = CLIENTS | {"server": "/CN=server"}
    for name, subject in subjects.items():
        openssl(folder, "req", "-new", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject)
        openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
                "-out", f"{name}.crt", "-extfile", "/dev/stdin", stdin="subjectAltName=IP:127.0.0.1,DNS:localhost\n")


def write_kubeconfig(folder, name, port):
    path = folder / f"{name}.kubeconfig"
    path.write_text(f"""apiVersion: v1
kind: Config
clusters:
- name: bench
  cluster:
    server: https://127.0.0.1:{port}
    certificate-authority: {folder}/ca.crt
users:
- name: {name}
  user:
    client-certificate: {folder}/{name}.crt
    client-key: {folder}/{name}.key
contexts:
- name: bench
  context: {{cluster: bench, user: {name}}}
current-context: bench
""")
    return path


def prepare(folder):
    """Makes keys and configuration; what starts the programs, and the administrator's kubeconfig."""
    folder = Path(folder).resolve()
    folder.mkdir(parents=True)
    make_certificates(folder)
    etcd, peer, api = free_port(), free_port(), free_port()
    paths = {name: write_kubeconfig(folder, name, api) for name in CLIENTS}

    def start(group):
        group.start("etcd", program("ETCD"), f"--data-dir={folder}/etcd", f"--listen-client-urls=https://127.0.0.1:{etcd}",
                    f"--advertise-client-urls=https://127.0.0.1:{etcd}", f"--listen-peer-urls=http://127.0.0.1:{peer}",
                    f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}", f"--initial-cluster=default=http://127.0.0.1:{peer}",
                    f"--cert-file={folder}/server.crt", f"--key-file={folder}/server.key", "--client-cert-auth",
                    f"--trusted-ca-file={folder}/ca.crt", "--log-level=error")
        group.start("kube-apiserver", program("KUBE_APISERVER"), f"--etcd-servers=https://127.0.0.1:{etcd}", f"--etcd-cafile={folder}/ca.crt",
                    f"--etcd-certfile={folder}/admin.crt", f"--etcd-keyfile={folder}/admin.key", "--bind-address=127.0.0.1",
                    f"--secure-port={api}", "--advertise-address=192.0.2.1", "--endpoint-reconciler-type=none",
                    f"--tls-cert-file={folder}/server.crt", f"--tls-private-key-file={folder}/server.key", f"--client-ca-file={folder}/ca.crt",
                    f"--service-account-key-file={folder}/sa.key", f"--service-account-signing-key-file={folder}/sa.key",
                    "--service-account-issuer=https://kubernetes.default.svc", "--authorization-mode=Node,RBAC",
                    "--service-cluster-ip-range=10.96.0.0/16")
        if program("KUBE_CONTROLLER_MANAGER"):
            group.start("kube-controller-manager", program("KUBE_CONTROLLER_MANAGER"), f"--kubeconfig={paths['controller-manager']}",
                        f"--service-account-private-key-file={folder}/sa.key", f"--root-ca-file={folder}/ca.crt",
                        "--use-service-account-credentials", "--bind-address=127.0.0.1", f"--secure-port={free_port()}",
                        f"--authentication-kubeconfig={paths['controller-manager']}", f"--authorization-kubeconfig={paths['controller-manager']}")
        if program("KUBE_SCHEDULER"):
            group.start("kube-scheduler", program("KUBE_SCHEDULER"), f"--kubeconfig={paths['scheduler']}", "--bind-address=127.0.0.1",
                        f"--secure-port={free_port()}", f"--authentication-kubeconfig={paths['scheduler']}",
                        f"--authorization-kubeconfig={paths['scheduler']}")
    return start, paths["admin"]
