"""Skipjack's contender: `python -m skipjack_trainer` on a resolved spec, as a pod runs it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from skipjack.protocol import SPEC_PATH
from skipjack.resolve import resolve_spec
from tests.builders import catalogue, node_type, spec

from .rivals import ALPHA, LEARNING_RATE, RANK

MALLOC = {
    "MALLOC_MMAP_THRESHOLD_": "17179869184",
    "MALLOC_TRIM_THRESHOLD_": "17179869184",
    "MALLOC_TOP_PAD_": "268435456",
}
"""As the trainer's image sets it."""


def pod(root: Path, folder: Path, method: str, steps: int, batch: int, has_gpu: bool, options: dict[str, Any]) -> None:
    """A pod's file system at `root`, whose claim `models` is `folder`; the result goes to its folder named as `root` is."""
    (root / "mnt/claims").mkdir(parents=True)
    (root / "mnt/claims/models").symlink_to(folder)
    (root / "scratch").mkdir()
    settings: dict[str, Any] = {"type": method}
    if method != "Full":
        settings["lora"] = {"rank": RANK, "alpha": ALPHA}
    asked = spec(
        model="pvc://models/base",
        dataset={"train": [{"uri": "pvc://models/train.jsonl"}]},
        output={"uri": f"pvc://models/{root.name}"},
        method=settings,
        hyperparameters={
            "maxSteps": steps,
            "globalBatchSize": batch,
            "learningRate": LEARNING_RATE,
            "warmupRatio": 0,
            "weightDecay": 0,
        },
        checkpoint={"everySteps": steps},
        compute={"precision": "BF16"} | options,
    )
    accelerator = {"accelerator": {"resource": "nvidia.com/gpu", "count": 1, "memory": "80Gi"}} if has_gpu else {}
    machine = node_type(default=True, **accelerator)
    place = root / SPEC_PATH.removeprefix("/")
    place.parent.mkdir(parents=True)
    place.write_text(resolve_spec(asked, "bench", "bench", "uid", catalogue(machine)).model_dump_json())
