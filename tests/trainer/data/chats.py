"""Chat templates in the shape of well-known families, and a tokenizer that knows their special tokens."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from tests.trainer import tiny
from transformers import PreTrainedTokenizerFast

from skipjack.api.v1alpha1.dataset import RowFormat, TrainOn
from skipjack_trainer.data.example import Example
from skipjack_trainer.data.formats import Chat, Document, RowProblem, interpret
from skipjack_trainer.data.read import Broken
from skipjack_trainer.data.render import Renderer
from skipjack_trainer.data.tokenise import tokenised

SPECIAL = [
    "<|im_start|>", "<|im_end|>", "<|im_sep|>", "<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|system|>",
    "<|user|>", "<|assistant|>", "<|end|>", "<|endoftext|>", "<bos>", "<start_of_turn>", "<end_of_turn>", "[INST]", "[/INST]", "</s>",
]  # fmt: skip

SMOLLM = (
    "{% for m in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nBe kind.<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
LLAMA = (
    "{{ '<|begin_of_text|>' }}{% if tools %}{{ '<|start_header_id|>system<|end_header_id|>\n\n' }}{% for t in tools %}{{ t | tojson }}{% endfor %}"
    "{{ '<|eot_id|>' }}{% endif %}{% for m in messages %}"
    "{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\n\n' }}"
    "{% if m.tool_calls %}{% for c in m.tool_calls %}{{ {'name': c.function.name, 'parameters': c.function.arguments} | tojson }}{% endfor %}"
    "{% else %}{{ m['content'] | trim }}{% endif %}{{ '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
PHI = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>\n' + m['content'] + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)
GEMMA = (
    "{{ '<bos>' }}{% for m in messages %}{% if m['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    "{{ '<start_of_turn>' + ('model' if m['role'] == 'assistant' else m['role']) + '\n' + m['content'] | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
MISTRAL = (
    "{{ '<s>' }}{% for m in messages %}{% if m['role'] == 'user' %}{{ '[INST] ' + m['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + m['content'] + eos_token }}{% endif %}{% endfor %}"
)
MARKED = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}{% if m['role'] == 'assistant' %}"
    "{% generation %}{{ m['content'] + '<|im_end|>' }}{% endgeneration %}{{ '\n' }}{% else %}{{ m['content'] + '<|im_end|>\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
MARKED_WITHOUT_END = MARKED.replace(
    "{{ m['content'] + '<|im_end|>' }}{% endgeneration %}{{ '\n' }}",
    "{{ m['content'] }}{% endgeneration %}{{ '<|im_end|>\n' }}",
)
PLAIN = (
    "{% for m in messages %}{{ '### ' + m['role'] + ':\n' + m['content'] + '\n\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '### assistant:\n' }}{% endif %}"
)
THINKING = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}{% if m['role'] == 'assistant' and loop.last %}{{ '(thought)' }}{% endif %}"
    "{{ m['content'] + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
ENDS = {SMOLLM: "<|im_end|>", LLAMA: "<|eot_id|>", PHI: "<|endoftext|>", GEMMA: "<end_of_turn>", MISTRAL: "</s>"}


@cache
def tokenizer(template: str, eos: str | None = None) -> PreTrainedTokenizerFast:
    """A byte-level BPE to which every family's special tokens are single tokens."""
    made = tiny.tokenizer(template)
    made.add_special_tokens({"additional_special_tokens": SPECIAL})
    made.eos_token = eos or ENDS.get(template, "<|im_end|>")
    return made


def chat(*said: str, **more: Any) -> dict[str, Any]:
    """Messages of user and assistant in turn; one that begins with "system:" is the system's."""
    told, roles = [], iter(["user", "assistant"] * len(said))
    for words in said:
        role, _, rest = words.partition(":")
        told.append({"role": role, "content": rest} if role == "system" else {"role": next(roles), "content": words})
    return {"messages": told} | more


def render(row: Chat | Document, words: PreTrainedTokenizerFast, train_on: TrainOn) -> Example:
    """One row alone, as an example. Raises RowProblem."""
    (example,) = tokenised([Renderer(words, train_on).render(row)], words)
    if isinstance(example, Broken):
        raise RowProblem(example.problem)
    return example


def rendered(template: str, row: dict[str, Any], train_on: TrainOn = TrainOn.ASSISTANT) -> Example:
    return render(interpret(RowFormat.MESSAGES, row), tokenizer(template), train_on)


def learnt(template: str, row: dict[str, Any], train_on: TrainOn = TrainOn.ASSISTANT) -> list[str]:
    """The decoded passages that have weight, each as one string."""
    return passages(rendered(template, row, train_on), tokenizer(template))


def passages(example: Example, words: PreTrainedTokenizerFast) -> list[str]:
    edges = np.flatnonzero(np.diff(example.weights > 0, prepend=False, append=False))
    return [words.decode(example.input_ids[begin:end]) for begin, end in edges.reshape(-1, 2)]
