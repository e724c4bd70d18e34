"""The resources of this tree on the real API server, whatever was there before."""

from __future__ import annotations

import pytest
from tests.cluster import Cluster
from tests.support.kubectl import Kubectl


@pytest.fixture(scope="session", autouse=True)
def crds() -> None:
    kubectl = Kubectl.of(Cluster.current(), "default")
    kubectl("apply", "--server-side", "--force-conflicts", "-f", "crds/")
    kubectl("wait", "--for=condition=Established", "crd/finetunejobs.skipjack.dev", "--timeout=60s")
