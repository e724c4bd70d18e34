"""The real API server accepts what the chart renders, under strict field validation."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.cluster import Cluster

pytestmark = pytest.mark.cluster
CHART = Path(__file__).resolve().parents[2] / "charts/skipjack"


@pytest.mark.parametrize("value", ["replicas=2", "watchNamespaces={default}", "proxy.http=http://p:3128"])
def test_the_api_server_accepts_the_rendered_chart(value: str) -> None:
    cluster = Cluster.current()
    # Its own release name and no CRDs: an installation of Skipjack may be there already.
    helm = [str(cluster.helm), "template", "strict", str(CHART), "-n", "default", "--set", "crds.enabled=false"]
    rendered = subprocess.run([*helm, "--set", value], capture_output=True, text=True, timeout=60, check=True).stdout
    kubectl = [str(cluster.kubectl), "--kubeconfig", str(cluster.kubeconfig), "-n", "default"]
    create = [*kubectl, "create", "--dry-run=server", "--validate=strict", "-f", "-"]
    done = subprocess.run(create, input=rendered, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "deployment.apps/strict-skipjack created" in done.stdout
