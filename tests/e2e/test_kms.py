"""Encryption at rest by a KMS v2 plug-in that is a program of its own: upstream's protocol over a unix socket, key rotation, and its absence."""
import base64
import json
import os
import threading
import time

import pytest
from control_plane import ControlPlane
from kms_plugin import Plugin

SECRET = "open-sesame-4712"
# How often the plug-in is asked how it is; upstream asks every minute, and every ten seconds while it is not well.
POLL_SECONDS = 20


@pytest.fixture
def plane(tmp_path):
    plugin = Plugin(tmp_path / "kms.sock")
    file = tmp_path / "encryption.json"
    file.write_text(json.dumps({"apiVersion": "apiserver.config.k8s.io/v1", "kind": "EncryptionConfiguration", "resources": [
        {"resources": ["secrets", "configmaps"], "providers": [{"kms": {"apiVersion": "v2", "name": "mine", "endpoint": f"unix://{plugin.path}", "timeout": "2s"}}]}]}))
    plugin.start()
    running = ControlPlane(tmp_path, "--encryption-provider-config", file)
    running.plugin, running.flags = plugin, ("--encryption-provider-config", file)
    yield running
    running.stop()
    plugin.stop()


def on_disk(plane):
    return b"".join(path.read_bytes() for path in plane.data.glob("redoubt.db*"))


def hidden(plane):
    content = on_disk(plane)
    return SECRET.encode() not in content and base64.b64encode(SECRET.encode()) not in content


def write(plane, name, check=True):
    return plane.kubectl("create", "secret", "generic", name, f"--from-literal=password={SECRET}", check=check)


def password(plane, name):
    return base64.b64decode(plane.json("get", "secret", name)["data"]["password"]).decode()


def revision(plane, name):
    return plane.json("get", "secret", name)["metadata"]["resourceVersion"]


def rewrite(plane, name):
    plane.out("replace", "-f", "-", input=plane.out("get", "secret", name, "-o", "json"))
    return revision(plane, name)


def within(seconds, what, condition):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.3)


def sees_sick(plane):
    answer = plane.kubectl("get", "--raw", "/readyz", check=False)
    return answer.returncode != 0 and "kms-providers" in answer.stdout + answer.stderr


def test_a_plugin_encrypts_rotates_and_comes_back(plane):
    plugin = plane.plugin
    write(plane, "s1")
    assert b"k8s:enc:kms:v2:mine:" in on_disk(plane) and hidden(plane)
    assert plugin.calls["Encrypt"] == 1, "one seed, and a key of its own for each value"
    assert password(plane, "s1") == SECRET and plugin.calls["Decrypt"] == 0
    assert plane.out("get", "--raw", "/readyz/kms-providers") == "ok" and plane.out("get", "--raw", "/healthz/kms-providers") == "ok"
    # Nothing has changed: nothing is written.
    first = revision(plane, "s1")
    assert rewrite(plane, "s1") == first
    # Another process asks the plug-in for the seed, once.
    plane.restart(*plane.flags, kill=True)
    assert password(plane, "s1") == SECRET and plugin.calls["Decrypt"] == 1 and rewrite(plane, "s1") == first
    # A new key: seen by itself, and what is written anew is written with it.
    plugin.rotate("key-2")
    before = plugin.calls["Encrypt"]
    within(POLL_SECONDS + 10, "the new key is seen", lambda: plugin.calls["Encrypt"] > before)
    within(10, "a rewrite writes", lambda: rewrite(plane, "s1") != first)
    second = revision(plane, "s1")
    assert rewrite(plane, "s1") == second, "written with the new key already"
    # The plug-in says that it is sick: so does the server, in its words, and recovers with it.
    plugin.healthz = "the module is locked"
    within(POLL_SECONDS + 10, "readyz says so", lambda: sees_sick(plane))
    assert "the module is locked" in plane.log.read_text()
    assert password(plane, "s1") == SECRET
    plugin.healthz = "ok"
    within(20, "readyz is ok again", lambda: plane.kubectl("get", "--raw", "/readyz", check=False).returncode == 0)
    # The plug-in is gone: what is there is read; for three minutes the seed at hand is still written with.
    plugin.stop()
    within(POLL_SECONDS + 10, "readyz says so", lambda: sees_sick(plane))
    assert password(plane, "s1") == SECRET and plane.json("get", "secrets")["items"]
    write(plane, "s2")
    plugin.start()
    within(20, "readyz is ok again", lambda: plane.kubectl("get", "--raw", "/readyz", check=False).returncode == 0)
    write(plane, "s3")
    # The old key is forgotten by the plug-in: nothing of it is left, so nothing is missed.
    del plugin.keys["key-1"]
    for secret in plane.json("get", "secrets,configmaps", "-A")["items"]:
        plane.out("replace", "-f", "-", input=json.dumps(secret))
    plane.restart(*plane.flags, kill=True)
    assert [password(plane, name) for name in ("s1", "s2", "s3")] == [SECRET] * 3 and hidden(plane)


def test_a_plugin_that_is_not_there_at_the_start(plane):
    write(plane, "s1")
    plane.stop()
    plane.plugin.stop()
    # What can't be read is waited for, a while; the plug-in may start after the server.
    later = threading.Timer(3, plane.plugin.start)
    later.start()
    plane.start(*plane.flags)
    later.join()
    assert password(plane, "s1") == SECRET
    # A plug-in without the key: nothing is served, and it is said which object and why.
    plane.stop()
    plane.plugin.keys = {}
    plane.plugin.rotate("key-3")
    said = plane.refuses(*plane.flags)
    assert "decrypting /registry/" in said and "kms plug-in mine: Decrypt: no key key-1" in said, said[-1000:]


# Four minutes: the three that a seed lives, and a poll.
if "REDOUBT_KMS_ABSENCE" in os.environ:
    def test_writes_end_when_the_plugin_stays_away(plane):
        write(plane, "s1")
        plane.plugin.stop()
        end = time.monotonic() + 240
        while (answer := write(plane, f"s{int(time.monotonic() * 1000)}", check=False)).returncode == 0:
            assert time.monotonic() < end
            time.sleep(2)
        assert "Internal error occurred" in answer.stderr and "kms plug-in mine" in answer.stderr
        assert plane.kubectl("create", "namespace", "n", check=False).returncode == 0, "what is not encrypted is written"
        assert password(plane, "s1") == SECRET and sees_sick(plane) and hidden(plane)
        plane.plugin.start()
        within(30, "writes go on", lambda: write(plane, f"t{int(time.monotonic() * 1000)}", check=False).returncode == 0)
