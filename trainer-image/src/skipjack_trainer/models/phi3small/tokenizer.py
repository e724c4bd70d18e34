"""Phi-3-small's tokenizer: cl100k in tiktoken's format, with special tokens that only its publisher's code knows."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

VOCABULARY = "cl100k_base.tiktoken"
FIRST_SPECIAL = 100256
SIZE = 100352
END_OF_TEXT = "<|endoftext|>"
NAMED = {
    100257: END_OF_TEXT, 100258: "<|fim_prefix|>", 100259: "<|fim_middle|>", 100260: "<|fim_suffix|>", 100261: "<|system|>",
    100262: "<|user|>", 100263: "<|assistant|>", 100266: "<|end|>", 100276: "<|endofprompt|>",
}  # fmt: skip
"""Of the published tokenization_phi3_small.py."""

PATTERN = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
"""cl100k's: tiktoken_ext/openai_public.py."""

CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{'<|' + message['role'] + '|>' + '\n' + message['content'] + '<|end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)
"""Of the published tokenizer_config.json, for a folder that has none."""


def is_in(folder: Path) -> bool:
    return (folder / VOCABULARY).is_file() and not (folder / "tokenizer.json").is_file()


def load(folder: Path) -> Any:
    """A fast tokenizer. Raises ValueError for a vocabulary that isn't cl100k's size."""
    from tokenizers import AddedToken
    from transformers import PreTrainedTokenizerFast

    told = folder / "tokenizer_config.json"
    settings = json.loads(told.read_text()) if told.is_file() else {}
    words = byte_pairs(read_ranks(folder / VOCABULARY))
    words.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in special_tokens()])
    made = PreTrainedTokenizerFast(
        tokenizer_object=words,
        bos_token=END_OF_TEXT,
        eos_token=END_OF_TEXT,
        pad_token=END_OF_TEXT,
        padding_side="left",
        model_max_length=settings.get("model_max_length", 8192),
    )
    made.chat_template = settings.get("chat_template") or CHAT_TEMPLATE
    return made


def special_tokens() -> list[str]:
    """In the order of their ids, from FIRST_SPECIAL on. Ids without a name count through as dummies, three of them out of order."""
    dummies = iter(range(3, SIZE))
    early = {100264: 0, 100265: 1, 100256: 2}
    return [
        NAMED.get(id) or f"<|dummy_id_{early[id] if id in early else next(dummies)}|>"
        for id in range(FIRST_SPECIAL, SIZE)
    ]


def read_ranks(file: Path) -> dict[bytes, int]:
    """Bytes of each token and its rank, which is its id. Raises ValueError."""
    try:
        pairs = [line.split() for line in file.read_bytes().splitlines() if line]
        ranks = {base64.b64decode(token, validate=True): int(rank) for token, rank in pairs}
    except ValueError as error:
        raise ValueError(f"{file.name}: its lines must be a token in base64 and its rank: {error}") from error
    if sorted(ranks.values()) != list(range(FIRST_SPECIAL)):
        raise ValueError(f"{file.name} has {len(ranks)} tokens; cl100k has ranks 0 to {FIRST_SPECIAL - 1}.")
    return ranks


def byte_pairs(ranks: dict[bytes, int]) -> Any:
    """tiktoken joins whatever two parts make the token of the lowest rank; here that is one merge for each way to make each token."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = bytes_to_unicode()
    written = {token: "".join(letters[byte] for byte in token) for token in ranks}
    merges = [
        (written[token[:cut]], written[token[cut:]])
        for token in sorted(ranks, key=ranks.__getitem__)
        for cut in range(1, len(token))
        if token[:cut] in ranks and token[cut:] in ranks
    ]
    made = Tokenizer(models.BPE({written[token]: rank for token, rank in ranks.items()}, merges, ignore_merges=True))
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    return made
