"""Skipjack installed by its chart on the real cluster, and a namespace for each test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from tests.cluster import Cluster
from tests.support.install import install
from tests.support.kubectl import Kubectl


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    found = Cluster.current()
    install(found)
    return found


@pytest.fixture
def kubectl(cluster: Cluster) -> Iterator[Kubectl]:
    """kubectl in a namespace of its own, where Pod Security `restricted` is enforced."""
    namespace = f"e2e-{uuid.uuid4().hex[:8]}"
    made = Kubectl.of(cluster, namespace)
    made("create", "namespace", namespace)
    made("label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted")
    yield made
    made("delete", "namespace", namespace, "--wait=false")
