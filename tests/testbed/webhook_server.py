"""An admission webhook in a pod: webhook_server.py PORT CERTIFICATE KEY. /validate denies ConfigMaps that have the key "bad", /mutate labels them."""
import base64
import http.server
import json
import ssl
import sys

PATCH = base64.b64encode(json.dumps([{"op": "add", "path": "/metadata/labels", "value": {"touched": "yes"}}]).encode()).decode()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        review = json.loads(self.rfile.read(int(self.headers["content-length"])))
        request = review["request"]
        response = {"uid": request["uid"], "allowed": True}
        if self.path.startswith("/mutate"):
            response.update(patchType="JSONPatch", patch=PATCH)
        elif "bad" in (request["object"].get("data") or {}):
            response.update(allowed=False, status={"code": 403, "message": "no bad keys here"})
        body = json.dumps({"apiVersion": review["apiVersion"], "kind": "AdmissionReview", "response": response}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main():
    port, certificate, key = sys.argv[1:]
    server = http.server.ThreadingHTTPServer(("0.0.0.0", int(port)), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


main()
