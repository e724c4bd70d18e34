"""A cluster that somebody else runs: the context of SKIPJACK_CONTEXT, or kind where a Docker engine answers."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from . import images
from .cluster import STATE, Cluster
from .steps import ROOT, RUN, Failed, key, sh, step

NAME = "skipjack"
CONFIG = ROOT / "kind-config.yaml"
KUBECONFIG = RUN / "elsewhere.kubeconfig"
DOCKERFILES = {image: sources[0] for image, sources in images.SOURCES.items()}


def chosen() -> bool:
    """Whether there is a cluster, or a Docker engine that can hold one."""
    return bool(os.environ.get("SKIPJACK_CONTEXT")) or docker_answers()


def docker_answers() -> bool:
    if shutil.which("docker") is None:
        return False
    return subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0


def up(count: int | None = None) -> Cluster:
    """The cluster, checked; `count` nodes at least. Raises Failed with what to install or to set."""
    RUN.mkdir(parents=True, exist_ok=True)
    context = os.environ.get("SKIPJACK_CONTEXT")
    cluster = existing(context) if context else kind(count or 1)
    kubectl = (cluster.kubectl, "--kubeconfig", cluster.kubeconfig)
    sh(*kubectl, "get", "--raw", "/readyz")
    nodes = sh(*kubectl, "get", "nodes", "--output=name").split()
    if len(nodes) < (count or 1):
        raise Failed(f"--nodes {count}: this cluster has {len(nodes)}: {', '.join(nodes)}")
    cluster.save()
    return cluster


def existing(context: str) -> Cluster:
    """The named context of the person's own kubeconfig; the images must be where its nodes can pull them."""
    kubectl = need("kubectl")
    kubeconfig = private(sh(kubectl, "config", "view", "--raw", "--flatten", "--minify", f"--context={context}"))
    return Cluster(
        kubeconfig=str(kubeconfig),
        kubectl=kubectl,
        helm=need("helm"),
        operator_image=setting("SKIPJACK_OPERATOR_IMAGE"),
        trainer_image=setting("SKIPJACK_TRAINER_IMAGE"),
        hub_endpoint=os.environ.get("SKIPJACK_HUB_ENDPOINT", ""),
        audit_log="",
    )


def kind(count: int) -> Cluster:
    """A kind cluster with the images of this tree."""
    program, kubectl, helm = need("kind"), need("kubectl"), need("helm")
    if NAME not in sh(program, "get", "clusters").split():
        with step(f"creating the kind cluster, of {count} nodes"):
            sh(program, "create", "cluster", "--config=-", stdin=kind_config(count))
    names = {image: f"skipjack/{image}:{key(*(ROOT / s for s in images.SOURCES[image]))}" for image in DOCKERFILES}
    for image, name in names.items():
        with step(f"the {image} image, built and loaded"):
            sh("docker", "build", "--tag", name, "--file", ROOT / DOCKERFILES[image], ROOT, log=f"image-{image}")
            sh(program, "load", "docker-image", name, "--name", NAME)
    kubeconfig = private(sh(program, "get", "kubeconfig", "--name", NAME))
    return Cluster(str(kubeconfig), kubectl, helm, names["operator"], names["trainer"], hub_endpoint="", audit_log="")


def kind_config(count: int) -> str:
    """kind-config.yaml, whose list of nodes comes last, with as many workers as it takes."""
    return CONFIG.read_text() + "- role: worker\n" * (count - 1)


def down() -> None:
    """Deletes the kind cluster; a cluster of the person's own is left as it is."""
    if not os.environ.get("SKIPJACK_CONTEXT"):
        sh(need("kind"), "delete", "cluster", "--name", NAME)
    for copied in (STATE, KUBECONFIG):
        copied.unlink(missing_ok=True)


def need(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise Failed(f"install {program} first: it is not in PATH")
    return found


def setting(name: str) -> str:
    value = os.environ.get(name, "")
    if ":" not in value.rpartition("/")[2]:
        raise Failed(f"set {name} to an image, as repository:tag, that the cluster's nodes can pull; found {value!r}")
    return value


def private(kubeconfig: str) -> Path:
    """A copy of the person's credentials that only they can read; `down` removes it."""
    KUBECONFIG.touch(mode=0o600)
    KUBECONFIG.write_text(kubeconfig)
    return KUBECONFIG
