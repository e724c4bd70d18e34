"""Images without a Docker engine: buildkit builds our own Dockerfiles and pushes to the registry; nodes pull."""

from __future__ import annotations

import tempfile
from pathlib import Path

from . import base, registry
from .node import Node
from .registry import REGISTRY
from .steps import CACHE, LOGS, ROOT, RUN, key, listens, sh, spawn, step, wait

BUILDKIT = RUN / "buildkit.sock"
BUILDKIT_GB = 20
"""Two trainer images of different requirements: with less, the layer that the next build starts from is let go."""
SOURCES = {
    "operator": ("operator/Dockerfile", "requirements/uv.txt", "requirements/operator.txt", "operator/src"),
    "trainer": (
        "trainer-image/Dockerfile",
        "requirements/uv.txt",
        "requirements/trainer.txt",
        "operator/src/skipjack",
        "trainer-image/src",
    ),
}
"""What each image is made of; the Dockerfile comes first."""


def serve_buildkit(programs: Path) -> None:
    """buildkit, in the host's network namespace: the nodes' have no way out."""
    config = RUN / "buildkitd.toml"
    config.write_text(
        f'[registry."{REGISTRY}"]\n  http = true\n[worker.oci]\n  gc = true\n  maxUsedSpace = "{BUILDKIT_GB}GB"\n'
    )
    spawn(
        "buildkitd",
        programs / "buildkitd",
        f"--config={config}",
        f"--root={CACHE / 'buildkit'}",
        f"--addr=unix://{BUILDKIT}",
        "--containerd-worker=false",
        "--oci-worker-net=host",
        "--allow-insecure-entitlement=network.host",
    )
    wait("buildkit answers", lambda: listens(BUILDKIT))


def reference(image: str) -> str:
    """The image's name for the sources of this tree."""
    tag = key(*(ROOT / source for source in SOURCES[image]))
    return f"{REGISTRY}/skipjack/{image}:{tag}"


def build(image: str, programs: Path) -> str:
    """The reference of the image of this tree; built and pushed unless the registry has it."""
    name = reference(image)
    if not registry.has(name):
        dockerfile = ROOT / SOURCES[image][0]
        with step(f"building the {image} image (log: {LOGS}/image-{image}.log)"):
            buildctl(programs, name, ROOT, dockerfile.parent, f"image-{image}")
    registry.mark_used(name)
    return name


def build_pause(programs: Path) -> str:
    """An image that sleeps, of the base alone: the pods' sandbox, and the storage provisioner's helper."""
    name = f"{REGISTRY}/skipjack/pause:1"
    if not registry.has(name):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "Dockerfile").write_text(f'FROM {base.NAME}\nENTRYPOINT ["sleep", "infinity"]\n')
            buildctl(programs, name, Path(folder), Path(folder), "image-pause")
    return name


def buildctl(programs: Path, name: str, context: Path, dockerfile: Path, log: str) -> None:
    """Builds with the stand-in for the base, and pushes."""
    output = {
        "type": "image",
        "name": name,
        "push": "true",
        "registry.insecure": "true",
        # Half the size of what is uncompressed, in buildkit's store and in the registry's, and no slower on two cores.
        "compression": "zstd",
        "compression-level": "1",
    }
    sh(
        programs / "buildctl",
        f"--addr=unix://{BUILDKIT}",
        "build",
        "--progress=plain",
        "--frontend=dockerfile.v0",
        f"--local=context={context}",
        f"--local=dockerfile={dockerfile}",
        f"--oci-layout=base={base.LAYOUT}",
        f"--opt=context:{base.NAME}=oci-layout://base@{base.make()}",
        "--opt=force-network-mode=host",
        "--allow=network.host",
        "--output=" + ",".join(f"{option}={value}" for option, value in output.items()),
        log=log,
    )


def forget_downloads(programs: Path) -> None:
    """Empties the cache mounts of the builds: a changed requirement costs a download of a minute, keeping them 6 GB."""
    sh(programs / "buildctl", f"--addr=unix://{BUILDKIT}", "prune", "--filter=type==exec.cachemount", log="prune")


def pull(node: Node, containers: Path, *wanted: str) -> None:
    """The images onto the node; then those of ours off it that are no longer wanted, for they may share layers."""
    client = (containers / "ctr", f"--address={node.containerd}", "--namespace=k8s.io")
    known = pulled(client)
    for name in wanted:
        if name not in known:
            with step(f"pulling {name.rpartition('/')[2]} to {node.name}"):
                sh(*node.inside(*client, "images", "pull", "--plain-http", name), log=f"pull-{node.name}")
        sh(*client, "images", "label", name, "io.cri-containerd.image=managed")
    if old := superfluous(pulled(client), wanted):
        sh(*client, "images", "rm", *old)
    # An unpacked layer is never read again: without this each one lies on the node twice.
    sh(*client, "content", "prune", "references")


def pulled(client: tuple[str | Path, ...]) -> dict[str, str]:
    """The digest behind each name that the node has."""
    lines = sh(*client, "images", "ls").splitlines()[1:]
    return {line.split()[0]: line.split()[2] for line in lines}


def superfluous(known: dict[str, str], wanted: tuple[str, ...]) -> list[str]:
    """Every name of images of ours that are not wanted: containerd gives each image more than one."""
    kept = {known[name] for name in wanted}
    gone = {digest for name, digest in known.items() if name.startswith(f"{REGISTRY}/skipjack/")} - kept
    return [name for name, digest in known.items() if digest in gone]
