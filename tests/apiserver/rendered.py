"""The chart as Helm renders it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml
from tests.cluster import Cluster

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts/skipjack"
SITES: dict[str, list[str]] = {
    "defaults": [],
    "namespaces": ["watchNamespaces={team-a,team-b}"],
    "mirror": ["hub.endpoint=http://hub:8090", "proxy.http=http://p:3128", "caConfigMap=ca", "imagePullSecrets={s}"],
    "monitored": ["monitoring.serviceMonitor=true", "monitoring.prometheusRule=true", "monitoring.dashboard=true", "priorityClassName=high",
                  "commonLabels.team=ml"],
    "own account": ["serviceAccount.create=false", "serviceAccount.name=mine", f"image.digest=sha256:{'a' * 64}"],
    "bare": ["podDisruptionBudget.enabled=false", "networkPolicy.enabled=false", "crds.enabled=false", "replicas=1", "catalogue.nvidia=false",
             "rbac.aggregate=false", "rbac.catalogueReaders=null"],
    "models": ["modelCache.claims.team-a=models", "modelCache.claims.team-b=kept", "modelCache.maxSize=1Ti"],
    "more": ["extraObjects[0]=apiVersion: v1\nkind: ConfigMap\nmetadata: {name: of-{{ .Release.Name }}}", "podAnnotations.a=b",
             "tolerations[0].key=infra", "tolerations[0].operator=Exists", "nodeSelector.pool=infra", "podLabels.sidecar=none",
             "networkPolicy.metricsFrom[0].namespaceSelector.matchLabels.team=ops"],
}  # fmt: skip


def helm_program() -> str:
    """HELM, PATH, or the cluster's. Fails where there is none: a chart that nobody rendered is not tested."""
    return os.environ.get("HELM") or shutil.which("helm") or str(Cluster.current().helm)


def template(*values: str) -> subprocess.CompletedProcess[str]:
    """helm template with `values` as KEY=VALUE."""
    sets = [word for value in values for word in ("--set", value)]
    command = [helm_program(), "template", "skipjack", str(CHART), "--namespace", "system", *sets]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def render(*values: str) -> list[dict[str, Any]]:
    done = template(*values)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def of(documents: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [document for document in documents if document["kind"] == kind]


def named(documents: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    [found] = [document for document in of(documents, kind) if document["metadata"]["name"] == name]
    return found
