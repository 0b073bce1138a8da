"""One testbed for all tests of this folder: a control plane, two nodes, and one behind NAT."""
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from network import Unsupported  # noqa: E402
from testbed import Testbed  # noqa: E402


@pytest.fixture(scope="session")
def bed(tmp_path_factory):
    try:
        testbed = Testbed(tmp_path_factory.mktemp("testbed"))
    except Unsupported as why:
        pytest.fail(str(why), pytrace=False)
    try:
        yield testbed
    finally:
        testbed.close()


@pytest.fixture(scope="session")
def node(bed):
    return bed.add_node("n1")


@pytest.fixture(scope="session")
def other_node(bed):
    return bed.add_node("n2")


@pytest.fixture(scope="session")
def nat_node(bed):
    return bed.add_node("edge", nat=True, flags=["--wireguard-behind-nat"])
