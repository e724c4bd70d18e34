"""What must not creep in."""

from __future__ import annotations

import operator
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_the_folder_operator_never_shadows_the_standard_librarys_module() -> None:
    assert not (ROOT / "operator/__init__.py").exists()
    assert operator.add(1, 1) == 2
    assert Path(operator.__file__ or "").is_relative_to(sys.base_prefix)


@pytest.mark.parametrize(
    ("image", "foreign"),
    [
        ("operator", {"torch", "transformers", "peft", "numpy"}),
        ("trainer", {"kopf", "kubernetes", "prometheus-client"}),
    ],
)
def test_an_image_holds_nothing_of_the_others_world(image: str, foreign: set[str]) -> None:
    lines = (ROOT / f"requirements/{image}.txt").read_text().splitlines()
    locked = {line.split("==")[0] for line in lines if "==" in line}
    assert len(locked) > 5
    assert locked & foreign == set()


@pytest.mark.parametrize("image", ["operator", "trainer", "dev", "uv"])
def test_every_package_is_pinned_by_hash_and_by_no_address(image: str) -> None:
    text = (ROOT / f"requirements/{image}.txt").read_text()
    assert text.count("==") <= text.count("--hash=sha256:")
    assert "://" not in text
