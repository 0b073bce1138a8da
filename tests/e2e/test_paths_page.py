"""The page of paths in a real browser: by keyboard, on a phone, live, and with nothing loaded from elsewhere."""
import json
import re
import shutil
import subprocess
import time
import urllib.request

import pytest
import websocket
from control_plane import REDOUBT, ControlPlane, free_port

CHROMIUM = shutil.which("chromium")
OPEN = json.dumps({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "t-page"},
                   "subjects": [{"kind": "User", "name": "system:anonymous", "apiGroup": "rbac.authorization.k8s.io"}],
                   "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"}})


class Browser:
    """Headless Chromium by its DevTools protocol; everything it asks the network for is kept in `requests`."""

    def __init__(self, folder):
        port = free_port()
        self.process = subprocess.Popen([CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", f"--user-data-dir={folder}",
                                         f"--remote-debugging-port={port}", "--remote-allow-origins=*", "about:blank"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=5) as answer:
                    target = next(t for t in json.load(answer) if t["type"] == "page")
                break
            except (OSError, StopIteration):
                assert time.monotonic() < end, "Chromium did not start"
                time.sleep(0.2)
        self.socket = websocket.create_connection(target["webSocketDebuggerUrl"], timeout=60)
        self.number = 0
        self.requests, self.errors = [], []
        for domain in ("Page", "Network", "Runtime", "Log", "Accessibility"):
            self.call(f"{domain}.enable")

    def call(self, method, **params):
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": params}))
        while True:
            message = json.loads(self.socket.recv())
            if message.get("id") == self.number:
                assert "error" not in message, message
                return message["result"]
            self.note(message)

    def note(self, message):
        if message.get("method") == "Network.requestWillBeSent":
            self.requests.append(message["params"]["request"]["url"])
        if message.get("method") == "Runtime.exceptionThrown" or (message.get("method") == "Log.entryAdded" and message["params"]["entry"]["level"] == "error"):
            self.errors.append(message["params"])

    def evaluate(self, expression):
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result
        return result["result"].get("value")

    def open(self, url, width=1280, height=900):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)
        self.call("Page.navigate", url=url)
        self.eventually("document.readyState === 'complete' && document.querySelectorAll('#map .path').length > 0")

    def eventually(self, expression, timeout=30):
        end = time.monotonic() + timeout
        while not self.evaluate(expression):
            assert time.monotonic() < end, expression
            time.sleep(0.2)

    def press(self, key, text=""):
        codes = {"Tab": 9, "Enter": 13, "ArrowDown": 40}
        self.call("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, windowsVirtualKeyCode=codes[key], text=text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, windowsVirtualKeyCode=codes[key])

    def close(self):
        self.socket.close()
        self.process.terminate()
        self.process.wait(20)


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    plane = ControlPlane(tmp_path_factory.mktemp("page"))
    plane.kubectl("apply", "-f", "-", input='{"apiVersion":"v1","kind":"Node","metadata":{"name":"worker-1"}}')
    yield plane
    plane.stop()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    assert CHROMIUM, "chromium is installed by ./dev"
    browser = Browser(tmp_path_factory.mktemp("chromium"))
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def page(plane, tmp_path_factory):
    file = tmp_path_factory.mktemp("html") / "paths.html"
    result = subprocess.run([REDOUBT, "paths", "--kubeconfig", plane.kubeconfig, "--data-dir", plane.data, "--html", file], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    return file.as_uri()


def test_it_draws_every_path_and_loads_nothing(browser, page):
    browser.requests.clear()
    browser.open(page)
    ids = set(browser.evaluate("[...document.querySelectorAll('#map .path')].map(g => g.dataset.key.split('|')[0])"))
    assert {"client-apiserver", "kubelet-apiserver", "apiserver-kubelet", "apiserver-pod", "apiserver-store", "tunnel-reverse", "tunnel-ssh"} <= ids
    assert len(ids) == 14
    assert all(url.startswith("file:") for url in browser.requests), browser.requests
    assert browser.errors == []


def test_it_is_worked_by_keyboard(browser, page):
    browser.open(page)
    for _ in range(10):
        browser.press("Tab")
        if browser.evaluate("document.activeElement.classList.contains('path')"):
            break
    first = browser.evaluate("document.activeElement.dataset.key")
    assert first
    browser.press("Enter", "\r")
    assert browser.evaluate("document.getElementById('detail').innerText").startswith(first.split("|")[0])
    assert browser.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"
    browser.press("ArrowDown")
    second = browser.evaluate("document.activeElement.dataset.key")
    assert second != first
    browser.press("Enter", "\r")
    assert browser.evaluate("document.getElementById('detail').innerText").startswith(second.split("|")[0])


def test_a_click_shows_details(browser, page):
    browser.open(page)
    x, y = browser.evaluate("(() => { const b = document.querySelector('[data-key^=\"apiserver-store\"] .hit').getBoundingClientRect();"
                            " return [b.x + b.width / 2, b.y + b.height / 2]; })()")
    for kind in ("mousePressed", "mouseReleased"):
        browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
    assert "embedded-store" in browser.evaluate("document.getElementById('detail').innerText")


def test_everything_that_can_be_reached_has_a_name_and_a_role(browser, page):
    browser.open(page)
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    buttons = [n for n in nodes if n.get("role", {}).get("value") == "button"]
    assert len(buttons) >= 28  # map and list
    for n in nodes:
        if n.get("ignored") or n.get("role", {}).get("value") not in ("button", "link", "heading", "region", "table", "group"):
            continue
        if n["role"]["value"] == "table":
            continue
        assert n.get("name", {}).get("value"), n
    assert browser.evaluate("document.documentElement.lang") == "en"
    assert browser.evaluate("document.querySelectorAll('h1').length") == 1
    assert browser.evaluate("[...document.querySelectorAll('th')].every(t => t.scope === 'col')")


CONTRAST = """(() => {
  const luminance = c => { const [r, g, b] = c.match(/[\\d.]+/g).slice(0, 3).map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b; };
  const ratio = (a, b) => { const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p); return (x + .05) / (y + .05); };
  const ground = getComputedStyle(document.body).backgroundColor, out = {};
  for (const name of ['secure', 'weak', 'open', 'unknown', 'faint']) { const e = document.createElement('span'); e.className = name; document.body.append(e);
    out[name] = ratio(getComputedStyle(e).color, ground); e.remove(); }
  return out; })()"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_have_contrast(browser, page, scheme):
    browser.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.open(page)
    for name, ratio in browser.evaluate(CONTRAST).items():
        assert ratio >= 4.5, (scheme, name, ratio)
    browser.call("Emulation.setEmulatedMedia", features=[])


def test_it_fits_a_phone(browser, page):
    browser.open(page, width=360, height=740)
    assert browser.evaluate("document.documentElement.scrollWidth") <= 360
    assert browser.evaluate("document.querySelectorAll('#map .path').length") >= 14


def test_the_served_one_is_live(browser, plane):
    port = free_port()
    proxy = subprocess.Popen(["kubectl", "--kubeconfig", plane.kubeconfig, "proxy", f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 20
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/redoubt/paths", timeout=20) as answer:
                    assert "default-src 'none'" in answer.headers["content-security-policy"]
                    assert answer.headers["cache-control"] == "no-store"
                break
            except OSError:
                assert time.monotonic() < end
                time.sleep(0.3)
        browser.errors.clear()
        browser.requests.clear()
        browser.open(f"http://127.0.0.1:{port}/redoubt/paths")
        assert browser.evaluate("document.querySelector('[data-key=\"client-apiserver|\"]').classList.contains('secure')")
        plane.kubectl("apply", "-f", "-", input=OPEN)
        browser.eventually("document.querySelector('#map [data-key=\"client-apiserver|\"]').classList.contains('open')", timeout=60)
        assert browser.evaluate("document.getElementById('state').innerText") == "Live"
        plane.kubectl("delete", "clusterrolebinding", "t-page")
        browser.eventually("document.querySelector('#map [data-key=\"client-apiserver|\"]').classList.contains('secure')", timeout=60)
        assert all(re.match(rf"http://127\.0\.0\.1:{port}/redoubt/paths", url) for url in browser.requests if "favicon" not in url), browser.requests
        assert [e for e in browser.errors if "favicon" not in json.dumps(e)] == []
    finally:
        proxy.terminate()
        proxy.wait(20)
        plane.kubectl("delete", "clusterrolebinding", "t-page", "--ignore-not-found")
