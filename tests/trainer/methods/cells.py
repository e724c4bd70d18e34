"""Every method on every family, tried once: trained, stored, loaded again, merged; or refused in words."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file
from tests.trainer import tiny
from tests.trainer.trainees import CPU, attached, examples, settled
from torch.nn.functional import cross_entropy

from skipjack.api.v1alpha1.method import MethodType, block_of
from skipjack.methods import METHODS as DATA
from skipjack.resolve import ResolvedSpec
from skipjack_trainer.engine.checkpoint import Before, Checkpoints, State
from skipjack_trainer.engine.loop import train
from skipjack_trainer.engine.peers import Alone
from skipjack_trainer.engine.stop import Stop
from skipjack_trainer.engine.strategies.base import set_rate
from skipjack_trainer.engine.trainee import make_optimizer
from skipjack_trainer.errors import ConfigurationInvalid
from skipjack_trainer.export.merge import merge
from skipjack_trainer.methods import METHODS, refuse_head, refuse_unfit
from skipjack_trainer.model import PACKS, load_model, read_config
from skipjack_trainer.quantize import configuration, keep_trainable
from skipjack_trainer.shape import NEW_HEADS
from skipjack_trainer.storage.folder import Folder

ROWS = examples(8)
STEPS = 4
FASTER = 50
"""Times its default rate: tiny random models move slowly."""
SLOWER = {MethodType.FOURIERFT: 10}
"""Times less than that: its update grows as the square of a layer's width shrinks."""

KINDS_OF_HEADS = {
    transformers.AutoModelForCausalLM: "CAUSAL_LM",
    transformers.AutoModelForSeq2SeqLM: "SEQ_2_SEQ_LM",
    transformers.AutoModelForSequenceClassification: "SEQ_CLS",
    transformers.AutoModelForTokenClassification: "TOKEN_CLS",
    transformers.AutoModelForQuestionAnswering: "QUESTION_ANS",
}
Inputs = dict[str, torch.Tensor]


@dataclass(frozen=True, slots=True)
class Column:
    """A family, with the head that it is tuned with."""

    name: str
    family: str
    head: Any = transformers.AutoModelForCausalLM
    labels: int | None = None
    """Classes of a head whose task the trainer has not: a small loss of the test's own trains it."""


COLUMNS = (
    *(Column(family, family) for family in ("llama", "phi3", "qwen3", "gpt2", "gemma")),
    Column("T5", "t5", transformers.AutoModelForSeq2SeqLM, 400),
    Column("BERT, sequences", "bert", transformers.AutoModelForSequenceClassification, 2),
    Column("BERT, tokens", "bert", transformers.AutoModelForTokenClassification, 2),
    Column("BERT, answers", "bert", transformers.AutoModelForQuestionAnswering, 2),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """What was seen. `refused` alone, or all the others."""

    refused: str | None = None
    losses: tuple[float, ...] = ()
    untouched: torch.Tensor | None = None
    trained: torch.Tensor | None = None
    reloaded: torch.Tensor | None = None
    merged: torch.Tensor | None = None

    @property
    def outcome(self) -> str:
        if self.refused:
            return f"refused: {self.refused.partition(': ')[2]}"
        return "works" if self.merged is None else "works, merges"


Cells = dict[tuple[MethodType, Column], Cell]


def told(kind: MethodType, column: Column) -> ResolvedSpec:
    own: dict[str, Any] = {"type": kind.value}
    if block_of(kind) == "lora":
        own["lora"] = {"rank": 4}
    faster = FASTER / SLOWER.get(kind, 1)
    rate = min(1.0, DATA[kind].learning_rate * (faster if column.labels is None else faster / 10))
    return settled(
        ROWS,
        column.family in PACKS,
        method=own,
        hyperparameters={"maxSteps": STEPS, "globalBatchSize": 8, "learningRate": rate, "warmupRatio": 0},
        compute={"precision": "FP32", "microBatchTokens": 4096},
        checkpoint={"everySteps": 1000},
    )


def try_all(root: Path) -> Cells:
    """Every cell; what is stored of each is loaded by one program for all."""
    (root / "inputs").mkdir()
    for column in COLUMNS:
        tiny.model(column.family, head=column.head).save_pretrained(root / "bases" / column.name)
        save_file(inputs(column), root / "inputs" / f"{column.name}.safetensors")
    cells = {(kind, column): try_one(kind, column, root) for kind, column in product(MethodType, COLUMNS)}
    to_load = [
        {"name": name(kind, column), "column": column.name, "quantization": stock(told(kind, column), column)}
        for (kind, column), cell in cells.items()
        if not cell.refused
    ]
    (root / "cells.json").write_text(json.dumps(to_load))
    program = Path(__file__).with_name("stock.py")
    subprocess.run([sys.executable, program, root], check=True, env=os.environ | {"PYTHONPATH": ""})
    loaded = load_file(root / "logits.safetensors")
    return {
        (kind, column): replace(cell, reloaded=loaded.get(name(kind, column))) for (kind, column), cell in cells.items()
    }


def try_one(kind: MethodType, column: Column, root: Path) -> Cell:
    spec, base, stored = told(kind, column), root / "bases" / column.name, root / "cells" / name(kind, column)
    try:
        refuse_unfit(spec, read_config(base))
        refuse_head(spec, KINDS_OF_HEADS[column.head])
    except ConfigurationInvalid as refusal:
        return Cell(refused=str(refusal))
    model = load(base, column, spec)
    untouched = logits(model, column)
    model, losses = by_the_engine(model, spec, root) if column.labels is None else by_hand(model, spec, column)
    trained = logits(model, column)
    model.save_pretrained(stored)
    merges = DATA[kind].merges
    merged = logits(merge(load(base, column, spec), stored), column) if merges else None
    return Cell(None, tuple(losses), untouched, trained, merged=merged)


def load(base: Path, column: Column, spec: ResolvedSpec) -> Any:
    if column.labels is None:
        return load_model(base, spec, CPU)
    settings = spec.method.quantization
    if settings is None:
        return column.head.from_pretrained(base, dtype=torch.float32)
    quantization = configuration(settings, torch.float32, new_heads(column))
    return keep_trainable(
        column.head.from_pretrained(base, dtype=torch.float32, quantization_config=quantization, device_map={"": CPU})
    )


def new_heads(column: Column) -> list[str]:
    return sorted(NEW_HEADS) if column.family == "bert" else []


def stock(spec: ResolvedSpec, column: Column) -> dict[str, Any] | None:
    """What a person would write to load such a base."""
    if spec.method.quantization is None:
        return None
    return {
        "load_in_4bit": True,
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": True,
        "llm_int8_skip_modules": new_heads(column) or None,
    }


def by_the_engine(model: Any, spec: ResolvedSpec, root: Path) -> tuple[Any, list[float]]:
    run = attached(model, spec, ROWS, Alone())
    checkpoints = Checkpoints(Folder(root, "test"), "checkpoints", 1, 2, root / "scratch")
    curve = train(run, checkpoints, State(0, [], Before()), Stop(), lambda told: None).curve
    return run.model, [entry["loss"] for entry in curve]


def by_hand(model: Any, spec: ResolvedSpec, column: Column) -> tuple[Any, list[float]]:
    """The loop in small, with what the method asks of it."""
    method = METHODS[spec.method.type]
    model = method.attach(model, spec)
    optimizer, losses = make_optimizer(model, spec), []
    for step in range(STEPS):
        answers = said(model.train()(**inputs(column))).flatten(0, -2)
        loss = cross_entropy(answers, torch.arange(len(answers)) * 7 % answers.shape[1])
        (loss + method.penalty(model)).backward()
        set_rate(optimizer, spec.hyperparameters.learning_rate)
        optimizer.step()
        method.after_step(model, step + 1)
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    return model, losses


def inputs(column: Column) -> Inputs:
    ids = torch.from_numpy(ROWS[7].input_ids).long()[None]
    return {"input_ids": ids} | ({"decoder_input_ids": ids.flip(1).contiguous()} if column.family == "t5" else {})


@torch.no_grad()
def logits(model: Any, column: Column) -> torch.Tensor:
    return said(model.eval()(**inputs(column)))


def logits_of(model: Any) -> torch.Tensor:
    """Of a causal model."""
    return logits(model, COLUMNS[0])


def said(out: Any) -> torch.Tensor:
    """Its logits; of question answering first those of the start, then those of the end."""
    return torch.cat([out.start_logits, out.end_logits]) if "start_logits" in out else out.logits


def name(kind: MethodType, column: Column) -> str:
    return f"{kind.value} {column.name}"
