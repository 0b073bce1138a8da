"""Services: their addresses and node ports are given, held and freed; and they lead to their pods."""
import json
import urllib.request

import pytest

SERVER = "mkdir -p /www; hostname >/www/index.html; httpd -f -p 8080 -h /www"


def service(name, app="web", **spec):
    body = {"selector": {"app": app}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}
    body.update(spec)
    return json.dumps({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": body})


@pytest.fixture
def make(cluster, namespace):
    def apply(name, **spec):
        cluster.kubectl("-n", namespace, "apply", "-f", "-", input=service(name, **spec))
        return cluster.json("-n", namespace, "get", "service", name)["spec"]
    return apply


def get(url):
    with urllib.request.urlopen(url, timeout=3) as answer:
        return answer.read().decode().strip()


def tries(url):
    try:
        return get(url)
    except OSError:
        return None


def test_an_address_has_an_object_and_is_freed_with_its_service(cluster, namespace, make):
    spec = make("one")
    ip = spec["clusterIP"]
    assert spec["clusterIPs"] == [ip] and spec["ipFamilies"] == ["IPv4"] and spec["ipFamilyPolicy"] == "SingleStack"
    address = cluster.json("get", "ipaddress", ip)
    assert address["spec"]["parentRef"] == {"group": "", "resource": "services", "namespace": namespace, "name": "one"} or \
        {k: v for k, v in address["spec"]["parentRef"].items() if v} == {"resource": "services", "namespace": namespace, "name": "one"}
    assert address["metadata"]["labels"]["ipaddress.kubernetes.io/managed-by"] == "ipallocator.k8s.io"
    refused = cluster.fails("-n", namespace, "apply", "-f", "-", input=service("two", clusterIP=ip))
    assert f"failed to allocate IP {ip}: provided IP is already allocated" in refused
    cluster.kubectl("-n", namespace, "delete", "service", "one")
    assert "NotFound" in cluster.fails("get", "ipaddress", ip)
    assert make("two", clusterIP=ip)["clusterIP"] == ip


def test_an_address_outside_is_refused_until_a_range_has_it_which_then_stays_while_it_is_used(cluster, namespace, make):
    refused = cluster.fails("-n", namespace, "apply", "-f", "-", input=service("far", clusterIP="172.31.7.9"))
    assert "the provided network does not match the current range" in refused
    cluster.apply(json.dumps({"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": "more"},
                              "spec": {"cidrs": ["172.31.7.0/24"]}}))
    cluster.kubectl("wait", "--for=condition=Ready", "servicecidr/more", "--timeout=20s")
    assert cluster.json("get", "servicecidr", "more")["metadata"]["finalizers"] == ["networking.k8s.io/service-cidr-finalizer"]
    assert make("far", clusterIP="172.31.7.9")["clusterIP"] == "172.31.7.9"
    cluster.kubectl("delete", "servicecidr", "more", "--wait=false")
    cluster.kubectl("wait", "--for=condition=Ready=False", "servicecidr/more", "--timeout=20s")
    ready = cluster.json("get", "servicecidr", "more")["status"]["conditions"][0]
    assert ready["reason"] == "Terminating" and "There are still IPAddresses referencing the ServiceCIDR" in ready["message"]
    # Nothing is given of it any more.
    refused = cluster.fails("-n", namespace, "apply", "-f", "-", input=service("late", clusterIP="172.31.7.10"))
    assert "the provided network does not match the current range" in refused
    cluster.kubectl("-n", namespace, "delete", "service", "far")
    cluster.kubectl("wait", "--for=delete", "servicecidr/more", "--timeout=30s")


def test_the_default_range_is_an_object(cluster):
    default = cluster.json("get", "servicecidr", "kubernetes")
    assert default["spec"]["cidrs"] == ["10.96.0.0/12"]
    assert [(c["type"], c["status"]) for c in default["status"]["conditions"]] == [("Ready", "True")]
    assert cluster.out("get", "ipaddress", "10.96.0.1", "-o", "jsonpath={.spec.parentRef.namespace}/{.spec.parentRef.name}") == "default/kubernetes"
    assert "10.96.0.0/12" in cluster.out("get", "servicecidrs")
    assert "services/default/kubernetes" in cluster.out("get", "ipaddresses")
    refused = cluster.fails("patch", "servicecidr", "kubernetes", "--type=merge", "-p", '{"spec":{"cidrs":["10.0.0.0/12"]}}')
    assert "field is immutable" in refused
    refused = cluster.fails("apply", "-f", "-", input=json.dumps({"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR",
                                                                  "metadata": {"name": "odd"}, "spec": {"cidrs": ["10.0.0.1/12"]}}))
    assert "spec.cidrs[0]" in refused


def test_updates_keep_an_address_and_another_type_frees_it(cluster, namespace, make):
    ip = make("one")["clusterIP"]
    assert make("one", type="NodePort")["clusterIP"] == ip
    refused = cluster.fails("-n", namespace, "patch", "service", "one", "--type=merge", "-p", '{"spec":{"clusterIP":"10.96.3.3","clusterIPs":["10.96.3.3"]}}')
    assert 'spec.clusterIPs[0]: Invalid value: ["10.96.3.3"]: may not change once set' in refused
    cluster.kubectl("-n", namespace, "patch", "service", "one", "--type=merge", "-p", '{"spec":{"type":"ExternalName","externalName":"a.example"}}')
    spec = cluster.json("-n", namespace, "get", "service", "one")["spec"]
    assert not {"clusterIP", "clusterIPs", "ipFamilies"} & set(spec) and "nodePort" not in spec["ports"][0]
    assert "NotFound" in cluster.fails("get", "ipaddress", ip)
    assert make("two", clusterIP=ip)["clusterIP"] == ip
    # A dry run gives nothing away.
    cluster.kubectl("-n", namespace, "apply", "--dry-run=server", "-f", "-", input=service("dry", clusterIP="10.96.3.4"))
    assert "NotFound" in cluster.fails("get", "ipaddress", "10.96.3.4")
    assert make("three", clusterIP="10.96.3.4")["clusterIP"] == "10.96.3.4"


def test_node_ports_are_held_and_freed(cluster, namespace, make):
    port = make("a", type="NodePort")["ports"][0]["nodePort"]
    assert 30000 <= port <= 32767
    taken = {"type": "NodePort", "ports": [{"name": "http", "port": 80, "nodePort": port}]}
    refused = cluster.fails("-n", namespace, "apply", "-f", "-", input=service("b", **taken))
    assert f"spec.ports[0].nodePort: Invalid value: {port}: provided port is already allocated" in refused
    refused = cluster.fails("-n", namespace, "apply", "-f", "-", input=service("b", type="NodePort", ports=[{"port": 80, "nodePort": 80}]))
    assert "The range of valid ports is 30000-32767" in refused
    assert "nodePort" not in make("a", type="ClusterIP")["ports"][0]
    assert make("b", **taken)["ports"][0]["nodePort"] == port


def test_dual_stack_is_refused_where_there_is_one(cluster, namespace, make):
    refused = cluster.fails("-n", namespace, "apply", "-f", "-", input=service("dual", ipFamilyPolicy="RequireDualStack"))
    assert "this cluster is not configured for dual-stack services" in refused
    spec = make("prefers", ipFamilyPolicy="PreferDualStack")
    assert spec["ipFamilies"] == ["IPv4"] and spec["ipFamilyPolicy"] == "PreferDualStack"
    headless = {"clusterIP": "None", "selector": None}
    cluster.kubectl("-n", namespace, "apply", "-f", "-", input=service("bare", **headless))
    bare = cluster.json("-n", namespace, "get", "service", "bare")["spec"]
    assert bare["ipFamilies"] == ["IPv4", "IPv6"] and bare["ipFamilyPolicy"] == "RequireDualStack"


def test_forty_addresses_are_all_different(cluster, namespace):
    items = [json.loads(service(f"s{i}")) for i in range(40)]
    cluster.kubectl("-n", namespace, "create", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}), timeout=120)
    ips = cluster.out("-n", namespace, "get", "services", "-o", "jsonpath={.items[*].spec.clusterIP}").split()
    assert len(ips) == len(set(ips)) == 40
    cluster.kubectl("-n", namespace, "delete", "services", "--all", timeout=120)
    left = cluster.out("get", "ipaddresses", "-o", "jsonpath={.items[*].metadata.name}").split()
    assert not set(ips) & set(left)


def test_a_balancer_for_local_traffic_has_a_health_check_port(cluster, namespace, make):
    spec = make("lb", type="LoadBalancer", externalTrafficPolicy="Local")
    port = spec["healthCheckNodePort"]
    assert 30000 <= port <= 32767 and port != spec["ports"][0]["nodePort"]
    taken = {"type": "NodePort", "ports": [{"name": "http", "port": 80, "nodePort": port}]}
    assert "provided port is already allocated" in cluster.fails("-n", namespace, "apply", "-f", "-", input=service("b", **taken))
    cluster.kubectl("-n", namespace, "patch", "service", "lb", "-p", '{"spec":{"externalTrafficPolicy":"Cluster"}}')
    assert "healthCheckNodePort" not in cluster.json("-n", namespace, "get", "service", "lb")["spec"]
    assert make("b", **taken)["ports"][0]["nodePort"] == port


def test_services_lead_to_their_pods(cluster, namespace, make_pod, make):
    for name in ("web-1", "web-2"):
        make_pod(name, SERVER)
        cluster.kubectl("-n", namespace, "label", "pod", name, "app=web", "--overwrite")
    spec = make("web", type="NodePort")
    cluster.eventually("both pods to answer", lambda: {tries(f"http://{spec['clusterIP']}/") for _ in range(8)} == {"web-1", "web-2"}, timeout=30)
    node = cluster.out("get", "nodes", "-o", "jsonpath={.items[0].status.addresses[?(@.type=='InternalIP')].address}")
    assert tries(f"http://{node}:{spec['ports'][0]['nodePort']}/") in ("web-1", "web-2")
    make("sticky", sessionAffinity="ClientIP")
    sticky = cluster.json("-n", namespace, "get", "service", "sticky")["spec"]["clusterIP"]
    cluster.eventually("the sticky one", lambda: tries(f"http://{sticky}/"), timeout=30)
    assert len({get(f"http://{sticky}/") for _ in range(10)}) == 1
    # From a pod, by the other one.
    page = cluster.kubectl("-n", namespace, "exec", "web-1", "--", "timeout", "5", "wget", "-qO-", f"http://{spec['clusterIP']}/")
    assert page.stdout.strip() in ("web-1", "web-2")
    make("nobody", selector={"app": "nobody"})
    nobody = cluster.json("-n", namespace, "get", "service", "nobody")["spec"]["clusterIP"]
    assert tries(f"http://{nobody}/") is None
