"""The registry that holds our images: nodes pull from it, and a changed line pushes one small layer to it."""

from __future__ import annotations

import os
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from .network import HOST
from .steps import CACHE, RUN, alive, end, sh, spawn, step, wait, write

REGISTRY = f"{HOST}:5000"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
STORE = CACHE / "registry"
REPOSITORIES = STORE / "docker/registry/v2/repositories"
KEPT_TAGS = 2
"""Of each image, for going back and forth between trees; each changed requirement costs 3 GB."""


def serve(programs: Path) -> None:
    """The registry, on the host's side of the bridge."""
    if not alive("registry"):
        # What was being pushed when it died is never gone on with.
        for uploads in REPOSITORIES.glob("skipjack/*/_uploads"):
            shutil.rmtree(uploads)
    spawn("registry", programs / "registry", "serve", configuration(), env={"OTEL_TRACES_EXPORTER": "none"})
    wait("the registry answers", lambda: answers(f"http://{REGISTRY}/v2/"))


def collect(programs: Path) -> None:
    """Removes images that were not used for long, and what they alone hold."""
    if old := old_tags(REPOSITORIES):
        with step(f"removing {len(old)} old images from the registry"):
            # It must not run meanwhile: a push could count on a layer that is just being removed.
            end("registry")
            for tag in old:
                shutil.rmtree(tag)
            collector = (programs / "registry", "garbage-collect", "--delete-untagged", configuration())
            sh(*collector, log="registry-collect")
            serve(programs)


def configuration() -> Path:
    return write(
        RUN / "registry.yaml",
        {
            "version": 0.1,
            "storage": {"filesystem": {"rootdirectory": str(STORE)}, "delete": {"enabled": True}},
            "http": {"addr": REGISTRY},
            "log": {"level": "warn"},
        },
    )


def place(name: str) -> Path:
    """Where the registry's folder has the image of that name, so that it can be told before the registry runs."""
    path, _, tag = name.removeprefix(f"{REGISTRY}/").rpartition(":")
    return REPOSITORIES / path / "_manifests/tags" / tag


def mark_used(name: str) -> None:
    os.utime(place(name))


def old_tags(repositories: Path) -> list[Path]:
    """The folders of each image's tags but for the KEPT_TAGS that were used last."""
    images = (repositories / "skipjack").glob("*/_manifests/tags")
    by_age = (sorted(tags.iterdir(), key=lambda tag: tag.stat().st_mtime, reverse=True) for tags in images)
    return [tag for tags in by_age for tag in tags[KEPT_TAGS:]]


def has(name: str) -> bool:
    """Whether the registry holds that image."""
    path, _, tag = name.removeprefix(f"{REGISTRY}/").rpartition(":")
    request = urllib.request.Request(
        f"http://{REGISTRY}/v2/{path}/manifests/{tag}", method="HEAD", headers={"Accept": MANIFEST}
    )
    try:
        with urllib.request.urlopen(request, timeout=5):
            return True
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return False
        raise


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=3):
            return True
    except (urllib.error.URLError, OSError):
        return False
