"""Secrets are not in the clear on the disk, keys can be changed, and what can't be read is said, not lost."""
import base64
import json
import subprocess
import time

from control_plane import ControlPlane

SECRET = "open-sesame-4711"
KEYS = {name: base64.b64encode(name.encode().ljust(32, b".")).decode() for name in ("k1", "k2")}


def config(path, *providers, resources=("secrets",)):
    def provider(text):
        kind, _, keys = text.partition("=")
        return {kind: {"keys": [{"name": k, "secret": KEYS[k]} for k in keys.split(",")]} if keys else {}}
    path.write_text(json.dumps({"apiVersion": "apiserver.config.k8s.io/v1", "kind": "EncryptionConfiguration",
                                "resources": [{"resources": list(resources), "providers": [provider(p) for p in providers]}]}))
    return path


def on_disk(plane):
    return b"".join(path.read_bytes() for path in plane.data.glob("redoubt.db*"))


def hidden(plane):
    bytes_ = on_disk(plane)
    return SECRET.encode() not in bytes_ and base64.b64encode(SECRET.encode()) not in bytes_


def password(plane, name="s1"):
    return base64.b64decode(plane.json("get", "secret", name)["data"]["password"]).decode()


def rewrite_all(plane):
    every = plane.out("get", "secrets", "-A", "-o", "json")
    plane.out("replace", "-f", "-", input=every)


def test_by_default_no_secret_is_in_the_clear_on_disk(tmp_path):
    plane = ControlPlane(tmp_path)
    try:
        plane.out("create", "secret", "generic", "s1", f"--from-literal=password={SECRET}")
        plane.out("annotate", "secret", "s1", "a=b")
        assert hidden(plane)
        key = plane.data / "pki" / "encryption" / "encryption-config.yaml"
        assert key.stat().st_mode & 0o777 == 0o600 and key.parent.stat().st_mode & 0o777 == 0o700
        assert b"k8s:enc:secretbox:v1:key-" in on_disk(plane)
        plane.restart(kill=True)
        assert password(plane) == SECRET
        assert hidden(plane)
        # The key's file gone: nothing is served, and the message names object, key and remedy.
        plane.stop()
        key.rename(tmp_path / "key-backup.yaml")
        said = plane.refuses()
        assert "/registry/secrets/default/s1" in said and "k8s:enc:secretbox:v1:key-" in said
        (tmp_path / "key-backup.yaml").rename(key)
        plane.start()
        assert password(plane) == SECRET
    finally:
        plane.stop()


def test_keys_are_changed_step_by_step_while_everything_stays_readable(tmp_path):
    file = config(tmp_path / "enc.json", "aescbc=k1", "identity")
    flags = ("--encryption-provider-config", file)
    plane = ControlPlane(tmp_path, *flags)
    try:
        plane.out("create", "secret", "generic", "s1", f"--from-literal=password={SECRET}")
        assert b"k8s:enc:aescbc:v1:k1:" in on_disk(plane) and hidden(plane)
        before = plane.json("get", "secret", "s1")["metadata"]["resourceVersion"]
        rewrite_all(plane)
        assert plane.json("get", "secret", "s1")["metadata"]["resourceVersion"] == before, "nothing changed, nothing is written"
        config(file, "aesgcm=k2", "aescbc=k1")
        plane.restart(*flags)
        assert password(plane) == SECRET
        rewrite_all(plane)
        assert plane.json("get", "secret", "s1")["metadata"]["resourceVersion"] != before, "written again with the new key"
        config(file, "aesgcm=k2")
        plane.restart(*flags)
        assert password(plane) == SECRET
        # Back to plain text, on purpose.
        config(file, "identity", "aesgcm=k2")
        plane.restart(*flags)
        rewrite_all(plane)
        config(file, "identity")
        plane.restart(*flags)
        assert password(plane) == SECRET and not hidden(plane)
    finally:
        plane.stop()


def test_a_changed_file_is_taken_without_a_restart(tmp_path):
    file = config(tmp_path / "enc.json", "secretbox=k1")
    plane = ControlPlane(tmp_path, "--encryption-provider-config", file, "--encryption-provider-config-automatic-reload")
    try:
        plane.out("create", "secret", "generic", "s1", f"--from-literal=password={SECRET}")
        assert plane.out("get", "--raw", "/readyz/kms-providers") == "ok"
        config(file, "secretbox=k2,k1")
        end = time.monotonic() + 30
        while b"k8s:enc:secretbox:v1:k2:" not in on_disk(plane):
            assert time.monotonic() < end
            rewrite_all(plane)
            time.sleep(0.5)
        config(file, "secretbox=k2")
        plane.restart("--encryption-provider-config", file)
        assert password(plane) == SECRET
    finally:
        plane.stop()


def test_what_upstream_stores_under_a_wildcard_is_encrypted_too(tmp_path):
    file = config(tmp_path / "enc.json", "secretbox=k1", resources=("*.*",))
    plane = ControlPlane(tmp_path, "--encryption-provider-config", file)
    try:
        plane.out("create", "configmap", "c1", f"--from-literal=a={SECRET}")
        plane.out("create", "deployment", "d1", "--image", SECRET)
        assert hidden(plane)
        plane.restart("--encryption-provider-config", file, kill=True)
        assert plane.json("get", "configmap", "c1")["data"]["a"] == SECRET
    finally:
        plane.stop()


def test_a_value_moved_to_another_secrets_place_is_noticed(tmp_path):
    plane = ControlPlane(tmp_path)
    try:
        plane.out("create", "secret", "generic", "mine", f"--from-literal=password={SECRET}")
        plane.out("create", "secret", "generic", "theirs", "--from-literal=password=x")
        plane.stop()
        # secretbox does not bind a value to its key: the object itself says where it belongs.
        script = ("UPDATE revisions SET value=(SELECT value FROM revisions WHERE key='/registry/secrets/default/mine'), "
                  "revision=revision WHERE key='/registry/secrets/default/theirs'")
        subprocess.run(["python3", "-c", "import sqlite3,sys; d=sqlite3.connect(sys.argv[1]); d.execute(sys.argv[2]); d.commit()",
                        plane.data / "redoubt.db", script], check=True)
        assert "another object's value under /registry/secrets/default/theirs" in plane.refuses()
    finally:
        plane.stop()


def test_an_absent_key_service_fails_what_needs_it_and_nothing_else(tmp_path):
    file = tmp_path / "enc.json"
    file.write_text(json.dumps({"apiVersion": "apiserver.config.k8s.io/v1", "kind": "EncryptionConfiguration", "resources": [
        {"resources": ["secrets"], "providers": [{"kms": {"apiVersion": "v2", "name": "mine", "endpoint": f"unix://{tmp_path}/none.sock", "timeout": "1s"}},
                                                 {"identity": {}}]}]}))
    plane = ControlPlane(tmp_path, "--encryption-provider-config", file)
    try:
        result = plane.kubectl("get", "--raw", "/readyz", check=False)
        assert result.returncode != 0 and "kms-providers" in result.stderr + result.stdout
        result = plane.kubectl("create", "secret", "generic", "s1", f"--from-literal=password={SECRET}", check=False)
        assert result.returncode != 0 and "mine" in result.stderr
        plane.out("create", "configmap", "c1")
        assert hidden(plane), "never in the clear instead"
    finally:
        plane.stop()
