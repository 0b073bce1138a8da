"""Every way to come in, and every question about who one is and what one may: asked of a running server over HTTPS."""
import base64
import http.server
import json
import ssl
import threading
import time

import pytest
from authorities import Authority
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from servers import Caller, Server, eventually, make_request

WHO = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
REVIEWS = "/apis/authentication.k8s.io/v1"


def url64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from64(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Outside:
    """An OpenID Connect issuer and the two webhooks, as one HTTPS server."""

    def __init__(self, authority):
        self.key, self.asked = ec.generate_private_key(ec.SECP256R1()), []
        outside = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, body):
                text = json.dumps(body).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def do_GET(self):
                point = outside.key.public_key().public_numbers()
                answers = {
                    "/.well-known/openid-configuration": {"issuer": outside.url, "jwks_uri": outside.url + "/keys"},
                    "/keys": {"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "k1",
                                        "x": url64(point.x.to_bytes(32, "big")), "y": url64(point.y.to_bytes(32, "big"))}]}}
                self.answer(answers[self.path])

            def do_POST(self):
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outside.asked.append((self.path, asked["spec"]))
                if self.path.startswith("/tokens"):
                    status = {"authenticated": asked["spec"]["token"] == "known-to-the-webhook"}
                    if status["authenticated"]:
                        status["user"] = {"username": "wanda", "uid": "w-1", "groups": ["weavers"], "extra": {"loom": ["left", "right"]}}
                else:
                    wanted = asked["spec"]
                    status = {"allowed": wanted["user"] == "wanda" and wanted.get("resourceAttributes", {}).get("resource") == "configmaps"}
                self.answer({"apiVersion": asked["apiVersion"], "kind": asked["kind"], "status": status})

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.leaf("outside", addresses=["127.0.0.1"]))
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def token(self, **changes):
        now = int(time.time())
        claims = {"iss": self.url, "aud": "redoubt", "sub": "ann", "iat": now, "exp": now + 600, "groups": ["admins"], "id": "o-1", **changes}
        text = url64(json.dumps({"alg": "ES256", "kid": "k1"}).encode()) + "." + url64(json.dumps(claims).encode())
        r, s = decode_dss_signature(self.key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
        return text + "." + url64(r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def authentication_file(path, outside, authority, prefix):
    path.write_text(json.dumps({
        "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration",
        "anonymous": {"enabled": True, "conditions": [{"path": "/livez"}, {"path": "/readyz"}, {"path": "/version"}]},
        "jwt": [{"issuer": {"url": outside.url, "audiences": ["redoubt"], "certificateAuthority": authority.pem},
                 "claimMappings": {"username": {"claim": "sub", "prefix": prefix}, "groups": {"claim": "groups", "prefix": prefix}, "uid": {"claim": "id"}}}]}))


def webhook_kubeconfig(path, url, authority):
    path.write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "c", "users": [{"name": "u", "user": {}}],
        "clusters": [{"name": "c", "cluster": {"server": url, "certificate-authority-data": base64.b64encode(authority.pem.encode()).decode()}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}]}))
    return str(path)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("authentication")
    people, proxies, web = Authority(folder, "people"), Authority(folder, "proxies"), Authority(folder, "web")
    outside = Outside(web)
    authentication_file(folder / "authentication.json", outside, web, "oidc:")
    (folder / "tokens.csv").write_text('s3cret-of-carol,carol,c-1,"readers,writers"\n')
    (folder / "authorization.json").write_text(json.dumps({
        "apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthorizationConfiguration", "authorizers": [
            {"type": "Node", "name": "node"}, {"type": "RBAC", "name": "rbac"},
            {"type": "Webhook", "name": "w", "webhook": {
                "timeout": "3s", "authorizedTTL": "5m", "unauthorizedTTL": "30s", "subjectAccessReviewVersion": "v1",
                "matchConditionSubjectAccessReviewVersion": "v1", "failurePolicy": "Deny",
                "connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": webhook_kubeconfig(folder / "access.conf", outside.url + "/access", web)}}}]}))
    with Server(folder, "--client-ca-file", people.file, "--token-auth-file", str(folder / "tokens.csv"),
                "--requestheader-client-ca-file", proxies.file, "--requestheader-allowed-names", "proxy", "--requestheader-uid-headers", "X-Remote-Uid",
                "--authentication-config", str(folder / "authentication.json"), "--authorization-config", str(folder / "authorization.json"),
                "--authentication-token-webhook-config-file", webhook_kubeconfig(folder / "tokens.conf", outside.url + "/tokens", web),
                "--node-address-allow", "203.0.113.0/24") as running:
        eventually("the default account", lambda: running.kubectl("get", "sa", "default", check=False).returncode == 0)
        running.ca = (running.data / "pki" / "ca.crt").read_text()
        running.people, running.proxies, running.web, running.outside = people, proxies, web, outside
        yield running
    outside.server.shutdown()


def caller(server, certificate=None, token=None):
    return Caller(("127.0.0.1", server.port), server.ca, certificate, token=token)


def who(from_, **headers):
    answer = from_.request("POST", REVIEWS + "/selfsubjectreviews", WHO, headers={k.replace("_", "-"): v for k, v in headers.items()})
    return answer.json["status"]["userInfo"] if answer.status == 201 else answer.status


def test_each_credential_says_who_one_is(server):
    account = server.kubectl("create", "token", "default").stdout.strip()
    uid = server.get("sa", "default")["metadata"]["uid"]
    proxy = caller(server, server.proxies.leaf("proxy"))
    bootstrap = server.token("--groups", "system:bootstrappers:edge")
    for from_, headers, expected in [
            (caller(server, server.people.leaf("jane", ["devs", "ops"])), {}, ("jane", "", ["devs", "ops"])),
            (caller(server, token="s3cret-of-carol"), {}, ("carol", "c-1", ["readers", "writers"])),
            (caller(server, token=account), {}, ("system:serviceaccount:default:default", uid, ["system:serviceaccounts", "system:serviceaccounts:default"])),
            (caller(server, token=bootstrap), {}, (f"system:bootstrap:{bootstrap[:6]}", "", ["system:bootstrappers", "system:bootstrappers:edge"])),
            (caller(server, token=server.outside.token()), {}, ("oidc:ann", "o-1", ["oidc:admins"])),
            (caller(server, token="known-to-the-webhook"), {}, ("wanda", "w-1", ["weavers"])),
            (proxy, {"X-Remote-User": "pat", "X-Remote-Uid": "p-1", "X-Remote-Group": "posters", "X-Remote-Extra-Scopes": "a"}, ("pat", "p-1", ["posters"]))]:
        said = who(from_, **headers)
        assert said not in (401, 403), (expected, said)
        assert (said["username"], said.get("uid", ""), said["groups"]) == (*expected[:2], [*expected[2], "system:authenticated"])
    assert who(proxy, **{"X-Remote-User": "pat", "X-Remote-Extra-Scopes": "a"})["extra"]["scopes"] == ["a"]


def test_what_is_nearly_a_credential_is_none(server):
    outside = server.outside
    for name, from_, headers in [
            ("a proxy of a name that is not allowed", caller(server, server.proxies.leaf("other")), {"X-Remote-User": "pat"}),
            ("a proxy's headers from somebody else", caller(server), {"X-Remote-User": "kubernetes-admin"}),
            ("an issuer's token for another", caller(server, token=outside.token(aud="somebody")), {}),
            ("an issuer's expired token", caller(server, token=outside.token(exp=int(time.time()) - 1)), {}),
            ("an issuer's token that is not valid yet", caller(server, token=outside.token(nbf=int(time.time()) + 3600)), {}),
            ("a token of another issuer", caller(server, token=outside.token(iss="https://elsewhere.example")), {}),
            ("what the webhook does not know", caller(server, token="guess"), {}),
            ("nothing", caller(server), {})]:
        assert who(from_, **headers) == 401, name
    # A proxy's headers add nothing to who somebody is without them.
    assert who(caller(server, server.people.leaf("june")), **{"X-Remote-User": "kubernetes-admin", "X-Remote-Group": "system:masters"})["username"] == "june"


def test_the_webhook_is_asked_once_for_a_token(server):
    asked = lambda: sum(1 for path, spec in server.outside.asked if path.startswith("/tokens") and spec["token"] == "known-to-the-webhook")
    from_ = caller(server, token="known-to-the-webhook")
    who(from_)
    before = asked()
    for _ in range(5):
        assert who(from_)["extra"] == {"loom": ["left", "right"]}
    assert asked() == before


def test_the_access_webhook_is_asked_after_the_others(server):
    wanda = caller(server, token="known-to-the-webhook")
    assert wanda.request("GET", "/api/v1/namespaces/default/configmaps").status == 200
    assert wanda.request("GET", "/api/v1/namespaces/default/secrets").status == 403
    # What RBAC allows is not asked there.
    before = len(server.outside.asked)
    assert server.admin().request("GET", "/api/v1/namespaces/default/secrets").status == 200
    assert [a for a in server.outside.asked[before:] if a[0].startswith("/access") and a[1]["user"] == "kubernetes-admin"] == []


def test_anonymous_reaches_the_named_paths_only(server):
    nobody = caller(server)
    for path, status in (("/livez", 200), ("/readyz", 200), ("/version", 403), ("/healthz", 401), ("/api", 401), ("/metrics", 401), ("/livez/ping", 401)):
        assert nobody.request("GET", path).status == status, path
    # Being let in as nobody is not yet being allowed.
    server.kubectl("create", "clusterrolebinding", "open-version", "--clusterrole=system:public-info-viewer", "--group=system:unauthenticated")
    assert nobody.request("GET", "/version").status == 200
    assert nobody.request("GET", "/healthz").status == 401


def test_a_changed_authentication_file_is_taken_without_a_restart(server):
    token = server.outside.token()
    authentication_file(server.folder / "authentication.json", server.outside, server.web, "new:")
    try:
        eventually("the new prefix", lambda: who(caller(server, token=token)) not in (401, 403) and who(caller(server, token=token))["username"] == "new:ann", timeout=30)
        # A file that is wrong changes nothing.
        (server.folder / "authentication.json").write_text("{")
        time.sleep(6)
        assert who(caller(server, token=token))["username"] == "new:ann"
    finally:
        authentication_file(server.folder / "authentication.json", server.outside, server.web, "oidc:")
    eventually("the first prefix", lambda: who(caller(server, token=token))["username"] == "oidc:ann", timeout=30)


def test_impersonation(server):
    admin = server.admin()
    said = who(admin, Impersonate_User="jane", Impersonate_Group="devs", Impersonate_Uid="j-1", Impersonate_Extra_Scopes="view")
    assert (said["username"], said["uid"], said["groups"], said["extra"]["scopes"]) == ("jane", "j-1", ["devs", "system:authenticated"], ["view"])
    said = who(admin, Impersonate_User="system:serviceaccount:default:default")
    assert said["groups"] == ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"]
    assert admin.request("GET", "/api/v1/secrets", headers={"Impersonate-User": "jane"}).status == 403
    # Groups, uid or extra of nobody.
    assert who(admin, Impersonate_Group="devs") in (400, 500)
    # Who may be one person is not thereby another, nor in a group, nor has a uid.
    server.kubectl("create", "clusterrole", "as-jane", "--verb=impersonate", "--resource=users", "--resource-name=jane")
    server.kubectl("create", "clusterrolebinding", "as-jane", "--clusterrole=as-jane", "--user=carol")
    carol = caller(server, token="s3cret-of-carol")
    assert who(carol, Impersonate_User="jane")["username"] == "jane"
    for headers in ({"Impersonate_User": "june"}, {"Impersonate_User": "jane", "Impersonate_Group": "system:masters"},
                    {"Impersonate_User": "jane", "Impersonate_Uid": "1"}, {"Impersonate_User": "jane", "Impersonate_Extra_Scopes": "x"}):
        assert who(carol, **headers) == 403, headers


def test_the_discovery_document_and_its_keys_verify_a_token(server):
    token = server.kubectl("create", "token", "default", "--audience", "vault").stdout.strip()
    pod = caller(server, token=server.kubectl("create", "token", "default").stdout.strip())
    found = pod.request("GET", "/.well-known/openid-configuration").json
    header, claims, signature = token.split(".")
    claimed = json.loads(from64(claims))
    assert claimed["iss"] == found["issuer"] and claimed["aud"] == ["vault"]
    assert found["response_types_supported"] == ["id_token"] and found["subject_types_supported"] == ["public"]
    assert json.loads(from64(header))["alg"] in found["id_token_signing_alg_values_supported"]
    assert found["jwks_uri"].endswith("/openid/v1/jwks")
    keys = {k["kid"]: k for k in pod.request("GET", "/openid/v1/jwks").json["keys"]}
    key = keys[json.loads(from64(header))["kid"]]
    number = lambda name: int.from_bytes(from64(key[name]), "big")
    raw = from64(signature)
    ec.EllipticCurvePublicNumbers(number("x"), number("y"), ec.SECP256R1()).public_key().verify(
        encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")), f"{header}.{claims}".encode(), ec.ECDSA(hashes.SHA256()))
    # Not for everybody: a system outside gets them by a binding to system:service-account-issuer-discovery.
    assert caller(server).request("GET", "/openid/v1/jwks").status == 401


def test_token_reviews(server):
    def review(token, audiences=()):
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token, "audiences": list(audiences)}}
        return server.admin().request("POST", REVIEWS + "/tokenreviews", body).json["status"]

    token = server.kubectl("create", "token", "default", "--audience", "vault").stdout.strip()
    said = review(token, ["vault", "other"])
    assert said["authenticated"] and said["audiences"] == ["vault"] and said["user"]["username"] == "system:serviceaccount:default:default"
    for wrong in (review(token), review(token, ["other"]), review("nonsense"), review(token[:-6] + "AAAAAA", ["vault"])):
        assert not wrong.get("authenticated") and "user" not in wrong or wrong["user"] == {}
    assert caller(server, token="s3cret-of-carol").request("POST", REVIEWS + "/tokenreviews", {
        "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}).status == 403


@pytest.mark.parametrize("kind", ["Pod", "Secret", "Node"])
def test_a_token_ends_with_what_it_is_bound_to(server, kind):
    name = "bound"
    make = {"Pod": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"nodeName": "none", "terminationGracePeriodSeconds": 0, "containers": [{"name": "c", "image": "i"}]}},
            "Secret": {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}}, "Node": {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}}[kind]
    server.kubectl("apply", "-f", "-", input=json.dumps(make))
    token = server.kubectl("create", "token", "default", "--bound-object-kind", kind, "--bound-object-name", name).stdout.strip()
    from_ = caller(server, token=token)
    assert who(from_)["username"] == "system:serviceaccount:default:default"
    server.kubectl("delete", kind, name, "--force", "--grace-period=0")
    assert who(from_) == 401


def test_questions_about_rights(server):
    server.kubectl("create", "role", "reader", "--verb=get,list", "--resource=pods")
    server.kubectl("create", "rolebinding", "reader", "--role=reader", "--user=jane")
    jane = caller(server, server.people.leaf("jane"))
    access = "/apis/authorization.k8s.io/v1"

    def ask(from_, kind, path, **spec):
        answer = from_.request("POST", path, {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec})
        return answer.json["status"] if answer.status == 201 else answer.status

    pods = lambda verb, ns: {"verb": verb, "resource": "pods", "namespace": ns}
    for verb, ns, allowed in (("get", "default", True), ("list", "default", True), ("delete", "default", False), ("get", "kube-system", False)):
        assert ask(jane, "SelfSubjectAccessReview", access + "/selfsubjectaccessreviews", resourceAttributes=pods(verb, ns))["allowed"] == allowed
        assert ask(server.admin(), "SubjectAccessReview", access + "/subjectaccessreviews", user="jane", resourceAttributes=pods(verb, ns))["allowed"] == allowed
    local = f"{access}/namespaces/default/localsubjectaccessreviews"
    said = ask(server.admin(), "LocalSubjectAccessReview", local, user="jane", resourceAttributes=pods("get", "default"))
    assert said["allowed"] and "reader" in said["reason"]
    assert ask(server.admin(), "LocalSubjectAccessReview", local, user="jane", resourceAttributes=pods("get", "kube-system")) in (400, 422)
    # What others may is not everybody's to ask.
    assert ask(jane, "SubjectAccessReview", access + "/subjectaccessreviews", user="carol", resourceAttributes=pods("get", "default")) == 403
    rules = ask(jane, "SelfSubjectRulesReview", access + "/selfsubjectrulesreviews", namespace="default")["resourceRules"]
    assert any(r["verbs"] == ["get", "list"] and r["resources"] == ["pods"] for r in rules), rules
    listed = server.kubectl("auth", "can-i", "--list", "--as=jane", "-n", "default").stdout
    assert "pods" in listed and "[get list]" in listed
    assert server.kubectl("auth", "can-i", "get", "pods", "--as=jane").stdout.strip() == "yes"


def test_an_allowed_address_needs_no_person(server, tmp_path):
    server.join("edge")
    node = server.node("edge")
    for name, address, approved in (("inside", "203.0.113.9", True), ("outside", "198.51.100.9", False)):
        body = {"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest", "metadata": {"name": name},
                "spec": {"request": make_request(tmp_path, name, "/O=system:nodes/CN=system:node:edge", ("DNS:edge", f"IP:{address}")),
                         "signerName": "kubernetes.io/kubelet-serving", "usages": ["digital signature", "server auth"]}}
        assert node.request("POST", "/apis/certificates.k8s.io/v1/certificatesigningrequests", body).status == 201
        if approved:
            eventually("its certificate", lambda: server.get("csr", name).get("status", {}).get("certificate"))
        else:
            said = eventually("an event that says why", lambda: [
                e["message"] for e in server.get("-n", "default", "events")["items"] if e["involvedObject"].get("name") == name])
            assert address in said[0] and not server.get("csr", name).get("status", {}).get("certificate")


def test_default_roles_are_mended_at_the_next_start(tmp_path):
    with Server(tmp_path) as server:
        server.kubectl("patch", "clusterrole", "view", "--type=merge", "-p", '{"metadata":{"labels":{"mine":"yes"}}}')
        server.kubectl("delete", "clusterrole", "system:node-proxier")
        server.kubectl("patch", "clusterrole", "system:kube-scheduler", "--type=merge", "-p", '{"rules":[]}')
        server.kubectl("patch", "clusterrolebinding", "system:discovery", "--type=merge", "-p", '{"subjects":[]}')
        # What its owner took charge of stays as it is.
        server.kubectl("annotate", "--overwrite", "clusterrole", "system:basic-user", "rbac.authorization.kubernetes.io/autoupdate=false")
        server.kubectl("patch", "clusterrole", "system:basic-user", "--type=merge", "-p", '{"rules":[]}')
    with Server(tmp_path, port=server.port) as server:
        assert server.get("clusterrole", "system:node-proxier")["rules"]
        assert server.get("clusterrole", "system:kube-scheduler")["rules"]
        assert server.get("clusterrolebinding", "system:discovery")["subjects"] == [
            {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:authenticated"}]
        assert not server.get("clusterrole", "system:basic-user").get("rules")
        assert server.get("clusterrole", "view")["metadata"]["labels"]["mine"] == "yes"
