"""Builders for tasks with labels: rows, a tokenizer that closes texts, tiny models with the tasks' heads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tests.trainer import tiny
from tests.trainer.trainees import CPU
from tokenizers.processors import TemplateProcessing
from transformers import AutoModelForSequenceClassification, AutoModelForTokenClassification, PreTrainedTokenizerFast

from skipjack.api.v1alpha1.dataset import RowFormat, Task
from skipjack.resolve import DataFacts, resolve_data
from skipjack_trainer.data.example import Example
from skipjack_trainer.data.formats import interpret
from skipjack_trainer.data.read import Broken
from skipjack_trainer.data.writers import Writing, writer_of
from skipjack_trainer.engine.objective import Objective
from skipjack_trainer.engine.peers import Alone
from skipjack_trainer.engine.strategies import STRATEGIES
from skipjack_trainer.engine.trainee import Trainee, make_optimizer
from skipjack_trainer.methods import METHODS
from skipjack_trainer.shape import ModelFacts, Shape
from skipjack_trainer.tasks import RECIPES

LABELS = ("red", "green", "blue")
TAGS = ("O", "B-LIGHT", "I-LIGHT")
HEADS = {
    Task.TEXT_CLASSIFICATION: AutoModelForSequenceClassification,
    Task.TOKEN_CLASSIFICATION: AutoModelForTokenClassification,
}
DROPOUTS = ("dropout", "attention_dropout", "seq_classif_dropout", "classifier_dropout", "hidden_dropout")
TEXTS = tuple(f"the light {n} is {LABELS[n % 3]} {'hello world ' * (n % 4)}" for n in range(8))
OF_ONE = tuple({"text": text, "label": LABELS[n % 3]} for n, text in enumerate(TEXTS))
OF_SEVERAL = tuple({"text": text, "labels": list(LABELS[: n % 4])} for n, text in enumerate(TEXTS))
TAGGED = tuple(
    {
        "tokens": ["the", "red", "light", *["zzy"] * (1 + n % 4)],
        "tags": ["O", "B-LIGHT", "I-LIGHT", *["O"] * (1 + n % 4)],
    }
    for n in range(8)
)


def tokenizer() -> PreTrainedTokenizerFast:
    """tiny.tokenizer, with <s> and </s> around texts, and </s> between two."""
    made = tiny.tokenizer(None)
    made.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B:1 </s>:1", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return made


def told(
    rows: Sequence[dict[str, Any]],
    layout: RowFormat,
    labels: Sequence[str] = LABELS,
    shape: Shape = Shape.ENCODER,
    weights: Sequence[float] | None = None,
    words: Any = None,
) -> list[Example | Broken]:
    """What the task's writer makes of rows."""
    task = Task.TOKEN_CLASSIFICATION if layout in OF_TOKENS else Task.TEXT_CLASSIFICATION
    writing = Writing(
        tiny.resolved(),
        words or (tokenizer() if shape is Shape.ENCODER else tiny.tokenizer(None)),
        ModelFacts(shape, 256, can_pack=False),
        tuple(labels),
        tuple(weights or [1.0] * len(labels)),
    )
    read = ((f"a.jsonl:{n}", interpret(layout, row)) for n, row in enumerate(rows, 1))
    return list(writer_of(task, shape).write(writing, read))


OF_TOKENS = (RowFormat.TOKENS_TAGS, RowFormat.TOKENS_NER_TAGS, RowFormat.TEXT_ENTITIES)


def written(*arguments: Any, **options: Any) -> list[Example]:
    """The same of rows that are whole."""
    return [example for example in told(*arguments, **options) if isinstance(example, Example)]


def trainee(
    examples: Sequence[Example], task: Task, family: str, labels: Sequence[str] = LABELS, **changes: Any
) -> Trainee:
    """A run of a tiny model of that family over the examples."""
    total = sum(map(len, examples))
    facts = DataFacts(task, len(examples), 0, max(map(len, examples)), total, 256, model_can_pack=False)
    spec = resolve_data(tiny.resolved(task=task, **changes), facts)
    shape = Shape.ENCODER if family in ("bert", "roberta", "distilbert") else Shape.DECODER
    recipe = RECIPES[task][shape]
    base = model(family, task, len(labels))
    recipe.configure(base.config, tiny.tokenizer(), examples[0])
    objective = Objective(METHODS[spec.method.type].attach(base, spec), recipe, spec, CPU)
    optimizer = make_optimizer(objective.model, spec)
    strategy = STRATEGIES[spec.compute.strategy](objective, optimizer, spec, Alone(), Path("/nowhere"))
    return Trainee(spec, examples, examples, strategy, tiny.tokenizer(), tuple(labels))


def model(family: str, task: Task, labels: int) -> Any:
    """With an output layer that tells texts apart: the usual one begins too close to nought."""
    made = tiny.model(family, head=HEADS[task], num_labels=labels, **dict.fromkeys(DROPOUTS, 0.0))
    for name, parameter in made.named_parameters():
        if name.endswith(("classifier.weight", "score.weight")):
            torch.nn.init.normal_(parameter)
    return made


def furnish(
    root: Path,
    spec: Any,
    train: Sequence[dict[str, Any]],
    held: Sequence[dict[str, Any]],
    base: Any,
    words: Any = None,
) -> Path:
    """A pod's file system below `root`, with a model and rows of one's own."""
    folder = root / "mnt/claims/models/base"
    base.save_pretrained(folder)
    (words or tokenizer()).save_pretrained(folder)
    data = root / "mnt/configmaps/data"
    data.mkdir(parents=True)
    for name, rows in (("train", train), ("held", held)):
        (data / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    place = root / "etc/skipjack/podinfo/resolved-spec"
    place.parent.mkdir(parents=True)
    place.write_text(spec.model_dump_json())
    (root / "scratch").mkdir()
    return root
