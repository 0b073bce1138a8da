"""One testbed a module: a control plane, two nodes, and one behind NAT, as far as its tests ask for them.

A module may say `def server_flags(folder)`: further flags of the server, with whatever files they name, made in that folder.
"""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from network import Unsupported  # noqa: E402
from testbed import Testbed  # noqa: E402


@pytest.fixture(scope="module")
def bed(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("testbed")
    try:
        testbed = Testbed(folder, getattr(request.module, "server_flags", lambda folder: [])(folder))
    except Unsupported as why:
        pytest.fail(str(why), pytrace=False)
    try:
        yield testbed
    finally:
        testbed.close()


@pytest.fixture(scope="module")
def node(bed):
    return bed.add_node("n1")


@pytest.fixture(scope="module")
def other_node(bed):
    return bed.add_node("n2")


@pytest.fixture(scope="module")
def nat_node(bed):
    return bed.add_node("edge", nat=True, flags=["--wireguard-behind-nat"])
