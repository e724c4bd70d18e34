"""A program that knows nothing of Skipjack: stock transformers and PEFT load what was stored, and say their logits.

`python stock.py ROOT`: ROOT/cells.json names each cell's column and whether its base is quantised; ROOT/bases/COLUMN holds a base model and
ROOT/inputs/COLUMN.safetensors what it is given, ROOT/cells/NAME what was stored. Writes ROOT/logits.safetensors.
"""

from __future__ import annotations

import copy
import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import torch
import transformers
from peft import PeftModel
from safetensors.torch import load_file, save_file

ROOT = Path(sys.argv[1])


def load(folder: Path, quantization: dict[str, Any] | None) -> Any:
    name = json.loads((folder / "config.json").read_text())["architectures"][0]
    how: dict[str, Any] = {"dtype": torch.float32}
    if quantization:
        how["quantization_config"] = transformers.BitsAndBytesConfig(**quantization)
    model = getattr(transformers, name).from_pretrained(folder, **how).eval()
    for module in model.modules():
        if hasattr(module, "support_avx512bf16_for_cpu"):
            # That kernel takes no layer narrower than a block of 64.
            module.support_avx512bf16_for_cpu = False
    return model


@cache
def base(column: str) -> Any:
    return load(ROOT / "bases" / column, None)


@torch.no_grad()
def logits(cell: dict[str, Any]) -> torch.Tensor:
    stored, column = ROOT / "cells" / cell["name"], cell["column"]
    if (stored / "config.json").is_file():
        model = load(stored, None)
    else:
        quantization = cell["quantization"]
        fresh = load(ROOT / "bases" / column, quantization) if quantization else copy.deepcopy(base(column))
        model = PeftModel.from_pretrained(fresh, str(stored))
    out = model.eval()(**load_file(ROOT / "inputs" / f"{column}.safetensors"))
    return torch.cat([out.start_logits, out.end_logits]) if "start_logits" in out else out.logits


if __name__ == "__main__":
    torch.set_num_threads(1)
    said = {cell["name"]: logits(cell).contiguous() for cell in json.loads((ROOT / "cells.json").read_text())}
    assert not [module for module in sys.modules if module.startswith("skipjack")]
    save_file(said, ROOT / "logits.safetensors")
