"""Pictures from captions, by diffusion models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from skipjack.resolve import ResolvedSpec

from ..data.example import Example
from ..data.writers.picture import PIXELS
from ..shape import Head
from .base import Recipe, Subject

DRAWING_STEPS = 25
GUIDANCE = 7.5
"""Stable Diffusion's own."""
FOLDER = "pictures"


@dataclass(frozen=True, slots=True)
class PictureBatch:
    pixels: torch.Tensor
    """uint8 [n, side, side, 3]"""
    input_ids: torch.Tensor
    """int64 [n, context]"""
    seeds: tuple[int, ...] = ()
    """One a picture: its noise."""


def batch(examples: Sequence[Example], packing: bool, device: torch.device) -> PictureBatch:
    pixels = np.stack([example.beside[PIXELS] for example in examples])
    side = round((pixels.shape[1] // 3) ** 0.5)
    ids = np.stack([example.input_ids for example in examples]).astype(np.int64)
    shown = torch.from_numpy(pixels.reshape(len(examples), side, side, 3))
    return PictureBatch(shown.to(device), torch.from_numpy(ids).to(device))


def seeded(batch: PictureBatch, seeds: Sequence[int]) -> PictureBatch:
    return replace(batch, seeds=tuple(seeds))


def loss(model: Any, batch: PictureBatch, spec: ResolvedSpec) -> tuple[torch.Tensor, float]:
    """Sum over pictures of the mean squared error of what the UNet predicts (noise, or v), and their number."""
    measure = model.learn if model.training else model.judge
    return measure(batch.pixels, batch.input_ids, batch.seeds), float(len(batch.seeds))


def illustrate(subject: Subject, folder: Path) -> list[tuple[str, str, str]]:
    """By each prompt a picture of the untouched model and one of the tuned, from the same noise."""
    prompts = subject.spec.evaluation.prompts
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    after = [_drawn(subject, prompt, folder, f"{number:02}-after.png") for number, prompt in enumerate(prompts)]
    with subject.model.untouched():
        before = [_drawn(subject, prompt, folder, f"{number:02}-before.png") for number, prompt in enumerate(prompts)]
    return list(zip(prompts, before, after, strict=True))


def _drawn(subject: Subject, prompt: str, folder: Path, name: str) -> str:
    """The file's path in the folder. Draws from a generator of its own alone."""
    side, spec = subject.spec.dataset.resolution, subject.spec
    with torch.no_grad(), subject.autocast():
        drawn = subject.model.pipeline(
            prompt,
            height=side,
            width=side,
            num_inference_steps=DRAWING_STEPS,
            guidance_scale=GUIDANCE,
            generator=torch.Generator().manual_seed(spec.hyperparameters.seed),
        )
    drawn.images[0].save(folder / FOLDER / name)
    return f"{FOLDER}/{name}"


DRAWING = Recipe(Head.NOISE, batch, loss, seeded=seeded, illustrate=illustrate)
