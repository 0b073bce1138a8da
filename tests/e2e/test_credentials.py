"""Tokens and certificates that prove nothing: 401 whatever is wrong with them, and what it was only in the server's log."""
import base64
import datetime
import hashlib
import hmac
import json
import re
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from servers import Caller, Server, eventually

ISSUER = "https://kubernetes.default.svc.cluster.local"
# What everybody who is logged in may ask for, and nobody else.
PATH = "/api/v1"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("credentials")
    with Server(folder, "--log-level", "debug", "--audit-log-path", str(folder / "audit.log")) as running:
        running.uid = eventually("the default account", lambda: running.kubectl(
            "get", "sa", "default", "-o", "jsonpath={.metadata.uid}", check=False).stdout)
        running.ca = (running.data / "pki" / "ca.crt").read_text()
        yield running


def logged(server):
    """What the server's log said about failed authentications so far."""
    return [line for line in (server.folder / "server.log").read_text(errors="replace").splitlines() if "authentication failed" in line]


def refused(server, caller, why, secrets=()):
    before = len(logged(server))
    answer = caller.request("GET", PATH)
    assert answer.status == 401, answer
    body = answer.json
    # One answer for all of them.
    assert (body["kind"], body["reason"], body["message"], body["code"]) == ("Status", "Unauthorized", "Unauthorized", 401)
    assert not re.search(why, answer.text), "the answer says why"
    said = eventually("a line in the log", lambda: logged(server)[before:], timeout=10)
    assert re.search(why, said[-1]), said[-1]
    for secret in secrets:
        assert secret not in said[-1]
    # The health checks that anonymous may see are no way around it.
    assert caller.request("GET", "/readyz").status == 401


def url64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(header, claims, key):
    text = url64(json.dumps(header).encode()) + "." + url64(json.dumps(claims).encode())
    r, s = decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    return text + "." + url64(r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def tokens(server):
    key = serialization.load_pem_private_key((server.data / "pki" / "sa.key").read_bytes(), None)
    public = (server.data / "pki" / "sa.pub").read_bytes()
    good = server.kubectl("create", "token", "default").stdout.strip()
    header = json.loads(base64.urlsafe_b64decode(good.split(".")[0] + "=="))
    now = int(time.time())

    def made(signer=key, head=None, **changes):
        claims = {"iss": ISSUER, "aud": [ISSUER], "sub": "system:serviceaccount:default:default", "iat": now, "nbf": now, "exp": now + 3600,
                  "kubernetes.io": {"namespace": "default", "serviceaccount": {"name": "default", "uid": server.uid}}}
        claims.update(changes)
        return signed({**header, **(head or {})}, {k: v for k, v in claims.items() if v is not None}, signer)

    text = url64(json.dumps({**header, "alg": "HS256"}).encode()) + "." + good.split(".")[1]
    hs256 = text + "." + url64(hmac.new(public, text.encode(), hashlib.sha256).digest())
    parts = good.split(".")
    other = {"namespace": "default", "serviceaccount": {"name": "default", "uid": "00000000-0000-0000-0000-000000000000"}}
    return made(), [
        ("forged by another key", made(ec.generate_private_key(ec.SECP256R1())), "signature|key"),
        ("claims changed", ".".join([parts[0], made().split(".")[1], parts[2]]), "signature"),
        ("signature cut short", good[:-8], "signature|no kind that is known"),
        ("expired", made(exp=now - 1), "expired"),
        ("without an end", made(exp=None), "expired"),
        ("not yet valid", made(nbf=now + 600), "not valid yet"),
        ("of another issuer", made(iss="https://evil.example"), "no kind that is known"),
        ("for another audience", made(aud=["vault"]), "audience"),
        ("for no audience", made(aud=[]), "audience"),
        ("alg none", url64(json.dumps({"alg": "none"}).encode()) + "." + parts[1] + ".", "alg|signature|key"),
        ("alg none with its signature", url64(json.dumps({**header, "alg": "none"}).encode()) + "." + parts[1] + "." + parts[2], "alg|signature|key"),
        ("public key as an HMAC secret", hs256, "alg|signature|key"),
        ("another algorithm of the same key", made(head={"alg": "ES384"}), "alg|signature|key"),
        ("of an account that is not there", made(sub="system:serviceaccount:default:ghost", **{"kubernetes.io": {
            "namespace": "default", "serviceaccount": {"name": "ghost", "uid": server.uid}}}), "service account is gone"),
        ("of an account that was there before", made(**{"kubernetes.io": other}), "service account is gone"),
        ("of an administrator's name", made(sub="kubernetes-admin"), "names no service account"),
        ("bound to a pod that is gone", made(**{"kubernetes.io": {
            "namespace": "default", "serviceaccount": {"name": "default", "uid": server.uid}, "pod": {"name": "p", "uid": "u"}}}), "pod is gone"),
        ("over-long", good + "A" * 40_000, "signature|no kind that is known"),
        ("not a token at all", "open-sesame", "no kind that is known"),
        ("a bootstrap token that nobody made", "abcdef.0123456789abcdef", "no kind that is known"),
    ]


def test_tokens_that_prove_nothing(server):
    good, bad = tokens(server)
    # So that the refusals below are not the refusal of everything.
    assert Caller(("127.0.0.1", server.port), server.ca, token=good).request("GET", PATH).status == 200
    for name, token, why in bad:
        caller = Caller(("127.0.0.1", server.port), server.ca, token=token)
        try:
            refused(server, caller, why, secrets=(token, token.split(".")[-1] or token))
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error
    # The last word of the log on it: no token, good or bad, is in any log.
    everything = (server.folder / "server.log").read_text(errors="replace") + (server.folder / "audit.log").read_text()
    for token in [good, *(token for _, token, _ in bad)]:
        assert token not in everything


def test_a_token_longer_than_any_header_may_be(server):
    answer = Caller(("127.0.0.1", server.port), server.ca, token="A" * 200_000).request("GET", PATH)
    assert answer.status in (401, 431)


def pair(server):
    """Makes client certificates: by the cluster's own authority where nothing else is said."""
    folder = server.folder / "made"
    folder.mkdir(exist_ok=True)
    pki = server.data / "pki"

    def authority(name):
        return (x509.load_pem_x509_certificate((pki / f"{name}.crt").read_bytes()),
                serialization.load_pem_private_key((pki / f"{name}.key").read_bytes(), None))

    def make(name, issuer="ca", key=None, starts=-60, ends=3600, usage=ExtendedKeyUsageOID.CLIENT_AUTH, digest=None):
        key = key or ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "system:masters"), x509.NameAttribute(NameOID.COMMON_NAME, "jane")])
        if issuer == "itself":
            issuer_name, signer = subject, key
        elif issuer == "stranger":
            issuer_name, signer = authority("ca")[0].subject, ec.generate_private_key(ec.SECP256R1())
        else:
            certificate, signer = authority(issuer)
            issuer_name = certificate.subject
        now = datetime.datetime.utcnow()
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer_name).public_key(key.public_key())
                   .serial_number(x509.random_serial_number()).not_valid_before(now + datetime.timedelta(seconds=starts))
                   .not_valid_after(now + datetime.timedelta(seconds=ends)).add_extension(x509.ExtendedKeyUsage([usage]), critical=False))
        made = builder.sign(signer, digest or hashes.SHA256())
        path = folder / f"{name}.pem"
        path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return str(path)

    return make


def caller_with(server, path):
    caller = Caller(("127.0.0.1", server.port), server.ca)
    # So that this side does not refuse to show a weak one.
    caller.context.set_ciphers("DEFAULT:@SECLEVEL=0")
    caller.context.load_cert_chain(path)
    return caller


@pytest.mark.parametrize("name, how, why", [
    ("self-signed", {"issuer": "itself"}, "unknown authority"),
    ("of another authority of the same name", {"issuer": "stranger"}, "unknown authority|signature"),
    ("of the authority of kubelets' serving certificates", {"issuer": "kubelet-ca"}, "unknown authority"),
    ("of the front proxies' authority", {"issuer": "front-proxy-ca"}, "unknown authority"),
    ("expired", {"starts": -7200, "ends": -3600}, "expired or is not yet valid"),
    ("not yet valid", {"starts": 3600, "ends": 7200}, "expired or is not yet valid"),
    ("for servers only", {"usage": ExtendedKeyUsageOID.SERVER_AUTH}, "incompatible key usage"),
    ("of a weak key", {"key": rsa.generate_private_key(65537, 1024)}, "key of the certificate.s chain is too weak"),
    ("signed over SHA-1", {"digest": hashes.SHA1()}, "digest that is too weak")])
def test_certificates_that_prove_nothing(server, name, how, why):
    refused(server, caller_with(server, pair(server)(name.replace(" ", "-").replace("'", ""), **how)), why)


def test_a_certificate_that_proves_something(server):
    assert caller_with(server, pair(server)("good")).request("GET", PATH).status == 200
