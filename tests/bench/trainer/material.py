"""What every contender trains on: a model of random weights, a tokenizer of words, chats. All from one seed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

VOCABULARY = 32_000
SPECIAL = ("<pad>", "<|im_start|>", "<|im_end|>", "user", "assistant")
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }} {{ m['content'] }} <|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant {% endif %}"
)
AROUND = 6
"""Tokens that the template writes around a question and its answer."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A model's family and sizes. `steps` of `batch` chats of `shortest` to `longest` tokens are trained."""

    family: str
    sizes: dict[str, int]
    steps: int = 10
    batch: int = 8
    shortest: int = 41
    longest: int = 492
    micro_batch_tokens: int | None = None
    """Skipjack's, where its default would not fit."""


def sizes(hidden: int, intermediate: int, layers: int, heads: int, kv_heads: int, positions: int) -> dict[str, int]:
    return {
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "max_position_embeddings": positions,
    }


SMALL = sizes(512, 1408, 8, 8, 8, 2048)
SHAPES: dict[str, Shape] = {
    "llama-58m": Shape("llama", SMALL),
    "phi3-58m": Shape("phi3", SMALL),
    "llama-1b": Shape("llama", sizes(2048, 8192, 16, 32, 8, 8192), 10, 16, 256, 4096),
    "llama-8b": Shape("llama", sizes(4096, 14336, 32, 32, 8, 8192), 10, 16, 256, 4096, micro_batch_tokens=4096),
}


@dataclass(frozen=True, slots=True)
class Facts:
    """What one pass over the training chats holds, and the model."""

    tokens: int
    learnt_tokens: int
    chats: int
    squared_lengths: int
    """Sum over the chats of length²: what attention costs by."""


def furnish(folder: Path, shape: Shape, seed: int = 0) -> Facts:
    """Writes base/, train.jsonl and held.jsonl into `folder`. Weights are bf16, as publishers store them."""
    torch.manual_seed(seed)
    ids = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    config = AutoConfig.for_model(shape.family, vocab_size=VOCABULARY, tie_word_embeddings=False, **shape.sizes, **ids)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder / "base")
    del model
    if device == "cuda":
        torch.cuda.empty_cache()  # the contenders, each a process of its own, shall find it empty
    tokenizer().save_pretrained(folder / "base")
    rows = list(chats(shape, shape.steps * shape.batch + 16, seed))
    train, held = rows[: shape.steps * shape.batch], rows[shape.steps * shape.batch :]
    (folder / "train.jsonl").write_text(lines(train))
    (folder / "held.jsonl").write_text(lines(held))
    said = [[len(message["content"].split()) for message in row["messages"]] for row in train]
    lengths = [question + answer + AROUND for question, answer in said]
    return Facts(
        tokens=sum(lengths),
        learnt_tokens=sum(answer + 1 for _, answer in said),
        chats=len(train),
        squared_lengths=sum(length**2 for length in lengths),
    )


def lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def tokenizer() -> PreTrainedTokenizerFast:
    """A word is a token, so that lengths are what they were drawn to be."""
    words = [*SPECIAL, *(f"w{n}" for n in range(VOCABULARY - len(SPECIAL)))]
    model = Tokenizer(WordLevel({word: index for index, word in enumerate(words)}, unk_token="<pad>"))
    model.pre_tokenizer = WhitespaceSplit()
    made = PreTrainedTokenizerFast(
        tokenizer_object=model,
        pad_token="<pad>",
        eos_token="<|im_end|>",
        extra_special_tokens=["<|im_start|>"],
    )
    made.chat_template = TEMPLATE
    return made


def chats(shape: Shape, rows: int, seed: int) -> Iterator[dict[str, Any]]:
    """Questions and answers, log-uniform in length, three fifths of it the answer: words by Zipf's law, many of which have
    a usual successor, so that there is something to learn."""
    generator = np.random.default_rng(seed)
    lengths = np.exp(generator.uniform(np.log(shape.shortest), np.log(shape.longest + 1), rows)).astype(int)
    lengths[:2] = shape.shortest, shape.longest
    successor = np.random.default_rng(1).permutation(2000)
    for length in generator.permutation(lengths):
        text = [int(generator.zipf(1.3)) % 2000]
        while len(text) < length - AROUND:
            follows = generator.random() < 0.6
            text.append(int(successor[text[-1]]) if follows else int(generator.zipf(1.3)) % 2000)
        words = [f"w{n}" for n in text]
        cut = round(0.4 * len(words))
        yield {
            "messages": [
                {"role": "user", "content": " ".join(words[:cut])},
                {"role": "assistant", "content": " ".join(words[cut:])},
            ]
        }
