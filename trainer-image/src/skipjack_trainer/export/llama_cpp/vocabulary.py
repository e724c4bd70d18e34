"""A tokenizer.json as llama.cpp reads it: its tokens, how they merge, how text is split before."""

from __future__ import annotations

import json
from typing import Any

from gguf import GGUFWriter, TokenType

from ...errors import ModelUnsupported

GPT2 = "bytes by GPT-2"
DIGITS = "single digits"
BYTES = "bytes"
WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SPLITS: dict[tuple[str, ...], str] = {
    (GPT2,): "gpt-2",
    (DIGITS, GPT2): "smollm",
    (WORDS + r"\p{N}{1,3}" + REST, BYTES): "llama-bpe",
    (WORDS + r"\p{N}" + REST, BYTES): "qwen2",
}
"""How text is split before bytes are merged → what llama.cpp calls that (`tokenizer.ggml.pre`)."""
SPACE = "▁"


def refusal(tokenizer: Any) -> str | None:
    """Why llama.cpp could not split text as this tokenizer does."""
    told = json.loads(tokenizer.backend_tokenizer.to_str())
    if told["model"]["type"] != "BPE":
        return f"its tokenizer is a {told['model']['type']}, and only BPE is written"
    if _is_of_bytes(told) or told["model"].get("byte_fallback"):
        return (
            None
            if not _is_of_bytes(told) or _splits(told) in SPLITS
            else "its tokenizer splits text in a way that llama.cpp has no name for"
        )
    return "its tokenizer knows neither bytes nor a way back to them"


def write_vocabulary(writer: GGUFWriter, tokenizer: Any, size: int) -> None:
    """`size`: rows of the model's embedding, some of which may have no token. Raises ModelUnsupported."""
    if reason := refusal(tokenizer):
        raise ModelUnsupported(f"output.formats: GGUF can't hold this model: {reason}.")
    told = json.loads(tokenizer.backend_tokenizer.to_str())
    names = {number: token for token, number in tokenizer.get_vocab().items()}
    tokens = [names.get(number, f"[PAD{number}]") for number in range(size)]
    writer.add_token_list(tokens)
    writer.add_token_types(_types(tokens, told, names))
    if _is_of_bytes(told):
        writer.add_tokenizer_model("gpt2")
        writer.add_tokenizer_pre(SPLITS[_splits(told)])
        writer.add_token_merges(_merges(told))
    else:
        writer.add_tokenizer_model("llama")
        writer.add_tokenizer_pre("default")
        writer.add_token_scores(_scores(tokens, told))
        writer.add_add_space_prefix(
            tokenizer.backend_tokenizer.encode("a", add_special_tokens=False).tokens[0].startswith(SPACE)
        )
    _write_special(writer, tokenizer)


def _write_special(writer: GGUFWriter, tokenizer: Any) -> None:
    for name in ("bos", "eos", "unk", "pad"):
        if (number := getattr(tokenizer, f"{name}_token_id")) is not None:
            getattr(writer, f"add_{name}_token_id")(number)
    ids = tokenizer("a")["input_ids"]
    writer.add_add_bos_token(ids[0] == tokenizer.bos_token_id)
    writer.add_add_eos_token(ids[-1] == tokenizer.eos_token_id)
    if tokenizer.chat_template:
        writer.add_chat_template(tokenizer.chat_template)


def _is_of_bytes(told: dict[str, Any]) -> bool:
    return bool({GPT2, BYTES} & set(_splits(told)))


def _splits(told: dict[str, Any]) -> tuple[str, ...]:
    """What is done to text before it is merged, one after the other."""
    first = told["pre_tokenizer"] or {"type": "Sequence", "pretokenizers": []}
    parts = first["pretokenizers"] if first["type"] == "Sequence" else [first]
    return tuple(map(_split, parts))


def _split(part: dict[str, Any]) -> str:
    match part["type"]:
        case "ByteLevel":
            return GPT2 if part.get("use_regex", True) else BYTES
        case "Digits" if part["individual_digits"]:
            return DIGITS
        case "Split":
            return str(part["pattern"].get("Regex"))
        case other:
            return str(other)


def _types(tokens: list[str], told: dict[str, Any], names: dict[int, str]) -> list[int]:
    added = {token["id"]: token["special"] for token in told["added_tokens"]}
    unknown = told["model"].get("unk_token")

    def kind(number: int, token: str) -> TokenType:
        if number not in names:
            return TokenType.UNUSED
        if token == unknown:
            return TokenType.UNKNOWN
        if number in added:
            return TokenType.CONTROL if added[number] else TokenType.USER_DEFINED
        is_byte = told["model"].get("byte_fallback") and len(token) == 6 and token.startswith("<0x")
        return TokenType.BYTE if is_byte else TokenType.NORMAL

    return [kind(number, token) for number, token in enumerate(tokens)]


def _merges(told: dict[str, Any]) -> list[str]:
    return [pair if isinstance(pair, str) else " ".join(pair) for pair in told["model"]["merges"]]


def _scores(tokens: list[str], told: dict[str, Any]) -> list[float]:
    """llama.cpp merges those two first whose whole has the highest score: the sooner a token is merged here, the higher."""
    rank: dict[str, int] = {}
    for place, pair in enumerate(_merges(told)):
        rank.setdefault(pair.replace(" ", ""), place)
    return [-float(rank.get(token, len(rank))) for token in tokens]
