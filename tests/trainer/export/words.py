"""Tiny tokenizers of the kinds that families of models come with."""

from __future__ import annotations

import json
from typing import Any

from tests.trainer import tiny
from tokenizers import AddedToken, Regex, Tokenizer, decoders, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

from skipjack_trainer.export.llama_cpp.vocabulary import REST, WORDS

TEXT = ["user assistant system hello world the light is red, 12345 lights are not green; isn't it so?"]
SPECIAL = ("<unk>", "<s>", "</s>", "<|im_start|>", "<|im_end|>")
BYTES = tuple(f"<0x{number:02X}>" for number in range(256))


def of_bytes(digits: str) -> PreTrainedTokenizerFast:
    """tiny.tokenizer, whose text is split as Llama 3 does with digits `\\p{N}{1,3}`, as Qwen 2 does with `\\p{N}`."""
    made = tiny.tokenizer()
    split = pre_tokenizers.Split(Regex(WORDS + digits + REST), "isolated")
    by_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, by_bytes])
    return made


def of_pieces(begins_with_space: bool) -> PreTrainedTokenizerFast:
    """As what SentencePiece made is converted: Llama 2, Mistral and Phi-3 put a space before a text, Gemma doesn't."""
    marks = normalizers.Replace(" ", "▁")
    steps = [normalizers.Prepend("▁"), marks] if begins_with_space else [marks]
    learnt = Tokenizer(BPE())
    learnt.normalizer = normalizers.Sequence(steps)
    learnt.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    learnt.train_from_iterator(TEXT, BpeTrainer(vocab_size=120, show_progress=False))
    told = json.loads(learnt.to_str())["model"]
    known = sorted(told["vocab"], key=told["vocab"].__getitem__)
    vocabulary = {token: number for number, token in enumerate((*SPECIAL, *BYTES, *known))}
    merges = [tuple(pair) for pair in told["merges"]]
    made = Tokenizer(BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    made.normalizer = normalizers.Sequence(steps)
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *_stripped(begins_with_space)]
    )
    made.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in SPECIAL])
    made.post_processor = TemplateProcessing(single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 1)])
    words = PreTrainedTokenizerFast(
        tokenizer_object=made, unk_token="<unk>", bos_token="<s>", eos_token="<|im_end|>", pad_token="<unk>"
    )
    words.chat_template = tiny.CHATML
    return words


def _stripped(begins_with_space: bool) -> list[Any]:
    return [decoders.Strip(" ", 1, 0)] if begins_with_space else []
