"""Every form of every kind of model, tried once: a tiny model with a LoRA beside it, written and run by the form's own reader, or refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from tests.trainer import tiny
from tests.trainer.export.words import of_bytes, of_pieces
from tests.trainer.trainees import CPU

from skipjack.api.v1alpha1.formats import FormatQuantization, FormatType
from skipjack.resolve import ResolvedSpec
from skipjack.resolve.resolved import ResolvedFormat
from skipjack_trainer.export.exports import make
from skipjack_trainer.export.formats import FORMATS
from skipjack_trainer.export.result import write_result
from skipjack_trainer.export.samples import Inputs
from skipjack_trainer.export.whole import Whole, make_whole
from skipjack_trainer.methods import METHODS
from skipjack_trainer.model import alone
from skipjack_trainer.shape import Head
from skipjack_trainer.tasks import Subject

LONG = tiny.LONG_ROPE | {"original_max_position_embeddings": 256}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}
WINDOWED = {"query_pre_attn_scalar": 16, "sliding_window": 8}
TEXTS = (
    "the light 7 is red",
    "<|im_start|>user\nisn't  the light 1234 green?<|im_end|>\n<|im_start|>assistant\nno, red\n\n  is it<|im_end|>\n",
    "hello wörld 光 " * 6 + "the light is red",
)


@dataclass(frozen=True, slots=True)
class Row:
    """A kind of model. `changes` are to its tiny config."""

    name: str
    family: str
    head: Head = Head.NEXT_TOKEN
    words: Callable[[], Any] = tiny.tokenizer
    changes: dict[str, Any] = field(default_factory=dict)


ROWS = (
    Row("Llama 2", "llama", words=lambda: of_pieces(True)),
    Row("Llama 3", "llama", words=lambda: of_bytes(r"\p{N}{1,3}"), changes={"rope_parameters": LLAMA3}),
    Row("Mistral, with a window", "mistral", words=lambda: of_pieces(True), changes={"sliding_window": 64}),
    Row("Qwen 2", "qwen2", words=lambda: of_bytes(r"\p{N}")),
    Row("Qwen 3, tied", "qwen3", words=lambda: of_bytes(r"\p{N}"), changes={"tie_word_embeddings": True}),
    Row("Phi-3, 4k", "phi3", words=lambda: of_pieces(True), changes={"sliding_window": 64}),
    Row(
        "Phi-3, 128k",
        "phi3",
        words=lambda: of_pieces(True),
        changes={"rope_parameters": LONG, "original_max_position_embeddings": 256, "max_position_embeddings": 1024},
    ),
    Row("Gemma", "gemma", words=lambda: of_pieces(False)),
    Row("Gemma 2", "gemma2", words=lambda: of_pieces(False), changes=WINDOWED),
    Row("Gemma 3", "gemma3_text", words=lambda: of_pieces(False), changes=WINDOWED | {"num_hidden_layers": 6}),
    Row("GPT-2", "gpt2"),
    Row("Llama, classes of texts", "llama", Head.CLASS),
    Row("T5", "t5", Head.OTHER_SEQUENCE),
    Row("BERT, classes of texts", "bert", Head.CLASS),
    Row("RoBERTa, classes of words", "roberta", Head.CLASS_OF_TOKEN),
    Row("BERT, answers", "bert", Head.SPAN),
)
FORMS = tuple(
    ResolvedFormat(type=kind, quantization=quantization)
    for kind, quantization in (
        (FormatType.MERGED, None),
        (FormatType.ONNX, None),
        (FormatType.ONNX, FormatQuantization.INT4),
        (FormatType.GGUF, FormatQuantization.F16),
        (FormatType.GGUF, FormatQuantization.Q8_0),
    )
)


def whole_of(row: Row, root: Path) -> Whole:
    """The row's model with a LoRA that was not trained but drawn, merged."""
    base, stored, spec, words = root / "base", root / "stored", tiny.resolved(), row.words()
    model = model_of(row)
    model.save_pretrained(base)
    words.save_pretrained(base)
    adapted = METHODS[spec.method.type].attach(model, spec)
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.02)
    write_result(Subject(adapted, words, spec, (), CPU), row.head, stored, {})
    return make_whole(base, stored, spec, row.head, [sample_of(row, words, text) for text in TEXTS], root / "whole")


def model_of(row: Row) -> Any:
    """With weights large enough that logits differ from each other."""
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(row.family, **{"vocab_size": 400} | tiny.SIZES | row.changes)
    kind = getattr(transformers, row.head.loader)
    model = kind.from_config(config, attn_implementation=alone(config)).float()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model


def sample_of(row: Row, words: Any, text: str) -> Inputs:
    ids = words(text)["input_ids"]
    if row.head is Head.OTHER_SEQUENCE:
        return {"input_ids": ids, "decoder_input_ids": ids[::-2]}
    return {"input_ids": ids} | ({"token_type_ids": [n % 2 for n in range(len(ids))]} if row.head is Head.SPAN else {})


def outcome(whole: Whole, form: ResolvedFormat, folder: Path) -> str:
    """What stands in the table. Raises ExportFailed where what was written says something else."""
    refused = FORMATS[form.type].refusal(whole.config, whole.tokenizer, whole.head, form.quantization)
    return "–" if refused else told(make(whole, form, folder)[1])


STEPS = (0.0001, 0.01, 0.3, 3)
"""Figures are told as below one of these: what is finer is another machine's."""


def told(greatest: float) -> str:
    return f"< {next(step for step in STEPS if greatest < step):g}"


def spec_of(*formats: dict[str, str], **changes: Any) -> ResolvedSpec:
    return tiny.resolved(output={"uri": "pvc://models/out", "formats": list(formats)}, **changes)
