#!/usr/bin/env python3
"""Records who may do what on an upstream API server, as data for the test of the default identities.

usage: tools/record-authorization.py --kubeconfig FILE [--write tests/data/authorization/default-identities.json]

Asks the server (fresh, authorization modes Node,RBAC, no controllers needed) one SubjectAccessReview for each identity
and question, and keeps what is allowed. What the data file says beside the answers (where Redoubt is narrower, and why)
stays as it is. The kubeconfig is an administrator's, with a client certificate.
"""
import argparse
import base64
import concurrent.futures
import http.client
import json
import ssl
import tempfile
import threading
import urllib.parse

import yaml

CONTROLLERS = """attachdetach-controller certificate-controller cronjob-controller daemon-set-controller deployment-controller
disruption-controller endpoint-controller endpointslice-controller endpointslicemirroring-controller ephemeral-volume-controller
expand-controller generic-garbage-collector horizontal-pod-autoscaler job-controller legacy-service-account-token-cleaner
namespace-controller node-controller persistent-volume-binder pod-garbage-collector pv-protection-controller
pvc-protection-controller replicaset-controller replication-controller resourcequota-controller root-ca-cert-publisher
route-controller service-account-controller service-controller statefulset-controller ttl-after-finished-controller
ttl-controller validatingadmissionpolicy-status-controller clusterrole-aggregation-controller""".split()

VERBS = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"]
RESOURCES = """pods pods/status pods/log pods/exec pods/attach pods/portforward pods/proxy pods/binding pods/eviction
pods/ephemeralcontainers pods/resize services services/status services/proxy endpoints nodes nodes/status nodes/proxy nodes/log
nodes/stats nodes/metrics namespaces namespaces/status namespaces/finalize secrets configmaps events serviceaccounts
serviceaccounts/token persistentvolumes persistentvolumes/status persistentvolumeclaims persistentvolumeclaims/status
replicationcontrollers replicationcontrollers/scale resourcequotas resourcequotas/status limitranges podtemplates bindings
componentstatuses deployments.apps deployments/status.apps deployments/scale.apps replicasets.apps replicasets/status.apps
statefulsets.apps daemonsets.apps controllerrevisions.apps jobs.batch jobs/status.batch cronjobs.batch
horizontalpodautoscalers.autoscaling poddisruptionbudgets.policy poddisruptionbudgets/status.policy
ingresses.networking.k8s.io ingressclasses.networking.k8s.io networkpolicies.networking.k8s.io leases.coordination.k8s.io
endpointslices.discovery.k8s.io events.events.k8s.io storageclasses.storage.k8s.io volumeattachments.storage.k8s.io
csinodes.storage.k8s.io csidrivers.storage.k8s.io csistoragecapacities.storage.k8s.io priorityclasses.scheduling.k8s.io
runtimeclasses.node.k8s.io roles.rbac.authorization.k8s.io rolebindings.rbac.authorization.k8s.io
clusterroles.rbac.authorization.k8s.io clusterrolebindings.rbac.authorization.k8s.io
certificatesigningrequests.certificates.k8s.io certificatesigningrequests/approval.certificates.k8s.io
certificatesigningrequests/status.certificates.k8s.io certificatesigningrequests/nodeclient.certificates.k8s.io
certificatesigningrequests/selfnodeclient.certificates.k8s.io tokenreviews.authentication.k8s.io
selfsubjectreviews.authentication.k8s.io subjectaccessreviews.authorization.k8s.io
localsubjectaccessreviews.authorization.k8s.io selfsubjectaccessreviews.authorization.k8s.io
selfsubjectrulesreviews.authorization.k8s.io customresourcedefinitions.apiextensions.k8s.io apiservices.apiregistration.k8s.io
mutatingwebhookconfigurations.admissionregistration.k8s.io validatingwebhookconfigurations.admissionregistration.k8s.io
flowschemas.flowcontrol.apiserver.k8s.io prioritylevelconfigurations.flowcontrol.apiserver.k8s.io
widgets.example.com""".split()
PATHS = ["/", "/livez", "/readyz", "/healthz", "/livez/ping", "/version", "/version/", "/api", "/api/v1", "/apis", "/apis/apps",
         "/openapi", "/openapi/v2", "/openapi/v3", "/openapi/v3/api/v1", "/metrics", "/metrics/slis", "/logs", "/debug/pprof",
         "/.well-known/openid-configuration", "/openid/v1/jwks", "/swaggerapi", "/configz"]
SPECIAL = """impersonate users - root
impersonate groups - system:masters
impersonate serviceaccounts default admin
escalate clusterroles.rbac.authorization.k8s.io - admin
bind clusterroles.rbac.authorization.k8s.io - admin
approve signers.certificates.k8s.io - kubernetes.io/kube-apiserver-client-kubelet
approve signers.certificates.k8s.io - kubernetes.io/kubelet-serving
sign signers.certificates.k8s.io - kubernetes.io/kube-apiserver-client
sign signers.certificates.k8s.io - kubernetes.io/legacy-unknown
attest signers.certificates.k8s.io - example.com/x
get secrets default own-secret
get secrets default other-secret
list secrets default own-secret
watch secrets default own-secret
get secrets kube-system own-secret
get configmaps default own-map
get configmaps default other-map
get pods default own-pod
get pods default other-pod
delete pods default own-pod
update pods/status default own-pod
get nodes - n1
get nodes - n2
update nodes/status - n1
patch nodes - n1
delete nodes - n1
create serviceaccounts/token default default
create serviceaccounts/token default other
get serviceaccounts default default
get leases.coordination.k8s.io kube-node-lease n1
update leases.coordination.k8s.io kube-node-lease n1
update leases.coordination.k8s.io kube-node-lease n2
get csinodes.storage.k8s.io - n1
get csinodes.storage.k8s.io - n2
get configmaps kube-system extension-apiserver-authentication
get configmaps kube-public cluster-info
get leases.coordination.k8s.io kube-system kube-scheduler
update leases.coordination.k8s.io kube-system kube-scheduler
update leases.coordination.k8s.io kube-system kube-controller-manager
update endpoints kube-system kube-scheduler""".splitlines()
# What the node and the other identities stand in front of: made on the server before asking, and in the test's store.
OBJECTS = [
    ("serviceaccounts", {"metadata": {"name": "default", "namespace": "default"}}),
    ("secrets", {"metadata": {"name": "own-secret", "namespace": "default"}}),
    ("secrets", {"metadata": {"name": "other-secret", "namespace": "default"}}),
    ("configmaps", {"metadata": {"name": "own-map", "namespace": "default"}}),
    ("configmaps", {"metadata": {"name": "other-map", "namespace": "default"}}),
    ("nodes", {"metadata": {"name": "n1"}}),
    ("nodes", {"metadata": {"name": "n2"}}),
    ("pods", {"metadata": {"name": "own-pod", "namespace": "default"},
              "spec": {"nodeName": "n1", "serviceAccountName": "default", "automountServiceAccountToken": False,
                       "containers": [{"name": "c", "image": "i"}],
                       "volumes": [{"name": "s", "secret": {"secretName": "own-secret"}},
                                   {"name": "m", "configMap": {"name": "own-map"}}]}}),
    ("pods", {"metadata": {"name": "other-pod", "namespace": "default"},
              "spec": {"nodeName": "n2", "serviceAccountName": "default", "automountServiceAccountToken": False,
                       "containers": [{"name": "c", "image": "i"}]}}),
]


def identities():
    who = {
        "anonymous": ("system:anonymous", ["system:unauthenticated"]),
        "authenticated": ("jane", ["system:authenticated"]),
        "service-account": ("system:serviceaccount:default:default",
                            ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"]),
        "admin": ("kubernetes-admin", ["system:masters", "system:authenticated"]),
        "node": ("system:node:n1", ["system:nodes", "system:authenticated"]),
        "bootstrap-token": ("system:bootstrap:abcdef", ["system:bootstrappers", "system:authenticated"]),
        "monitoring": ("prometheus", ["system:monitoring", "system:authenticated"]),
        "scheduler": ("system:kube-scheduler", ["system:authenticated"]),
        "controller-manager": ("system:kube-controller-manager", ["system:authenticated"]),
        "proxy": ("system:kube-proxy", ["system:authenticated"]),
    }
    for name in CONTROLLERS:
        who[name] = (f"system:serviceaccount:kube-system:{name}",
                     ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"])
    return who


def questions():
    out = [f"{verb} {path}" for path in PATHS for verb in ("get", "post")]
    for resource in RESOURCES:
        for namespace in ("-", "kube-system", "default"):
            out += [f"{verb} {resource} {namespace}" for verb in VERBS]
    return out + SPECIAL


def spec_of(question):
    verb, what, *where = question.split()
    if what.startswith("/"):
        return {"nonResourceAttributes": {"verb": verb, "path": what}}
    resource, _, group = what.partition(".")
    resource, _, subresource = resource.partition("/")
    attributes = {"verb": verb, "group": group, "resource": resource, "subresource": subresource}
    if where and where[0] != "-":
        attributes["namespace"] = where[0]
    if len(where) > 1:
        attributes["name"] = where[1]
    return {"resourceAttributes": attributes}


class Server:
    def __init__(self, kubeconfig):
        config = yaml.safe_load(open(kubeconfig, encoding="utf-8"))
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
        with tempfile.NamedTemporaryFile() as both:
            both.write(base64.b64decode(user["client-certificate-data"]) + base64.b64decode(user["client-key-data"]))
            both.flush()
            self.context.load_cert_chain(both.name)
        self.address = urllib.parse.urlparse(cluster["server"])
        self.local = threading.local()

    def call(self, method, path, body=None):
        # The server closes a connection now and then: the question is then asked again on another.
        for last in (False, True):
            if not hasattr(self.local, "connection"):
                self.local.connection = http.client.HTTPSConnection(self.address.hostname, self.address.port, context=self.context)
            try:
                self.local.connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
                response = self.local.connection.getresponse()
                return response.status, json.loads(response.read())
            except (http.client.HTTPException, OSError):
                del self.local.connection
                if last:
                    raise

    def create(self, resource, value):
        namespace = value["metadata"].get("namespace")
        where = f"/namespaces/{namespace}" if namespace else ""
        status, answer = self.call("POST", f"/api/v1{where}/{resource}", value)
        if status not in (201, 409):
            raise SystemExit(f"{resource}/{value['metadata']['name']}: {answer['message']}")

    def allows(self, user, groups, question):
        spec = {"user": user, "groups": groups, **spec_of(question)}
        status, answer = self.call("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews",
                                   {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec})
        if status != 201:
            raise SystemExit(f"{user}: {question}: {answer}")
        return answer["status"].get("allowed", False)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("--write", default="tests/data/authorization/default-identities.json")
    options = parser.parse_args()
    server = Server(options.kubeconfig)
    for resource, value in OBJECTS:
        server.create(resource, value)
    try:
        data = json.load(open(options.write, encoding="utf-8"))
    except FileNotFoundError:
        data = {"differences": []}
    asked, answers = questions(), {}
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        for name, (user, groups) in identities().items():
            allowed = pool.map(lambda q, u=user, g=groups: server.allows(u, g, q), asked)
            yes = [q for q, ok in zip(asked, allowed) if ok]
            answers[name] = {"user": user, "groups": groups, "allowed": "*" if len(yes) == len(asked) else yes}
            print(name, len(yes), flush=True)
    data.update({"server": server.call("GET", "/version")[1]["gitVersion"], "objects": OBJECTS, "questions": asked,
                 "identities": answers})
    with open(options.write, "w", encoding="utf-8") as out:
        # One identity a line, so that a difference shows where it is.
        lines = []
        for key, value in data.items():
            if isinstance(value, dict):
                inner = ",\n  ".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in value.items())
                lines.append(f"{json.dumps(key)}: {{\n  {inner}\n }}")
            elif isinstance(value, list) and value and not isinstance(value[0], str):
                inner = ",\n  ".join(json.dumps(v) for v in value)
                lines.append(f"{json.dumps(key)}: [\n  {inner}\n ]")
            else:
                lines.append(f"{json.dumps(key)}: {json.dumps(value)}")
        out.write("{\n " + ",\n ".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
