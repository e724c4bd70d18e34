"""Rows on which every form of a model is held to the model as it was trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..data.example import PARTS, Example
from ..data.writers.span import KINDS
from ..shape import Head
from ..tasks.span import told_kinds

ROWS = 4
LOOKED_AT = 64
"""Of so many rows the samples are taken."""
TOKENS = 240
"""Of a row, at most: with a few more, llama.cpp would read them in a context of 512, and one of 256 is enough."""
POSITIONS = 16
"""Of a row, at most: what is said of each token of a large vocabulary would fill memory."""

Inputs = dict[str, list[int]]
"""What a model is given, by the names of its arguments."""
Said = list[np.ndarray]
"""What a model says of a row: an fp32 array for each of its outputs, [positions, …] or [classes]."""


def samples_of(examples: Sequence[Example], head: Head) -> list[Inputs]:
    """A few rows of many lengths, in the order of their lengths."""
    first = sorted((examples[number] for number in range(min(len(examples), LOOKED_AT))), key=len)
    places = sorted({round(place) for place in np.linspace(0, len(first) - 1, ROWS)})
    return [inputs_of(first[place], head) for place in places]


def inputs_of(example: Example, head: Head) -> Inputs:
    """`decoder_input_ids` holds the target, behind which the model's own beginning is still to be put."""
    if head is Head.OTHER_SEQUENCE:
        source, target = np.split(example.input_ids, [int(example.beside[PARTS][0])])
        return {"input_ids": source[:TOKENS].tolist(), "decoder_input_ids": target[:TOKENS].tolist()}
    told = {"input_ids": example.input_ids[:TOKENS].tolist()}
    return told | ({"token_type_ids": example.beside[KINDS][:TOKENS].tolist()} if KINDS in example.beside else {})


def given(sample: Inputs) -> dict[str, torch.Tensor]:
    """[1, length] each, and the mask."""
    told = {name: torch.tensor([ids]) for name, ids in sample.items()}
    return told | {"attention_mask": torch.ones_like(told["input_ids"])}


def together(samples: Sequence[Inputs], padding: int) -> dict[str, torch.Tensor]:
    """All of them as one batch, filled up at the right."""
    filled: dict[str, torch.Tensor] = {}
    for name in samples[0]:
        longest = max(len(sample[name]) for sample in samples)
        rest = padding if name.endswith("input_ids") else 0
        filled[name] = torch.tensor([sample[name] + [rest] * (longest - len(sample[name])) for sample in samples])
    longest = filled["input_ids"].shape[1]
    mask = [[1] * len(sample["input_ids"]) + [0] * (longest - len(sample["input_ids"])) for sample in samples]
    return filled | {"attention_mask": torch.tensor(mask)}


def positions(length: int) -> list[int]:
    """Those that are judged, the last among them."""
    return sorted({round(place) for place in np.linspace(0, length - 1, POSITIONS)})


def judged(output: np.ndarray, sample: Inputs, head: Head) -> np.ndarray:
    """What counts of one row's output: all of a text's classes, else the positions that are judged. A copy."""
    if head is Head.CLASS:
        return np.array(output, np.float32)
    tokens = sample.get("decoder_input_ids", sample["input_ids"])
    return np.array(output[positions(len(tokens))], np.float32)


OUTPUTS: dict[Head, tuple[str, ...]] = {Head.SPAN: ("start_logits", "end_logits")}


def outputs_of(head: Head) -> tuple[str, ...]:
    """What a model says, by transformers' names."""
    return OUTPUTS.get(head, ("logits",))


@torch.no_grad()
def said(model: Any, samples: Sequence[Inputs], head: Head) -> list[Said]:
    """What a model of transformers' says of each row."""
    told = []
    for sample in samples:
        out = told_kinds(model.eval())(**given(sample))
        told.append([judged(out[name][0].float().numpy(), sample, head) for name in outputs_of(head)])
    return told


@dataclass(frozen=True, slots=True)
class Difference:
    """Between what two models say."""

    greatest: float
    share: float
    """Root mean square over all that was compared, less what all values of a position have in common (which changes no probability), as a
    share of their standard deviation: of models that have nothing to do with each other 1.4."""


FLOOR = 0.5
"""Of the standard deviation: what hardly differs from each other is not measured by that."""


def difference(ours: Sequence[Said], theirs: Sequence[Said]) -> Difference:
    pairs = [pair for one, other in zip(ours, theirs, strict=True) for pair in zip(one, other, strict=True)]
    apart = [other - one for one, other in pairs]
    moved = np.concatenate([(each - each.mean(axis=-1, keepdims=True)).ravel() for each in apart])
    usual = np.concatenate([(one - one.mean(axis=-1, keepdims=True)).ravel() for one, _ in pairs])
    share = root_mean_square(moved) / max(FLOOR, root_mean_square(usual))
    return Difference(max(float(np.abs(each).max()) for each in apart), share)


def root_mean_square(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
