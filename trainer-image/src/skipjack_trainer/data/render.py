"""Chats and documents → text, and which passages of it are learnt.

The mask is where trainers go wrong silently, so it is checked here: a template that rewrites what is to be learnt is refused,
and the end of a turn is always learnt (a model that never sees it never stops).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from jinja2 import TemplateError, TemplateSyntaxError

from skipjack.api.v1alpha1.dataset import TrainOn

from ..errors import ConfigurationInvalid
from .formats import Chat, Document, RowProblem

MARK = "\x00the assistant's words\x00"


class Span(NamedTuple):
    """Characters `begin` to `end` of a text: each token that has one of them is learnt with `weight`."""

    begin: int
    end: int
    weight: float


@dataclass(frozen=True, slots=True)
class Rendered:
    """A row as the text that is to be tokenised, and what is learnt of it."""

    text: str
    spans: tuple[Span, ...]
    place: str = ""
    before: tuple[int, ...] = ()
    """Tokens before the text, never learnt."""
    after: tuple[int, ...] = ()
    """Tokens after it, always learnt."""
    beside: Mapping[str, Any] = field(default_factory=dict)
    """What the example has beside it."""


class Renderer:
    """Writes rows for one tokenizer."""

    def __init__(self, tokenizer: Any, train_on: TrainOn) -> None:
        self.tokenizer = tokenizer
        self.train_on = train_on
        first = tokenizer("", add_special_tokens=True)["input_ids"][:1]
        self.before = tuple(first) if first and first[0] == tokenizer.bos_token_id else ()
        self.after = () if tokenizer.eos_token_id is None else (tokenizer.eos_token_id,)

    def render(self, row: Chat | Document, place: str = "") -> Rendered:
        """Raises RowProblem for the row's faults, ConfigurationInvalid for the template's."""
        return self._chat(row, place) if isinstance(row, Chat) else self._document(row, place)

    def _document(self, row: Document, place: str) -> Rendered:
        if row.prompt and not self.after:
            raise ConfigurationInvalid(
                "the model's tokenizer has no end-of-sequence token, so it could never learn where a completion ends: use another model."
            )
        text = row.prompt + row.completion
        # A token that holds the prompt's last space and the completion's first word is the completion's.
        learnt_from = 0 if self.train_on is TrainOn.ALL else len(row.prompt)
        return Rendered(text, (Span(learnt_from, len(text), 1.0),), place, self.before, self.after)

    def _chat(self, row: Chat, place: str) -> Rendered:
        if not self.tokenizer.chat_template:
            raise ConfigurationInvalid(
                "the model has no chat template, as base models have none: name one in dataset.chatTemplate (chatml, llama-3, zephyr …), or use an "
                "instruction-tuned model."
            )
        template = Template(row, self.tokenizer)
        if self.train_on is TrainOn.ALL:
            return Rendered(template.whole, (Span(0, len(template.whole), 1.0),), place)
        wanted = _wanted(row, self.train_on)
        return Rendered(template.whole, _by_markers(template, wanted) or _by_prefixes(template, wanted), place)


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
        self.marked: list[tuple[int, int]] | None = None
        """What the template's generation markers enclose, in characters; None for one without."""
        if any(f"{{%{dash} generation" in self.source for dash in ("", "-")):
            written, self.marked = self._with_marks()
        else:
            (written,) = self.texts([self.messages])
        self._refuse_silence(written)
        words = self.messages[-1]["content"].strip()
        # One that writes nothing visible after an answer gives no sign to stop at: an end of sequence is one.
        self.ends_turns = not (words and written.rstrip().endswith(words))
        self.whole = written if self.ends_turns else written.rstrip() + (tokenizer.eos_token or "")

    def texts(self, chats: list[list[dict[str, Any]]], **options: Any) -> list[str]:
        """Each of the chats as text."""
        if not chats:
            return []
        with _refusals():
            told: list[str] = self.tokenizer.apply_chat_template(chats, tools=self.tools, tokenize=False, **options)
        return told

    def _with_marks(self) -> tuple[str, list[tuple[int, int]]]:
        """What `texts` writes, and its marks: the tokenizer's own method tells them by tokens alone, one row at a time."""
        from transformers.utils.chat_template_utils import render_jinja_template

        with _refusals():
            (text,), (marks,) = render_jinja_template(
                conversations=[self.messages],
                tools=self.tools,
                chat_template=self.source,
                return_assistant_tokens_mask=True,
                **self.tokenizer.special_tokens_map,
            )
        return text, marks

    def _refuse_silence(self, written: str) -> None:
        """Many templates leave tools and calls out without a word, and a model would learn to say nothing. Raises ConfigurationInvalid."""
        calls = [call for message in self.messages for call in message.get("tool_calls") or ()]
        for told, some in (("tools", self.tools or ()), ("tool_calls", calls)):
            names = [str(one.get("function", one).get("name", "")) for one in some]
            if gone := next((name for name in names if name not in written), None):
                raise ConfigurationInvalid(
                    f"the model's chat template leaves {told} out (nothing is said of {gone!r} in what it writes): name one that has a place for "
                    "them in dataset.chatTemplate, qwen-3 for example."
                )

    def _known(self, message: dict[str, Any]) -> dict[str, Any]:
        """`developer` is OpenAI's newer word for `system`: a model whose template has not heard of it knows the older."""
        renamed = message["role"] == "developer" and "developer" not in self.source
        return message | {"role": "system"} if renamed else message


@contextmanager
def _refusals() -> Iterator[None]:
    """What a template raises, as the fault of the model or of the row."""
    try:
        yield
    except TemplateSyntaxError as error:
        raise ConfigurationInvalid(
            f"the model's chat template is broken (line {error.lineno}: {error}): use another model."
        ) from error
    except (TemplateError, TypeError) as error:
        raise RowProblem(f"messages: the model's chat template refuses them: {error}") from error


def _by_markers(template: Template, wanted: dict[int, float]) -> tuple[Span, ...] | None:
    """None without markers, or when they leave out the end of a turn: a model that never learns it never stops."""
    if template.marked is None:
        return None
    passages: list[tuple[int, int]] = []
    for begin, end in template.marked:
        if passages and passages[-1][1] == begin:
            passages[-1] = (passages[-1][0], end)
        elif begin < end:
            passages.append((begin, end))
    if len(passages) != len(wanted):
        raise ConfigurationInvalid(
            f"the chat template marks {len(passages)} passages as the assistant's in a chat that has {len(wanted)}: its generation markers are broken."
        )
    if template.whole[passages[-1][1] :].strip() or not template.ends_turns:
        return None
    return tuple(Span(begin, end, weight) for (begin, end), weight in zip(passages, wanted.values(), strict=True))


def _by_prefixes(template: Template, wanted: dict[int, float]) -> tuple[Span, ...]:
    """The assistant's passages are what a message adds to the rendering of all before it. Raises ConfigurationInvalid."""
    learnt = [index for index, weight in wanted.items() if weight]
    messages, last = template.messages, len(template.messages) - 1
    begins = template.texts([messages[:index] for index in learnt if index], add_generation_prompt=True)
    if 0 in learnt:
        # A chat that the assistant begins: there are no messages before it, which many templates can't write.
        begins.insert(0, template.texts([[messages[0] | {"content": MARK}]])[0].partition(MARK)[0])
    ends = [*template.texts([messages[: index + 1] for index in learnt if index != last]), template.whole]
    return tuple(
        Span(*_bounds(template, index, before, after), wanted[index])
        for index, before, after in zip(learnt, begins, ends, strict=False)
    )


def _bounds(template: Template, index: int, before: str, after: str) -> tuple[int, int]:
    """Where in the whole chat the words of message `index` begin, and where its turn ends; `before` is the chat up to those
    words, `after` up to the end of that turn."""
    whole, after = template.whole, after.rstrip()
    # Phi-3's closes a chat with an end of sequence that is not there between turns.
    without_eos = after.removesuffix(template.tokenizer.eos_token or "").rstrip()
    end = next((len(text) for text in (after, without_eos) if whole.startswith(text)), None)
    if end is None or not whole.startswith(before) or end <= len(before):
        raise ConfigurationInvalid(
            f"the model's chat template rewrites earlier turns (message {index} of a chat reads differently once more follow), so what the "
            "assistant said can't be told apart: use trainOn: LastAssistant, or a model with another template."
        )
    return len(before), end
