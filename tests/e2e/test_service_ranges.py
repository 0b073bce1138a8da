"""Ranges of Services' addresses and node ports by flags: full ones, both families, restarts. Servers without a node."""
import json
import subprocess

import pytest

from control_plane import ControlPlane


@pytest.fixture
def start(tmp_path):
    made = []

    def start(*flags):
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(ControlPlane(folder, *flags))
        return made[-1]
    yield start
    for plane in made:
        plane.stop()


def service(name, **spec):
    body = {"selector": {"app": "a"}, "ports": [{"port": 80}]}
    body.update(spec)
    return json.dumps({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": body})


def apply(plane, name, check=True, **spec):
    result = plane.kubectl("apply", "-f", "-", input=service(name, **spec), check=check)
    return plane.json("get", "service", name)["spec"] if check else result.stderr


def eventually(plane, condition):
    plane.kubectl("wait", *condition, "--timeout=30s")


def test_a_full_range_says_so_and_a_further_one_helps(start):
    plane = start("--service-cluster-ip-range", "10.96.0.0/28", "--service-node-port-range", "30000-30001")
    given = [apply(plane, f"s{i}")["clusterIP"] for i in range(12)]
    assert len(set(given)) == 12 and not {"10.96.0.1", "10.96.0.10"} & set(given)
    assert "failed to allocate a serviceIP: range is full" in apply(plane, "next", check=False)
    plane.kubectl("create", "-f", "-", input=json.dumps({"apiVersion": "networking.k8s.io/v1", "kind": "ServiceCIDR", "metadata": {"name": "more"},
                                                        "spec": {"cidrs": ["10.97.0.0/24"]}}))
    assert apply(plane, "next")["clusterIP"].startswith("10.97.0.")
    # Node ports: two and no more, and a Service that went makes room.
    assert {apply(plane, name, type="NodePort")["ports"][0]["nodePort"] for name in ("s0", "s1")} == {30000, 30001}
    assert "failed to allocate a nodePort: range is full" in apply(plane, "s2", check=False, type="NodePort")
    plane.kubectl("delete", "service", "s0")
    assert apply(plane, "s2", type="NodePort")["ports"][0]["nodePort"] in (30000, 30001)
    # What is stored counts after a restart, one that was not orderly too.
    plane.restart("--service-cluster-ip-range", "10.96.0.0/28", "--service-node-port-range", "30000-30001", kill=True)
    assert "range is full" in apply(plane, "s3", check=False, type="NodePort")
    assert "provided IP is already allocated" in apply(plane, "other", check=False, clusterIP=given[3])
    # While Services have addresses of it, the default one doesn't go; nor does a new address come of it.
    plane.kubectl("delete", "servicecidr", "kubernetes", "--wait=false")
    eventually(plane, ["--for=condition=Ready=False", "servicecidr/kubernetes"])
    assert plane.json("get", "servicecidr", "kubernetes")["status"]["conditions"][0]["reason"] == "Terminating"


def test_a_cluster_becomes_dual_stack(start):
    plane = start("--service-cluster-ip-range", "10.96.0.0/24")
    assert "not configured for dual-stack" in apply(plane, "both", check=False, ipFamilyPolicy="RequireDualStack")
    prefers = apply(plane, "prefers", ipFamilyPolicy="PreferDualStack")
    assert prefers["ipFamilies"] == ["IPv4"]
    plane.restart("--service-cluster-ip-range", "10.96.0.0/24,fd00:96::/112")
    assert plane.json("get", "servicecidr", "kubernetes")["spec"]["cidrs"] == ["10.96.0.0/24", "fd00:96::/112"]
    both = apply(plane, "both", ipFamilyPolicy="RequireDualStack")
    assert both["ipFamilies"] == ["IPv4", "IPv6"] and both["clusterIPs"][1].startswith("fd00:96::")
    assert plane.json("get", "ipaddress", both["clusterIPs"][1])["metadata"]["labels"]["ipaddress.kubernetes.io/ip-family"] == "IPv6"
    # One that took what there was stays as it is until it asks.
    assert apply(plane, "prefers", ipFamilyPolicy="PreferDualStack")["ipFamilies"] == ["IPv4"]
    assert apply(plane, "prefers", ipFamilyPolicy="RequireDualStack")["ipFamilies"] == ["IPv4", "IPv6"]
    six = apply(plane, "six", ipFamilies=["IPv6"], clusterIP="fd00:96::0005")
    assert six["clusterIPs"] == ["fd00:96::5"]
    plane.kubectl("patch", "service", "both", "-p", '{"spec":{"ipFamilyPolicy":"SingleStack"}}')
    assert plane.json("get", "service", "both")["spec"]["clusterIPs"] == both["clusterIPs"][:1]
    assert plane.kubectl("get", "ipaddress", both["clusterIPs"][1], check=False).returncode != 0


def test_the_kubernetes_service_follows_the_servers_address(start):
    plane = start("--advertise-address", "192.0.2.7")

    def endpoints():
        objects = [plane.json("get", kind, "kubernetes") for kind in ("endpoints", "endpointslice")]
        return [a["ip"] for a in objects[0]["subsets"][0]["addresses"]], objects[1]["addressType"], objects[1]["endpoints"][0]["addresses"]
    assert endpoints() == (["192.0.2.7"], "IPv4", ["192.0.2.7"])
    plane.restart("--advertise-address", "192.0.2.8", kill=True)
    assert endpoints() == (["192.0.2.8"], "IPv4", ["192.0.2.8"])
    plane.restart("--advertise-address", "2001:db8::8")
    assert endpoints() == (["2001:db8::8"], "IPv6", ["2001:db8::8"])
    # What somebody takes away comes back.
    ip = plane.json("get", "service", "kubernetes")["spec"]["clusterIP"]
    for kind in ("endpointslice", "service"):
        plane.kubectl("delete", kind, "kubernetes")
        eventually(plane, ["--for=create", f"{kind}/kubernetes"])
    assert plane.json("get", "service", "kubernetes")["spec"]["clusterIP"] == ip


def test_a_second_server_on_one_database_is_refused(start):
    plane = start()
    assert "is another redoubt server running on this data" in plane.refuses()


def test_an_address_that_lost_its_object_gets_it_back(start):
    plane = start("--service-cluster-ip-range", "10.96.0.0/24")
    ip = apply(plane, "a")["clusterIP"]
    plane.kubectl("delete", "ipaddress", ip)
    plane.kubectl("create", "-f", "-", input=json.dumps({
        "apiVersion": "networking.k8s.io/v1", "kind": "IPAddress",
        "metadata": {"name": "10.96.0.200", "labels": {"ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"}},
        "spec": {"parentRef": {"resource": "services", "namespace": "default", "name": "nobody"}}}))
    plane.restart("--service-cluster-ip-range", "10.96.0.0/24")
    eventually(plane, ["--for=create", f"ipaddress/{ip}"])
    eventually(plane, ["--for=delete", "ipaddress/10.96.0.200"])


@pytest.mark.parametrize("flag, value", [("--service-cluster-ip-range", "10.96.0.1/12"), ("--service-cluster-ip-range", "10.96.0.0/12,10.0.0.0/8"),
                                         ("--service-node-port-range", "40000-30000")])
def test_a_range_that_is_none_is_refused_at_start(tmp_path, flag, value):
    from control_plane import REDOUBT
    result = subprocess.run([REDOUBT, "server", "--data-dir", tmp_path / "data", flag, value], capture_output=True, text=True, timeout=60)
    assert result.returncode != 0 and flag in result.stdout + result.stderr
