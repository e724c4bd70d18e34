"""The whole model as transformers loads it, in the precision of its base."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch

from skipjack.api.v1alpha1.formats import FormatQuantization

from ...shape import Head
from ..samples import Difference, difference, said
from ..whole import Whole, load_stored
from .base import EXACT, SHARES, Bound, Format, Quantization

ROUNDED = {torch.float16: SHARES[FormatQuantization.F16], torch.bfloat16: SHARES[FormatQuantization.BF16]}
BESIDE = ("*.json", "*.jinja", "*.model", "*.txt")


def refusal(config: Any, tokenizer: Any, head: Head, quantization: Quantization) -> str | None:
    return None


def write(whole: Whole, quantization: Quantization, folder: Path) -> None:
    """File by file: memory holds one of them."""
    from safetensors.torch import load_file, save_file

    for pattern in BESIDE:
        for file in whole.folder.glob(pattern):
            shutil.copyfile(file, folder / file.name)
    for file in whole.folder.glob("*.safetensors"):
        held = {
            name: tensor.to(whole.dtype) if tensor.is_floating_point() else tensor
            for name, tensor in load_file(file).items()
        }
        save_file(held, folder / file.name, {"format": "pt"})
    config = folder / "config.json"
    told = json.loads(config.read_text()) | {"dtype": str(whole.dtype).removeprefix("torch.")}
    config.write_text(json.dumps(told, indent=2))


def differs(whole: Whole, quantization: Quantization, folder: Path) -> Difference:
    return difference(whole.said, said(load_stored(folder, whole.head), whole.samples, whole.head))


def bound(whole: Whole, quantization: Quantization) -> Bound:
    return ROUNDED.get(whole.dtype, EXACT)


MERGED = Format(refusal, write, differs, bound)
