"""A small extension API server of one resource, for test_aggregation.py: extension_server.py FOLDER PORT.

FOLDER holds its certificate (crt, key) and what kube-system/extension-apiserver-authentication says (authentication.json). As real ones
do, it believes X-Remote-* only from a client whose certificate is of the front proxies' authority and has an allowed name. What it was
asked stands in FOLDER/seen, a line of JSON a request.
"""
import http.server
import json
import ssl
import sys
import tempfile
from pathlib import Path

GROUP = "things.redoubt.test"
FOLDER = Path(sys.argv[1])
TRUST = json.loads((FOLDER / "authentication.json").read_text())
THINGS = {"one": {"kind": "Thing", "apiVersion": f"{GROUP}/v1", "metadata": {"name": "one", "uid": "1"}}}
RESOURCES = {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": f"{GROUP}/v1", "resources": [
    {"name": "things", "singularName": "thing", "namespaced": False, "kind": "Thing", "verbs": ["create", "get", "list", "watch"], "shortNames": ["th"]}]}
OPENAPI = {"openapi": "3.0.0", "info": {"title": "things", "version": "v1"}, "paths": {
    f"/apis/{GROUP}/v1/things": {"get": {"x-kubernetes-group-version-kind": {"group": GROUP, "version": "v1", "kind": "Thing"}, "responses": {}}}},
    "components": {"schemas": {"test.Thing": {"type": "object", "description": "A thing of another server's.", "x-kubernetes-group-version-kind": [
        {"group": GROUP, "version": "v1", "kind": "Thing"}]}}}}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def caller(self):
        """Who asks, by the front proxy's word; None where it has none."""
        subject = dict(pair[0] for pair in (self.connection.getpeercert() or {}).get("subject", ()))
        names = json.loads(TRUST["requestheader-allowed-names"])
        if not subject or (names and subject.get("commonName") not in names):
            return None
        for header in json.loads(TRUST["requestheader-username-headers"]):
            if self.headers.get(header):
                return self.headers[header]
        return None

    def answer(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("set-cookie", "session=1")
        self.send_header("content-length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def fail(self, status, message):
        self.answer(status, {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": status, "message": message})

    def handle_request(self):
        user = self.caller()
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        with open(FOLDER / "seen", "a") as seen:
            seen.write(json.dumps({"method": self.command, "path": self.path, "user": user, "body": body.decode(),
                                   "headers": [[name.lower(), value] for name, value in self.headers.items()]}) + "\n")
        path, _, query = self.path.partition("?")
        if user is None:
            self.fail(401, "not by a front proxy")
        elif path == f"/apis/{GROUP}/v1":
            self.answer(200, RESOURCES)
        elif path == f"/openapi/v3/apis/{GROUP}/v1":
            self.answer(200, OPENAPI)
        elif path == f"/apis/{GROUP}/v1/things" and self.command == "POST":
            thing = json.loads(body)
            THINGS[thing["metadata"]["name"]] = thing
            self.answer(201, thing)
        elif path == f"/apis/{GROUP}/v1/things" and "watch=" in query:
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()
            for thing in THINGS.values():
                line = json.dumps({"type": "ADDED", "object": thing}).encode() + b"\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
        elif path == f"/apis/{GROUP}/v1/things":
            self.answer(200, {"kind": "ThingList", "apiVersion": f"{GROUP}/v1", "metadata": {}, "items": list(THINGS.values())})
        elif path == f"/apis/{GROUP}/v1/things/elsewhere":
            self.send_response(307)
            self.send_header("location", "https://192.0.2.1/steal")
            self.send_header("content-length", "0")
            self.end_headers()
        elif path.startswith(f"/apis/{GROUP}/v1/things/") and path.rsplit("/", 1)[1] in THINGS:
            self.answer(200, THINGS[path.rsplit("/", 1)[1]])
        else:
            self.fail(404, "no such thing")

    do_GET = do_POST = do_PUT = do_DELETE = handle_request

    def log_message(self, *args):
        pass


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(FOLDER / "crt", FOLDER / "key")
with tempfile.NamedTemporaryFile("w", dir=FOLDER) as authorities:
    authorities.write(TRUST["requestheader-client-ca-file"])
    authorities.flush()
    context.load_verify_locations(authorities.name)
context.verify_mode = ssl.CERT_OPTIONAL
server = http.server.ThreadingHTTPServer(("0.0.0.0", int(sys.argv[2])), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
