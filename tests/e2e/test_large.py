"""A job over more bytes than its pod may hold: SKIPJACK_LARGE_BYTES=10000000000 for ten gigabytes, else as many as take seconds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from tests.cluster import Cluster
from tests.e2e.scenarios import told
from tests.support.kubectl import Kubectl, is_true

from .jobs import ended

pytestmark = pytest.mark.cluster

ROOT = Path(__file__).resolve().parents[2]
BYTES = int(os.environ.get("SKIPJACK_LARGE_BYTES", "100000000"))


@pytest.mark.timeout(3600)
def test_a_job_needs_no_memory_for_the_rows_that_it_doesnt_see(kubectl: Kubectl, cluster: Cluster) -> None:
    kubectl("create", "configmap", "rows", f"--from-file={ROOT / 'tests/bench/rows.py'}")
    text = (
        (ROOT / "tests/e2e/large.yaml").read_text().replace("BYTES", str(BYTES)).replace("IMAGE", cluster.trainer_image)
    )
    claim, rows, job = yaml.safe_load_all(text)
    kubectl.apply(claim)
    kubectl.apply(rows)
    kubectl.until("job", "rows", is_true("Complete"), 60 + BYTES / 10e6)
    kubectl.apply(job)
    kubectl.until("ftj", "large", lambda seen: is_true("Complete")(seen) or is_true("Failed")(seen), 300 + BYTES / 5e6)
    seen = ended(kubectl, "large")
    metrics, facts = told(seen), seen["status"]["facts"]
    assert metrics["peak_memory_mib"] < 2048
    assert facts["trainRows"] == 20 * 8
    assert facts["validationRows"] == 32
    assert facts["drawnFromRows"] == pytest.approx(BYTES / 1443, rel=0.02)
