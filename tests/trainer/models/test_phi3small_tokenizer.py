"""A fast tokenizer from the file that Phi-3-small publishes. The vocabulary is made here: cl100k's own comes from the network."""

from __future__ import annotations

import base64
import itertools
import json
from pathlib import Path

import pytest
from tests.trainer import tiny
from tests.trainer.trainees import run_here

from skipjack_trainer.errors import ModelUnsupported
from skipjack_trainer.model import load_tokenizer
from skipjack_trainer.models.phi3small.tokenizer import CHAT_TEMPLATE, VOCABULARY, special_tokens

WORDS = [
    "th",
    "the",
    " t",
    " th",
    " the",
    "li",
    "gh",
    "ligh",
    "light",
    " light",
    "123",
    "\n\n",
    "re",
    "red",
    " red",
    "aa",
    "aaaa",
]


def vocabulary() -> list[bytes]:
    """As many tokens as cl100k has: bytes, WORDS, and pairs and triples of rare bytes."""
    rare = [bytes([n]) for n in range(0x80, 0x100)]
    filling = (b"".join(joined) for size in (2, 3) for joined in itertools.product(rare, repeat=size))
    known = [bytes([n]) for n in range(256)] + [word.encode() for word in WORDS]
    return known + list(itertools.islice(filling, 100256 - len(known)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("phi3small")
    lines = (base64.b64encode(token) + b" %d" % rank for rank, token in enumerate(vocabulary()))
    (made / VOCABULARY).write_bytes(b"\n".join(lines) + b"\n")
    (made / "config.json").write_text(json.dumps({"model_type": "phi3small"}))
    own_code = {"AutoTokenizer": ["tokenization_phi3_small.Phi3SmallTokenizer", None]}
    settings = {"tokenizer_class": "Phi3SmallTokenizer", "model_max_length": 131072, "auto_map": own_code}
    (made / "tokenizer_config.json").write_text(json.dumps(settings))
    return made


def by_hand(text: bytes, ranks: dict[bytes, int]) -> list[bytes]:
    """tiktoken's rule for one piece: whatever neighbours make the token of the lowest rank are joined, the leftmost first; a piece that is
    a token is not taken apart at all."""
    if text in ranks:
        return [text]
    parts = [text[n : n + 1] for n in range(len(text))]
    while pairs := [(ranks[a + b], n) for n, (a, b) in enumerate(itertools.pairwise(parts)) if a + b in ranks]:
        n = min(pairs)[1]
        parts[n : n + 2] = [parts[n] + parts[n + 1]]
    return parts


def test_words_and_special_tokens_have_the_published_ids_and_read_back(folder: Path) -> None:
    tokenizer = load_tokenizer(folder)
    assert tokenizer.is_fast
    assert len(tokenizer) == 100352
    assert tokenizer.model_max_length == 131072
    named = {
        "<|dummy_id_2|>": 100256, "<|endoftext|>": 100257, "<|fim_prefix|>": 100258, "<|fim_middle|>": 100259, "<|fim_suffix|>": 100260,
        "<|system|>": 100261, "<|user|>": 100262, "<|assistant|>": 100263, "<|dummy_id_0|>": 100264, "<|dummy_id_1|>": 100265,
        "<|end|>": 100266, "<|dummy_id_3|>": 100267, "<|dummy_id_11|>": 100275, "<|endofprompt|>": 100276, "<|dummy_id_12|>": 100277,
        "<|dummy_id_86|>": 100351,
    }  # fmt: skip
    assert {token: tokenizer.convert_tokens_to_ids(token) for token in named} == named
    assert tokenizer.convert_tokens_to_ids(special_tokens()) == list(range(100256, 100352))
    ranks = {token: rank for rank, token in enumerate(vocabulary())}
    for pieces in (["the", " light", " there"], ["light", "123", "45", "\n\n", "the"], ["aaaaaaa"], ["é", " red"]):
        ids = [ranks[token] for piece in pieces for token in by_hand(piece.encode(), ranks)]
        assert tokenizer("".join(pieces))["input_ids"] == ids
        assert tokenizer.decode(ids) == "".join(pieces)


def test_a_chat_is_written_as_published(folder: Path) -> None:
    tokenizer = load_tokenizer(folder)
    chat = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    asked = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert asked == "<|endoftext|><|system|>\ns<|end|>\n<|user|>\nu<|end|>\n<|assistant|>\n"
    told = tokenizer.apply_chat_template([*chat, {"role": "assistant", "content": "a"}], tokenize=False)
    assert told == asked + "a<|end|>\n<|endoftext|>"


def test_a_vocabulary_that_is_another_or_broken_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "phi3small"}))
    for lines, told in (
        (b"YQ== 0\n", "has 1 tokens"),
        (b"not base64! 0\n", "token in base64"),
        (b"YQ==\n", "token in base64"),
    ):
        (tmp_path / VOCABULARY).write_bytes(lines)
        with pytest.raises(ModelUnsupported, match=told):
            load_tokenizer(tmp_path)


def test_a_job_trains_it_from_what_is_published_and_then_from_what_it_stored(folder: Path, tmp_path: Path) -> None:
    """Twice the whole way: config with code of its own beside it, tiktoken file, chats, full fine-tuning, export."""
    base = tmp_path / "first/mnt/claims/models/base"
    tiny.model("phi3small", vocab_size=100352, hidden_size=16, num_hidden_layers=1).save_pretrained(base)
    config = json.loads((base / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "configuration_phi3_small.Phi3SmallConfig", "AutoTokenizer": "tokenization_phi3_small.Phi3SmallTokenizer"}  # fmt: skip
    (base / "config.json").write_text(json.dumps(config))
    for file in (VOCABULARY, "tokenizer_config.json"):
        (base / file).write_bytes((folder / file).read_bytes())
    told = tiny.resolved(
        method={"type": "Full"}, hyperparameters={"maxSteps": 1, "globalBatchSize": 4, "learningRate": 0.01}
    )
    first = run_here(tiny.furnish(tmp_path / "first", told))
    assert first.metrics["heldout_loss_after"] < first.metrics["heldout_loss_before"]
    stored = tmp_path / "first/mnt/claims/models/out"
    assert json.loads((stored / "config.json").read_text())["auto_map"] == config["auto_map"]
    assert load_tokenizer(stored).chat_template == CHAT_TEMPLATE
    (tmp_path / "second/mnt/claims/models").mkdir(parents=True)
    stored.rename(tmp_path / "second/mnt/claims/models/base")
    second = run_here(tiny.furnish(tmp_path / "second", told))
    assert second.metrics["heldout_loss_before"] == pytest.approx(first.metrics["heldout_loss_after"], rel=1e-4)
