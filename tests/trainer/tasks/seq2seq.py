"""Tiny sequence-to-sequence models, and what they are taught."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tests.trainer import tiny
from transformers import AutoModelForSeq2SeqLM

from skipjack.api.v1alpha1.dataset import RowFormat, Task
from skipjack.resolve import ResolvedSpec
from skipjack_trainer.data.example import Example
from skipjack_trainer.data.formats import interpret
from skipjack_trainer.data.writers import Writing
from skipjack_trainer.data.writers.sequence import SEQUENCE
from skipjack_trainer.shape import ModelFacts, Shape
from skipjack_trainer.tasks import Recipe, Subject

CPU = torch.device("cpu")
FAMILIES = ("t5", "bart", "marian", "mbart")
BART: dict[str, Any] = {
    "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64, "dropout": 0.0, "forced_eos_token_id": None,
}  # fmt: skip
FACTS = ModelFacts(Shape.ENCODER_DECODER, 256, can_pack=False)


def model(family: str) -> Any:
    return tiny.model(family, 1, AutoModelForSeq2SeqLM, **({} if family == "t5" else BART))


def pairs(count: int) -> list[dict[str, str]]:
    """Of different lengths."""
    return [
        {"source": f"light {'please ' * (n % 5)}{n}", "target": f"{'the ' * (n % 3)}light {n} is red"}
        for n in range(count)
    ]


def examples(count: int, spec: ResolvedSpec) -> list[Example]:
    rows = ((str(n), interpret(RowFormat.SOURCE_TARGET, row)) for n, row in enumerate(pairs(count)))
    told = SEQUENCE.write(Writing(spec, tiny.tokenizer(), FACTS), rows)
    return [example for example in told if isinstance(example, Example)]


def subject(model: Any, task: Task | None = Task.TRANSLATION, **changes: Any) -> Subject:
    spec = tiny.resolved(evaluation={"maxNewTokens": 6}, **changes).model_copy(update={"task": task})
    return Subject(model.eval(), tiny.tokenizer(), spec, (), CPU)


def said(recipe: Recipe, asked: Subject, some: Sequence[Example]) -> list[Any]:
    assert recipe.predict is not None
    with torch.no_grad():
        return recipe.predict(asked, some)


def furnish(
    root: Path, spec: ResolvedSpec, base: Any, train: Sequence[Any], held_out: Sequence[Any], tokenizer: Any = None
) -> Path:
    """A pod's file system with that model and those rows."""
    place = root / "mnt/claims/models/base"
    base.save_pretrained(place)
    (tokenizer or tiny.tokenizer()).save_pretrained(place)
    tiny.furnish(root, spec, list(train))
    (root / "mnt/configmaps/data/held.jsonl").write_text("".join(json.dumps(row) + "\n" for row in held_out))
    return root
