"""Chats and documents → tokens with loss weights.

The mask is where trainers go wrong silently, so it is checked here: a template that rewrites what is to be learnt is refused,
the end of a turn is always learnt (a model that never sees it never stops), and a row with nothing to learn is an error.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jinja2 import TemplateError, TemplateSyntaxError

from skipjack.api.v1alpha1.finetunejob import TrainOn

from ..errors import ConfigurationInvalid
from .example import Example
from .formats import Chat, Document, RowProblem

MARK = "\x00the assistant's words\x00"


def render(row: Chat | Document, tokenizer: Any, train_on: TrainOn, place: str = "") -> Example:
    """The row as tokens with weights. Raises RowProblem for the row's faults, ConfigurationInvalid for the template's."""
    ids, weights = _chat(row, tokenizer, train_on) if isinstance(row, Chat) else _document(row, tokenizer, train_on)
    example = Example(np.asarray(ids, np.int32), np.asarray(weights, np.float32), place)
    if len(example):
        example.weights[0] = 0.0
    if not example.weights.any():
        raise RowProblem(
            "nothing in it is learnt: no token of the assistant has weight; check roles, weights and trainOn"
        )
    return example


def _document(row: Document, tokenizer: Any, train_on: TrainOn) -> tuple[Any, Any]:
    if row.prompt and tokenizer.eos_token_id is None:
        raise ConfigurationInvalid(
            "the model's tokenizer has no end-of-sequence token, so it could never learn where a completion ends: use another model."
        )
    text = row.prompt + row.completion
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    first = tokenizer("", add_special_tokens=True)["input_ids"][:1]
    begin = [tokenizer.bos_token_id] if first and first[0] == tokenizer.bos_token_id else []
    end = [tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else []
    learnt_from = 0 if train_on is TrainOn.ALL else len(row.prompt)
    # A token that holds the prompt's last space and the completion's first word is the completion's.
    weights = [1.0 if stop > learnt_from else 0.0 for _, stop in encoded["offset_mapping"]]
    return begin + encoded["input_ids"] + end, [0.0] * len(begin) + weights + [1.0] * len(end)


def _chat(row: Chat, tokenizer: Any, train_on: TrainOn) -> tuple[Any, Any]:
    if not tokenizer.chat_template:
        raise ConfigurationInvalid(
            "the model has no chat template: use an instruction-tuned model, or bring the data as prompt and completion (task Completion)."
        )
    template = Template(row, tokenizer)
    if train_on is TrainOn.ALL:
        ids = tokenizer(template.whole, add_special_tokens=False)["input_ids"]
        return ids, [1.0] * len(ids)
    wanted = _wanted(row, train_on)
    if template.has_markers and (marked := _by_markers(template, wanted)):
        return marked
    return _by_prefixes(template, wanted)


def _wanted(row: Chat, train_on: TrainOn) -> dict[int, float]:
    """Index of each assistant's message → its weight."""
    spoken = [i for i, message in enumerate(row.messages) if message["role"] == "assistant"]
    learnt = spoken[-1:] if train_on is TrainOn.LAST_ASSISTANT else spoken
    return {i: row.weights[i] if i in learnt else 0.0 for i in spoken}


class Template:
    """A chat, the way the model's template writes it."""

    def __init__(self, row: Chat, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.tools = list(row.tools) or None
        self.source: str = tokenizer.get_chat_template(tools=self.tools)
        self.messages = [self._known(message) for message in row.messages]
        written, words = self.text(self.messages), self.messages[-1]["content"].strip()
        # One that writes nothing visible after an answer gives no sign to stop at: an end of sequence is one.
        self.ends_turns = not (words and written.rstrip().endswith(words))
        self.whole = written if self.ends_turns else written.rstrip() + (tokenizer.eos_token or "")

    @property
    def has_markers(self) -> bool:
        return any(f"{{%{dash} generation" in self.source for dash in ("", "-"))

    def text(self, messages: list[dict[str, Any]], **options: Any) -> str:
        text: str = self._apply(messages, tokenize=False, **options)
        return text

    def marked(self) -> tuple[Any, Any]:
        """(tokens, 1 where the template's generation markers enclose them)."""
        encoded = self._apply(self.messages, tokenize=True, return_dict=True, return_assistant_tokens_mask=True)
        return encoded["input_ids"], np.asarray(encoded["assistant_masks"], np.int8)

    def _known(self, message: dict[str, Any]) -> dict[str, Any]:
        """`developer` is OpenAI's newer word for `system`: a model whose template has not heard of it knows the older."""
        renamed = message["role"] == "developer" and "developer" not in self.source
        return message | {"role": "system"} if renamed else message

    def _apply(self, messages: list[dict[str, Any]], **options: Any) -> Any:
        try:
            return self.tokenizer.apply_chat_template(messages, tools=self.tools, **options)
        except TemplateSyntaxError as error:
            raise ConfigurationInvalid(
                f"the model's chat template is broken (line {error.lineno}: {error}): use another model."
            ) from error
        except (TemplateError, TypeError) as error:
            raise RowProblem(f"messages: the model's chat template refuses them: {error}") from error


def _by_markers(template: Template, wanted: dict[int, float]) -> tuple[Any, Any] | None:
    """None for a template whose markers leave out the end of a turn: a model that never learns it never stops."""
    ids, mask = template.marked()
    starts = np.flatnonzero(np.diff(mask, prepend=0) == 1)
    if len(starts) != len(wanted):
        raise ConfigurationInvalid(
            f"the chat template marks {len(starts)} passages as the assistant's in a chat that has {len(wanted)}: its generation markers are broken."
        )
    after_the_last = ids[int(np.flatnonzero(mask)[-1]) + 1 :]
    if template.tokenizer.decode(after_the_last).strip() or not template.ends_turns:
        return None
    turn = np.searchsorted(starts, np.arange(len(mask)), side="right") - 1
    return ids, np.where(mask == 1, np.asarray(list(wanted.values()), np.float32)[np.maximum(turn, 0)], 0.0)


def _by_prefixes(template: Template, wanted: dict[int, float]) -> tuple[Any, Any]:
    """The assistant's passages are what a message adds to the rendering of all before it."""
    spans = [(*_span(template, index), weight) for index, weight in wanted.items() if weight]
    encoded = template.tokenizer(template.whole, add_special_tokens=False, return_offsets_mapping=True)
    starts, stops = np.asarray(encoded["offset_mapping"]).T
    weights = np.zeros(len(starts), np.float32)
    for begin, end, weight in spans:
        weights[(stops > begin) & (starts < end)] = weight
    return encoded["input_ids"], weights


def _span(template: Template, index: int) -> tuple[int, int]:
    """Where in the whole chat the words of message `index` begin, and where its turn ends. Raises ConfigurationInvalid."""
    before, whole = _before(template, index), template.whole
    is_last = index == len(template.messages) - 1
    after = (whole if is_last else template.text(template.messages[: index + 1])).rstrip()
    # Phi-3's closes a chat with an end of sequence that is not there between turns.
    without_eos = after.removesuffix(template.tokenizer.eos_token or "").rstrip()
    end = next((len(text) for text in (after, without_eos) if whole.startswith(text)), None)
    if end is None or not whole.startswith(before) or end <= len(before):
        raise ConfigurationInvalid(
            f"the model's chat template rewrites earlier turns (message {index} of a chat reads differently once more follow), so what the "
            "assistant said can't be told apart: use trainOn: LastAssistant, or a model with another template."
        )
    return len(before), end


def _before(template: Template, index: int) -> str:
    """All that stands before the words of message `index`."""
    if index:
        return template.text(template.messages[:index], add_generation_prompt=True)
    # A chat that the assistant begins: there are no messages before it, which many templates can't write.
    return template.text([template.messages[0] | {"content": MARK}]).partition(MARK)[0]
