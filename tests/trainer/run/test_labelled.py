"""Whole attempts at tasks with labels, and what stock libraries make of their results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tests.trainer import tiny
from tests.trainer.gangs import RESULT
from tests.trainer.labelling import (
    HEADS,
    LABELS,
    OF_ONE,
    OF_SEVERAL,
    TAGGED,
    TAGS,
    TEXTS,
    furnish,
    model,
    written,
)
from tests.trainer.trainees import CPU, run_here

from skipjack.api.v1alpha1.dataset import RowFormat, Task
from skipjack.protocol import Result
from skipjack_trainer.errors import ConfigurationInvalid
from skipjack_trainer.model import facts_of, load_model
from skipjack_trainer.shape import Head, Shape
from skipjack_trainer.tasks import RECIPES

TEXT, TOKENS = Task.TEXT_CLASSIFICATION, Task.TOKEN_CLASSIFICATION
ROWS = {RowFormat.TEXT_LABEL: OF_ONE, RowFormat.TEXT_LABELS: OF_SEVERAL, RowFormat.TOKENS_TAGS: TAGGED}
BASE = "mnt/claims/models/base"
WELL = {"Full": {"maxSteps": 40, "learningRate": 0.005}}
"""Enough for rows to be told apart, not only better than before."""


def base_of(family: str, labels: int = 3, task: Task = TEXT) -> Any:
    """As its publisher saved it: with a head of another task, or with one of `labels`."""
    return model(family, task, labels) if labels != 3 else tiny.model(family, head=transformers.AutoModel)


def tuned(
    root: Path, method: str = "LoRA", layout: RowFormat = RowFormat.TEXT_LABEL, base: Any = None, **changes: Any
) -> Result:
    """A job from spec to stored result."""
    settings = {"maxSteps": 12, "globalBatchSize": 8, "learningRate": 0.02, "warmupRatio": 0} | WELL.get(method, {})
    labels = TAGS if layout is RowFormat.TOKENS_TAGS else LABELS
    dataset = {
        "train": [{"uri": "configmap://data/train.jsonl"}],
        "validation": [{"uri": "configmap://data/held.jsonl"}],
        "labels": list(labels),
    }
    spec = tiny.resolved(**{"method": {"type": method}, "hyperparameters": settings, "dataset": dataset} | changes)
    words = tiny.tokenizer(None) if base is not None and base.config.model_type in ("llama", "gpt2") else None
    furnish(root, spec, ROWS[layout] * 2, ROWS[layout], base if base is not None else base_of("bert"), words)
    return run_here(root)


def loaded(root: Path, head: Any, method: str) -> Any:
    """The stored result, as a person would load it."""
    from peft import PeftModel

    folder = root / RESULT
    config = transformers.AutoConfig.from_pretrained(folder)
    if method == "Full":
        return head.from_pretrained(folder).eval()
    quantization = {
        "quantization_config": transformers.BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            llm_int8_skip_modules=["classifier", "score"],
        )
    }
    how = quantization if method == "QLoRA" else {}
    base = head.from_pretrained(root / BASE, config=config, dtype=torch.float32, ignore_mismatched_sizes=True, **how)
    return PeftModel.from_pretrained(base, folder).eval()


@torch.no_grad()
def stock_loss(stock: Any, layout: RowFormat, shape: Shape) -> float:
    """Mean loss over the held-out rows, one by one, of what the model's own forward pass takes for one."""
    total = weight = 0.0
    for example in written(ROWS[layout], layout, TAGS if layout is RowFormat.TOKENS_TAGS else LABELS, shape):
        ids = torch.from_numpy(example.input_ids).long()[None]
        if layout is RowFormat.TOKENS_TAGS:
            tags = torch.from_numpy(example.beside["tags"]).long()[None]
            target, words = tags.where(torch.from_numpy(example.weights)[None] > 0, -100), float(example.weights.sum())
        elif layout is RowFormat.TEXT_LABELS:
            target, words = torch.from_numpy(example.beside["classes"]).float()[None], 1.0
        else:
            target, words = torch.from_numpy(example.beside["class"]).long(), 1.0
        total += float(stock(input_ids=ids, attention_mask=torch.ones_like(ids), labels=target).loss) * words
        weight += words
    return total / weight


@pytest.mark.parametrize(
    ("method", "family", "layout"),
    [
        ("LoRA", "bert", RowFormat.TEXT_LABEL),
        ("LoRA", "bert", RowFormat.TEXT_LABELS),
        ("LoRA", "bert", RowFormat.TOKENS_TAGS),
        ("LoRA", "llama", RowFormat.TEXT_LABEL),
        ("LoRA", "distilbert", RowFormat.TEXT_LABEL),
        ("IA3", "bert", RowFormat.TEXT_LABEL),
        ("PromptTuning", "bert", RowFormat.TEXT_LABEL),
        ("PromptTuning", "gpt2", RowFormat.TEXT_LABEL),
        ("QLoRA", "bert", RowFormat.TEXT_LABEL),
        ("QLoRA", "llama", RowFormat.TOKENS_TAGS),
        ("Full", "roberta", RowFormat.TEXT_LABEL),
        ("Full", "llama", RowFormat.TEXT_LABELS),
        ("Full", "bert", RowFormat.TOKENS_TAGS),
    ],
)
def test_what_is_stored_is_what_was_measured_and_stock_libraries_load_it(
    method: str, family: str, layout: RowFormat, tmp_path: Path
) -> None:
    base = base_of(family)
    metrics = tuned(tmp_path, method, layout, base).metrics
    assert metrics["heldout_loss_after"] < metrics["heldout_loss_before"]
    assert {"heldout_f1_before", "heldout_f1_after", "heldout_accuracy_after"} <= set(metrics)
    head = HEADS[TOKENS if layout is RowFormat.TOKENS_TAGS else TEXT]
    stock = loaded(tmp_path, head, method)
    shape = Shape.DECODER if family in ("llama", "gpt2") else Shape.ENCODER
    assert stock_loss(stock, layout, shape) == pytest.approx(metrics["heldout_loss_after"], rel=2e-3)
    config = json.loads((tmp_path / RESULT / "config.json").read_text())
    assert tuple(config["id2label"].values()) == (TAGS if layout is RowFormat.TOKENS_TAGS else LABELS)
    kind = {RowFormat.TEXT_LABEL: "single_label_classification", RowFormat.TEXT_LABELS: "multi_label_classification"}
    assert config.get("problem_type") == kind.get(layout)


def test_a_tuned_model_tells_labels_by_their_names_in_a_stock_pipeline(tmp_path: Path) -> None:
    tuned(tmp_path / "text", "Full")
    classify = transformers.pipeline("text-classification", str(tmp_path / "text" / RESULT), device="cpu")
    assert [told["label"] for told in classify(list(TEXTS[:3]))] == list(LABELS)
    tuned(tmp_path / "tokens", "Full", RowFormat.TOKENS_TAGS)
    mark = transformers.pipeline("token-classification", str(tmp_path / "tokens" / RESULT), device="cpu")
    told = {entity["word"].strip("Ġ"): entity["entity"] for entity in mark("the red light zzy")}
    assert (told["r"], told["light"]) == ("B-LIGHT", "I-LIGHT")


def test_prompts_are_answered_with_classes_and_with_marks(tmp_path: Path) -> None:
    tuned(tmp_path / "one", "Full", evaluation={"prompts": [TEXTS[1]]})
    assert "> green (" in (tmp_path / "one" / RESULT / "README.md").read_text()
    tuned(tmp_path / "several", "Full", RowFormat.TEXT_LABELS, evaluation={"prompts": [TEXTS[0]]})
    assert "After:\n> (no class)" in (tmp_path / "several" / RESULT / "README.md").read_text()
    tuned(tmp_path / "tags", "Full", RowFormat.TOKENS_TAGS, evaluation={"prompts": ["the red light zzy."]})
    assert "the [red light](LIGHT) zzy." in (tmp_path / "tags" / RESULT / "README.md").read_text()


def test_a_head_of_another_size_is_made_anew_and_trained_whole(tmp_path: Path) -> None:
    metrics = tuned(tmp_path, "LoRA", base=base_of("bert", labels=5)).metrics
    assert metrics["heldout_loss_after"] < metrics["heldout_loss_before"]
    stored = loaded(tmp_path, HEADS[TEXT], "LoRA").get_base_model().classifier.modules_to_save["default"].weight
    assert stored.shape == (3, 32)


@pytest.mark.parametrize("labels", [3, 5])
def test_a_new_head_begins_the_same_on_every_rank_whatever_was_drawn_before(labels: int, tmp_path: Path) -> None:
    base_of("bert", labels).save_pretrained(tmp_path)
    heads = []
    for noise in (0, 1000):
        torch.randn(noise)
        heads.append(load_model(tmp_path, tiny.resolved(), CPU, Head.CLASS, LABELS).classifier.weight)
    assert torch.equal(*heads)


def test_a_head_that_fits_is_gone_on_with(tmp_path: Path) -> None:
    fitting = model("bert", TEXT, 3)
    fitting.save_pretrained(tmp_path)
    head = load_model(tmp_path, tiny.resolved(), CPU, Head.CLASS, LABELS).classifier.weight
    assert torch.equal(head, fitting.classifier.weight)


def test_no_part_of_a_new_head_is_left_to_adapters(tmp_path: Path) -> None:
    tuned(tmp_path, "LoRA", base=base_of("distilbert"))
    names = set(dict(loaded(tmp_path, HEADS[TEXT], "LoRA").named_parameters()))
    heads = {name for name in names if "classifier" in name}
    assert {"pre_classifier", "classifier"} == {
        name.split(".modules_to_save.")[0].rpartition(".")[2] for name in heads if "modules_to_save" in name
    }
    assert not [name for name in heads if "lora_" in name]


def test_virtual_tokens_are_refused_where_every_token_is_labelled(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match="PromptTuning puts virtual tokens into the text"):
        tuned(tmp_path, "PromptTuning", RowFormat.TOKENS_TAGS)


def test_encoders_that_count_positions_from_padding_read_fewer_tokens() -> None:
    roberta = tiny.model("roberta", head=transformers.AutoModel, max_position_embeddings=20, pad_token_id=1).eval()
    facts = facts_of(roberta.config)
    assert facts.context_length == 18
    roberta(torch.full((1, 18), 5))
    with pytest.raises((IndexError, RuntimeError), match="out of"):
        roberta(torch.full((1, 19), 5))
    assert facts_of(tiny.model("bert", head=transformers.AutoModel).config).context_length == 256


def test_both_shapes_learn_tasks_with_labels() -> None:
    for task in (TEXT, TOKENS):
        assert set(RECIPES[task]) == {Shape.ENCODER, Shape.DECODER}
