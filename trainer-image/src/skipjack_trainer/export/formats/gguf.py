"""For llama.cpp, and all that is built on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...errors import ExportFailed
from ...shape import Head
from ..samples import Difference, difference, positions
from ..whole import Whole
from .base import SHARES, Bound, Format, Quantization

LIKELIEST = 1000
"""Tokens whose probabilities are compared."""
TABLED = Bound(0.02)
"""llama.cpp has GELU from a table in 16 bits: with all weights in fp32 a Gemma's logits differ by some thousandths."""
JUDGED = 4
"""Positions of a row."""


def refusal(config: Any, tokenizer: Any, head: Head, quantization: Quantization) -> str | None:
    from ..llama_cpp.families import FAMILIES
    from ..llama_cpp.vocabulary import refusal as of_words

    family = FAMILIES.get(config.model_type)
    if head is not Head.NEXT_TOKEN or family is None:
        return (
            f"it is a {config.model_type}, and models that predict the next token are written of {', '.join(FAMILIES)}"
        )
    return family.refusal(config) or of_words(tokenizer)


def write(whole: Whole, quantization: Quantization, folder: Path) -> None:
    from ..llama_cpp.writer import write as write_file

    assert quantization is not None, "resolve_spec settles it"
    name = whole.spec.job_name
    write_file(
        whole.folder,
        whole.config,
        whole.tokenizer,
        quantization.value,
        name,
        folder / f"{name}-{quantization.value}.gguf",
    )


def differs(whole: Whole, quantization: Quantization, folder: Path) -> Difference:
    """In log-probabilities of the likeliest next tokens. Raises ExportFailed where texts become other tokens."""
    from ..llama_cpp.families import context_of
    from ..llama_cpp.reader import ask

    rows, expected = [], []
    for sample, (logits,) in zip(whole.samples, whole.said, strict=True):
        places = [place for place in positions(len(sample["input_ids"])) if place + 1 < context_of(whole.config)]
        for number in sorted({round(place) for place in np.linspace(0, len(places) - 1, JUDGED)}):
            rows.append(sample["input_ids"][: places[number] + 1])
            expected.append(torch.from_numpy(logits[number]).log_softmax(dim=0).numpy())
    texts = [text_of(whole.tokenizer, sample["input_ids"]) for sample in whole.samples]
    (file,) = folder.glob("*.gguf")
    told = ask(file, rows, texts, LIKELIEST, torch.get_num_threads())
    for text, tokens in zip(texts, told.tokens, strict=True):
        own = whole.tokenizer(text)["input_ids"]
        if tokens != own:
            raise ExportFailed(
                f"output.formats: llama.cpp makes other tokens of {text[:60]!r} than the model's tokenizer ({tokens[:12]}, not {own[:12]})."
            )
    ours = [[row[list(likely)]] for row, likely in zip(expected, told.likely, strict=True)]
    return difference(ours, [[np.array(list(likely.values()), np.float32)] for likely in told.likely])


def text_of(tokenizer: Any, ids: list[int]) -> str:
    """What a row says, without the beginning that both put before a text."""
    begins = ids[0] == tokenizer.bos_token_id
    text: str = tokenizer.decode(ids[1:] if begins else ids)
    return text


def bound(whole: Whole, quantization: Quantization) -> Bound:
    return SHARES.get(quantization, TABLED)


GGUF = Format(refusal, write, differs, bound)
