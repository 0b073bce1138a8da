"""Paths pod-apiserver and service-apiserver: a pod reaches the API server with what was injected, and only as who it is."""
SCRIPT = r"""
D=/var/run/secrets/kubernetes.io/serviceaccount
T="${TOKEN:-$(cat $D/token)}"
HOST=$KUBERNETES_SERVICE_HOST PORT=$KUBERNETES_SERVICE_PORT
printf 'GET %s HTTP/1.1\r\nHost: kubernetes.default.svc\r\nAuthorization: Bearer %s\r\nConnection: close\r\n\r\n' "$1" "$T" |
  openssl s_client -quiet -verify_return_error -CAfile $D/ca.crt -verify_hostname kubernetes.default.svc -connect $HOST:$PORT 2>/tmp/err | head -1
"""


def ask(cluster, namespace, path, token=None, script=SCRIPT):
    prefix = ["env", f"TOKEN={token}"] if token else []
    return cluster.out("-n", namespace, "exec", "caller", "--", *prefix, "sh", "-c", script, "sh", path)


def test_service_account_token_and_ca(cluster, namespace, make_pod):
    # The pod brings the host's openssl and libraries by hostPath: the test image has no TLS client that verifies.
    host = {"name": "usr", "hostPath": {"path": "/usr"}}
    make_pod("caller", "ln -s /usr/lib /lib; ln -s /usr/lib64 /lib64; sleep 1000", volumes=[host],
             container={"volumeMounts": [{"name": "usr", "mountPath": "/usr", "readOnly": True}]})
    cluster.apply(f"""
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {{name: view, namespace: {namespace}}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}}
subjects: [{{kind: ServiceAccount, name: default, namespace: {namespace}}}]
""")
    pods = f"/api/v1/namespaces/{namespace}/pods"
    cluster.eventually("200 where RBAC allows", lambda: " 200 " in ask(cluster, namespace, pods))
    assert " 403 " in ask(cluster, namespace, f"/api/v1/namespaces/{namespace}/secrets")
    assert " 403 " in ask(cluster, namespace, "/api/v1/namespaces/kube-system/pods")
    token = cluster.out("-n", namespace, "exec", "caller", "--", "cat", "/var/run/secrets/kubernetes.io/serviceaccount/token")
    header, payload, signature = token.split(".")
    middle = len(signature) // 2
    flipped = signature[:middle] + ("A" if signature[middle] != "A" else "B") + signature[middle + 1:]
    assert " 401 " in ask(cluster, namespace, pods, f"{header}.{payload}.{flipped}")
    assert " 401 " in ask(cluster, namespace, pods, "nonsense")
    assert cluster.out("-n", namespace, "exec", "caller", "--", "cat", "/var/run/secrets/kubernetes.io/serviceaccount/namespace") == namespace
    # Another name than the server's is refused by the client: the CA proves who answers.
    wrong = SCRIPT.replace("-verify_hostname kubernetes.default.svc", "-verify_hostname evil.example")
    assert ask(cluster, namespace, pods, script=wrong) == ""
    # A token bound to a deleted pod is worth nothing.
    server = cluster.out("config", "view", "-o", "jsonpath={.clusters[0].cluster.server}")
    status = lambda: cluster.run("curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", "-H", f"Authorization: Bearer {token}", server + pods).stdout
    assert status() == "200"
    cluster.kubectl("-n", namespace, "delete", "pod", "caller", "--timeout=30s")
    cluster.eventually("401 after the pod is gone", lambda: status() == "401", timeout=30)


def test_anonymous_reaches_health_only(cluster):
    server = cluster.out("config", "view", "-o", "jsonpath={.clusters[0].cluster.server}")
    code = lambda path: cluster.run("curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", server + path).stdout
    for path in ("/livez", "/readyz", "/healthz"):
        assert code(path) == "200", path
    for path in ("/version", "/api", "/apis", "/metrics", "/api/v1/namespaces", "/openapi/v3"):
        assert code(path) == "401", path
