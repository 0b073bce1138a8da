"""Wrong input gets upstream's status code and reason, a message that helps, and changes nothing."""
import json

import pytest


@pytest.fixture(scope="module")
def raw(cluster):
    """HTTP requests with the administrator's certificate, by curl: (status code, body as text)."""
    import base64
    import tempfile
    config = json.loads(cluster.out("config", "view", "--raw", "-o", "json"))
    folder = tempfile.TemporaryDirectory()
    paths = {}
    for name, data in (("ca", config["clusters"][0]["cluster"]["certificate-authority-data"]),
                       ("crt", config["users"][0]["user"]["client-certificate-data"]),
                       ("key", config["users"][0]["user"]["client-key-data"])):
        paths[name] = f"{folder.name}/{name}"
        with open(paths[name], "wb") as out:
            out.write(base64.b64decode(data))
    server = config["clusters"][0]["cluster"]["server"]

    def request(method, path, body=None, content_type="application/json", headers=()):
        args = ["curl", "-s", "-X", method, "--cacert", paths["ca"], "--cert", paths["crt"], "--key", paths["key"], "-H", f"Content-Type: {content_type}",
                "-w", "\n%{http_code}", server + path]
        for header in headers:
            args += ["-H", header]
        if body is not None:
            with open(f"{folder.name}/body", "w") as out:
                out.write(body)
            args += ["-H", "Expect:", "--data-binary", f"@{folder.name}/body"]
            if len(body) > 1 << 20:
                # This curl takes an answer that comes before its whole body was sent for a broken HTTP/2 stream.
                args.append("--http1.1")
        text, _, code = cluster.run(*args).stdout.rpartition("\n")
        return int(code), text
    yield request
    folder.cleanup()


def status_of(answer):
    code, body = answer
    status = json.loads(body)
    assert status["kind"] == "Status" and status["code"] == code, body
    return code, status["reason"], status["message"]


def config_map(name, **extra):
    return json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, **extra})


def test_malformed_bodies(cluster, namespace, raw):
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    before = cluster.out("-n", namespace, "get", "cm", "-o", "name")
    for body, content_type in (("{", "application/json"), ('{"kind":"ConfigMap",}', "application/json"), ("a: [", "application/yaml"),
                               ("", "application/json"), ("[]", "application/json")):
        code, reason, _ = status_of(raw("POST", path, body, content_type))
        assert (code, reason) == (400, "BadRequest"), body
    assert status_of(raw("POST", path, "x", "text/plain"))[:2] == (415, "UnsupportedMediaType")
    assert status_of(raw("POST", path, config_map("x", data="no map")))[:2] == (400, "BadRequest")
    assert status_of(raw("POST", path, config_map("x").replace("ConfigMap", "Secret")))[:2] == (400, "BadRequest")
    assert status_of(raw("GET", path, headers=["Accept: text/html"]))[:2] == (406, "NotAcceptable")
    assert cluster.out("-n", namespace, "get", "cm", "-o", "name") == before


def test_too_large_and_too_deep(cluster, namespace, raw):
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    code, reason, _ = status_of(raw("POST", path, config_map("big", data={"a": "x" * (10 << 20)})))
    assert (code, reason) == (413, "RequestEntityTooLarge")
    deep = '{"apiVersion":"v1","kind":"ConfigMap","metadata":' + '{"a":' * 100_000 + "1" + "}" * 100_000 + "}"
    code, reason, _ = status_of(raw("POST", path, deep))
    assert (code, reason) == (400, "BadRequest")
    code, reason, _ = status_of(raw("POST", path, "[" * 100_000, "application/yaml"))
    assert (code, reason) == (400, "BadRequest")
    assert cluster.fails("-n", namespace, "get", "cm", "big")


def test_unknown_and_duplicate_fields(namespace, raw, cluster):
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    body = config_map("strict", unknown=1)
    code, reason, message = status_of(raw("POST", path + "?fieldValidation=Strict", body))
    assert (code, reason) == (400, "BadRequest") and 'strict decoding error: unknown field "unknown"' in message
    duplicate = body.replace('"unknown": 1', '"data": {"a": "1"}, "data": {"a": "2"}')
    code, _, message = status_of(raw("POST", path + "?fieldValidation=Strict", duplicate))
    assert code == 400 and 'duplicate field "data"' in message
    assert raw("POST", path + "?fieldValidation=Ignore", body)[0] == 201
    assert "unknown" not in cluster.json("-n", namespace, "get", "cm", "strict")
    warned = cluster.kubectl("-n", namespace, "create", "--validate=warn", "-f", "-", input=config_map("warned", unknown=1))
    assert 'unknown field "unknown"' in warned.stderr
    assert 'unknown field "unknown"' in cluster.fails("-n", namespace, "create", "-f", "-", input=config_map("refused", unknown=1))


def test_names_selectors_and_versions(cluster, namespace, raw):
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    code, reason, message = status_of(raw("POST", path, config_map("Not_A_Label")))
    assert (code, reason) == (422, "Invalid")
    assert message.startswith('ConfigMap "Not_A_Label" is invalid: metadata.name: Invalid value: "Not_A_Label": a lowercase RFC 1123 subdomain must consist of')
    assert status_of(raw("GET", path + "?labelSelector=a%3D%3D%3Db"))[:2] == (400, "BadRequest")
    assert status_of(raw("GET", path + "?fieldSelector=spec.nothing%3Dx"))[:2] == (400, "BadRequest")
    assert status_of(raw("GET", path + "?resourceVersion=abc"))[0] in (400, 422)
    assert status_of(raw("GET", path + "?limit=x"))[0] == 400
    cluster.kubectl("-n", namespace, "create", "configmap", "versioned")
    stale = cluster.json("-n", namespace, "get", "cm", "versioned")
    cluster.kubectl("-n", namespace, "label", "cm/versioned", "a=b")
    code, reason, message = status_of(raw("PUT", path + "/versioned", json.dumps({**stale, "data": {"x": "y"}})))
    assert (code, reason) == (409, "Conflict")
    assert message == ('Operation cannot be fulfilled on configmaps "versioned": the object has been modified; '
                       "please apply your changes to the latest version and try again")
    assert "data" not in cluster.json("-n", namespace, "get", "cm", "versioned")
    assert status_of(raw("PUT", path + "/other", json.dumps(stale)))[:2] == (400, "BadRequest")


def test_immutable_fields(cluster, namespace):
    cluster.apply(json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d", "namespace": namespace}, "spec": {
        "replicas": 0, "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "x"}]}}}}))
    error = cluster.fails("-n", namespace, "patch", "deploy/d", "--type=json", "-p",
                          '[{"op":"replace","path":"/spec/selector/matchLabels/a","value":"c"},{"op":"replace","path":"/spec/template/metadata/labels/a","value":"c"}]')
    assert "spec.selector: Invalid value" in error and "field is immutable" in error
    error = cluster.fails("-n", namespace, "patch", "deploy/d", "--type=merge", "-p", '{"spec":{"replicas":-1}}')
    assert "must be greater than or equal to 0" in error
    assert cluster.json("-n", namespace, "get", "deploy", "d")["spec"]["selector"] == {"matchLabels": {"a": "b"}}
    missing = json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c"}]}})
    assert "spec.containers[0].image: Required value" in cluster.fails("-n", namespace, "apply", "-f", "-", input=missing)
    cluster.kubectl("-n", namespace, "create", "secret", "generic", "fixed", "--from-literal=a=b")
    cluster.kubectl("-n", namespace, "patch", "secret/fixed", "-p", '{"immutable":true}')
    assert "field is immutable when `immutable` is set" in cluster.fails("-n", namespace, "patch", "secret/fixed", "-p", '{"stringData":{"a":"c"}}')
