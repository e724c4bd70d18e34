"""How many chat rows a core prepares in a minute: `python -m tests.bench.preprocessing [ROWS]`.

Rows of some 400 tokens in four messages, out of the words of Python's manual and of the libraries' own documentation, tokenised
by a byte-level BPE of 32,768 words that is trained on the same. One thread: CPU time is what counts. The last line is one JSON object.
"""

from __future__ import annotations

import json
import os
import random
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pydoc_data import topics
from typing import Any

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import transformers
from tokenizers import Tokenizer, decoders
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

from skipjack.api.v1alpha1.dataset import TrainOn
from skipjack_trainer.data.check import check, interpreted, rows_of
from skipjack_trainer.data.packing import pack
from skipjack_trainer.data.prepare import Prepared, prepare
from skipjack_trainer.data.render import Renderer
from skipjack_trainer.data.sources import fetch
from skipjack_trainer.data.tokenise import tokenised
from skipjack_trainer.shape import ModelFacts, Shape
from skipjack_trainer.storage import Access
from tests.trainer import tiny
from tests.trainer.data import chats

TEMPLATES = {"ChatML": chats.SMOLLM, "Llama 3": chats.LLAMA, "markers": chats.MARKED}
SEED = 1
QUESTION, ANSWER = 130, 520
"""Characters."""


def sentences() -> list[str]:
    """Prose of the manual and of docstrings."""
    written = list(topics.topics.values())
    for file in sorted(Path(transformers.__file__).parent.glob("*.py")):
        written += re.findall(r'"""(.{200,}?)"""', file.read_text(), re.DOTALL)
    return [said for said in re.split(r"(?<=[.!?:])\s+", " ".join(written)) if 20 < len(said) < 300]


def tokenizer(written: list[str]) -> PreTrainedTokenizerFast:
    words = Tokenizer(BPE())
    words.pre_tokenizer, words.decoder = ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    special = ["<pad>", "<s>", *chats.SPECIAL]
    words.train_from_iterator(
        written,
        BpeTrainer(
            vocab_size=32_768,
            special_tokens=special,
            initial_alphabet=ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", bos_token="<s>", eos_token="<|im_end|>")


def write_rows(place: Path, rows: int, written: list[str]) -> None:
    drawn = random.Random(SEED)

    def words(characters: int) -> str:
        said: list[str] = []
        while sum(map(len, said)) < characters:
            said.append(drawn.choice(written))
        return " ".join(said)

    with place.open("w") as file:
        for _ in range(rows):
            row = chats.chat(words(QUESTION), words(ANSWER), words(QUESTION), words(ANSWER))
            file.write(json.dumps(row) + "\n")


@contextmanager
def timed(phases: dict[str, float], name: str) -> Iterator[None]:
    """CPU-seconds of this process, threads included."""
    started = time.process_time()
    yield
    phases[name] = time.process_time() - started


def measure(place: Path, words: Any) -> tuple[dict[str, float], Prepared]:
    """CPU-seconds of each phase alone, of the whole, and of finding it done."""
    told = tiny.resolved(dataset={"train": [{"uri": "pvc://data/rows.jsonl"}]})
    found = fetch(told, Access(claims=place / "claims"))
    phases: dict[str, float] = {}
    with timed(phases, "parse and check"):
        checked = check(told, found)
    with timed(phases, "parse and render"):
        renderer = Renderer(words, TrainOn.ASSISTANT)
        rendered = [
            renderer.render(row, where)
            for some in checked.train
            for where, row in interpreted(some, rows_of(some.source))
        ]
    with timed(phases, "tokenise"):
        for _ in tokenised(rendered, words):
            pass
    with tempfile.TemporaryDirectory(dir=place) as scratch:

        def again() -> Prepared:
            return prepare(told, found, words, ModelFacts(Shape.DECODER, 8192, True), Path(scratch))

        with timed(phases, "whole"):
            prepared = again()
        with timed(phases, "cached"):
            again()
    with timed(phases, "pack"):
        lengths = [int(length) for length in prepared.train.lengths]
        for start in range(0, len(lengths), 64):
            pack(lengths[start : start + 64], 8192)
    phases["whole"] += phases["pack"]
    return phases, prepared


def main(rows: int) -> None:
    written = sentences()
    words = tokenizer(written)
    figures: dict[str, float] = {}
    cached = 0.0
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "claims/data").mkdir(parents=True)
        write_rows(place / "claims/data/rows.jsonl", rows, written)
        for name, template in TEMPLATES.items():
            words.chat_template = template
            phases, prepared = measure(place, words)
            figures[name] = rows / phases["whole"] * 60
            cached = max(cached, phases["cached"])
            told = "  ".join(f"{phase} {seconds:.2f} s" for phase, seconds in phases.items())
            tokens = prepared.facts["totalTokens"] / rows
            print(f"{name}: {rows} rows of {tokens:.0f} tokens: {figures[name]:,.0f} rows a minute  ({told})")
    by_template = {name: round(figure) for name, figure in figures.items()}
    slowest = round(min(figures.values()))
    told_last = {"rows_per_minute_per_core": slowest, "by_template": by_template, "cached_seconds": round(cached, 3)}
    print(json.dumps(told_last | {"rows": rows}))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
