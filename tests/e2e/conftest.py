"""Skipjack installed by its chart on the real cluster, and a namespace for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.cluster import Cluster
from tests.support.install import install
from tests.support.kubectl import Kubectl, a_namespace


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    found = Cluster.current()
    install(found)
    return found


@pytest.fixture
def kubectl(cluster: Cluster) -> Iterator[Kubectl]:
    with a_namespace(cluster) as made:
        yield made
