"""Rows of preferences, and runs that learn from them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tests.trainer import tiny
from tests.trainer.trainees import CPU, attached, base_of, example, settled

from skipjack.api.v1alpha1.dataset import Task
from skipjack.resolve import ResolvedSpec
from skipjack_trainer.data.example import PARTS, WEIGHT, Example, Examples, first_of_each
from skipjack_trainer.data.table import read_table, write_table
from skipjack_trainer.data.writers.preference import DESIRABLE, MISMATCHED, MISMATCHED_WEIGHTS
from skipjack_trainer.engine.peers import Alone, Peers
from skipjack_trainer.engine.reference import refer
from skipjack_trainer.engine.trainee import Trainee
from skipjack_trainer.model import attention_of
from skipjack_trainer.tasks.preference import PREFERENCE

PAIRED = ["DPO", "IPO", "Hinge", "ORPO", "SimPO"]
LOSSES = [*PAIRED, "KTO"]
ONCE = np.ones(1, np.float32)


def pair(seed: int) -> Example:
    sides = [example(6 + (5 * seed + side) % 19, 2 * seed + side) for side in (0, 1)]
    ids, weights = (np.concatenate(arrays) for arrays in zip(*((s.input_ids, s.weights) for s in sides), strict=True))
    return Example(ids, weights, f"row {seed}", {PARTS: np.array([len(s) for s in sides], np.int32), WEIGHT: ONCE})


def judged(seed: int) -> Example:
    one, other = example(6 + (5 * seed) % 19, seed), example(7 + (3 * seed) % 17, 100 + seed)
    beside = {DESIRABLE: np.array([seed % 3 > 0]), MISMATCHED: other.input_ids, MISMATCHED_WEIGHTS: other.weights}
    return Example(one.input_ids, one.weights, f"row {seed}", {WEIGHT: ONCE, **beside})


def rows_for(loss: str, count: int = 8) -> list[Example]:
    return [(judged if loss == "KTO" else pair)(seed) for seed in range(count)]


def tabled(rows: Sequence[Example], folder: Path) -> Examples:
    write_table([rows], folder)
    return Examples.all_of(read_table(folder), first_of_each)


def preferring(
    loss: str, folder: Path, peers: Peers | None = None, family: str = "llama", packing: bool = True, **changes: Any
) -> Trainee:
    """A run over eight rows for the loss, their reference beside them where it has one."""
    peers, own = peers or Alone(), changes.pop("preference", {})
    rows = tabled(rows_for(loss), folder / f"rows-{peers.rank}")
    told = settled(rows, packing, Task.PREFERENCE, preference={"loss": loss} | own, **changes)
    model = base_of(told, family, torch.float32)
    model.set_attn_implementation(attention_of(told, model.config))
    rows = refer(model, PREFERENCE, told, rows, CPU, peers, folder / f"reference-{peers.rank}")
    return attached(model, told, rows, peers, folder, PREFERENCE)


def texts(count: int) -> list[dict[str, Any]]:
    """Rows that a user brings: short answers are preferred."""
    return [
        {"prompt": f"light {n}", "chosen": " the red light", "rejected": f" hello the {n} world"} for n in range(count)
    ]


def judgements(count: int) -> list[dict[str, Any]]:
    return [
        {"prompt": f"light {n // 2}", "completion": " the red light" if n % 2 else f" hello {n}", "label": bool(n % 2)}
        for n in range(count)
    ]


def furnished(root: Path, told: ResolvedSpec, rows: Sequence[dict[str, Any]]) -> Path:
    """A pod with the rows, eight of which are held out too."""
    tiny.furnish(root, told, rows)
    held_out = "".join(json.dumps(row) + "\n" for row in rows[:8])
    (root / "mnt/configmaps/data/held.jsonl").write_text(held_out)
    return root
