"""One judge for all: the held-out loss of what each contender stored, on the fp32 base.
`python -m tests.bench.trainer.judge FOLDER METHOD OUT…` prints one JSON object, loss by OUT.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from .material import tokenizer
from .rivals import labelled


@torch.no_grad()
def heldout_loss(model: Any, folder: Path) -> float:
    """Mean cross-entropy in nats of the answers' tokens, chat by chat."""
    words, device = tokenizer(), next(model.parameters()).device
    total = count = 0.0
    for line in (folder / "held.jsonl").read_text().splitlines():
        row = labelled(words, json.loads(line)["messages"])
        ids, labels = (torch.tensor(row[key], device=device) for key in ("input_ids", "labels"))
        logits = model(ids[None], use_cache=False).logits[0, :-1].float()
        total += float(torch.nn.functional.cross_entropy(logits, labels[1:], reduction="sum"))
        count += int((labels[1:] != -100).sum())
    return total / count


def trained(folder: Path, method: str, out: Path) -> Any:
    from peft import PeftModel

    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if torch.cuda.is_available() else torch.float32
    base = out if method == "Full" else folder / "base"
    model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype, device_map=device)
    return (model if method == "Full" else PeftModel.from_pretrained(model, out)).eval()


if __name__ == "__main__":
    place, how = Path(sys.argv[1]), sys.argv[2]
    print(json.dumps({out: heldout_loss(trained(place, how, Path(out)), place) for out in sys.argv[3:]}))
