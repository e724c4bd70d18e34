"""What is kept on the disk: asked for before it is taken, and let go when it is old."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cluster import disk, images, registry
from tests.cluster.disk import Need
from tests.cluster.steps import Failed

BUILDKIT = Need("the images in buildkit", 16.0, ())
REGISTRY = Need("the images in the registry", 4.0, ())


def test_too_little_room_is_told_with_what_is_needed_for_what() -> None:
    with pytest.raises(Failed, match=r"10\.0 GiB free, and 22\.0 are needed") as refused:
        disk.require(10.0, [(BUILDKIT, 0.0), (REGISTRY, 0.0)])
    assert "16.0 GiB  the images in buildkit" in str(refused.value)
    assert "SKIPJACK_CACHE" in str(refused.value)


def test_what_is_cached_already_is_not_asked_for_again() -> None:
    disk.require(10.0, [(BUILDKIT, 9.0), (REGISTRY, 4.5)])
    with pytest.raises(Failed, match=r"11\.0 are needed"):
        disk.require(10.0, [(BUILDKIT, 7.0), (REGISTRY, 4.5)])


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "there").write_bytes(os.urandom(3 * 2**20))
    assert disk.held_gib([tmp_path / "missing"]) == 0.0
    assert disk.held_gib([tmp_path, tmp_path / "missing"]) == pytest.approx(3 / 1024, abs=1 / 1024)


def test_of_each_image_the_tags_that_were_used_last_stay(tmp_path: Path) -> None:
    for image, count in (("trainer", 4), ("pause", 1)):
        for age in range(count):
            tag = tmp_path / "skipjack" / image / "_manifests/tags" / f"{image}{age}"
            tag.mkdir(parents=True)
            os.utime(tag, (1000 - age, 1000 - age))
    assert [tag.name for tag in registry.old_tags(tmp_path)] == ["trainer2", "trainer3"]
    assert registry.old_tags(tmp_path / "new") == []


def test_an_image_that_is_not_wanted_goes_by_all_its_names_and_a_strangers_stays() -> None:
    ours = f"{registry.REGISTRY}/skipjack/trainer"
    known = {
        f"{ours}:old": "sha256:1",
        "sha256:config-of-old": "sha256:1",
        f"{ours}:new": "sha256:2",
        "sha256:config-of-new": "sha256:2",
        "docker.io/library/busybox:1": "sha256:3",
    }
    assert images.superfluous(known, (f"{ours}:new",)) == [f"{ours}:old", "sha256:config-of-old"]
