"""Skipjack on the cluster, by its chart, as a person would install it."""

from __future__ import annotations

import subprocess

from tests.cluster import Cluster

from .kubectl import CommandFailed

NAMESPACE = "skipjack-system"


def helm(cluster: Cluster, *arguments: str) -> str:
    """What helm wrote. Raises CommandFailed."""
    command = [str(cluster.helm), "--kubeconfig", str(cluster.kubeconfig), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=420, check=False)
    if done.returncode:
        raise CommandFailed(f"helm {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def install(cluster: Cluster, *more: str) -> str:
    """Installs or upgrades the chart with the images of this tree, and waits until it is ready."""
    return helm(
        cluster, "upgrade", "--install", "skipjack", "charts/skipjack", "--namespace", NAMESPACE, "--create-namespace",
        "--wait", "--take-ownership", "--force-conflicts", "--timeout", "5m", *image_values(cluster), *more,
    )  # fmt: skip


def image_values(cluster: Cluster) -> list[str]:
    operator, operator_tag = cluster.operator_image.rsplit(":", 1)
    trainer, trainer_tag = cluster.trainer_image.rsplit(":", 1)
    values = {
        "image.repository": operator,
        "image.tag": operator_tag,
        "trainer.image.repository": trainer,
        "trainer.image.tag": trainer_tag,
    }
    if cluster.hub_endpoint:
        values["hub.endpoint"] = cluster.hub_endpoint
    if ":" in (registry := trainer.partition("/")[0]):
        # The cluster's own, which jobs of the tests push to.
        values["plainHttpRegistries[0]"] = registry
    return [part for key, value in values.items() for part in ("--set-string", f"{key}={value}")]
