"""Rendering and tokenising many rows at once gives what the plainest way gives for each."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.trainer.data import chats
from tests.trainer.data.plainly import Rewrites, judged

from skipjack.api.v1alpha1.dataset import RowFormat, TrainOn
from skipjack_trainer.data import tokenise
from skipjack_trainer.data.example import Example
from skipjack_trainer.data.formats import interpret
from skipjack_trainer.data.read import Broken
from skipjack_trainer.data.render import Rendered, Renderer
from skipjack_trainer.errors import ConfigurationInvalid

LOOKS_AHEAD = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}{% if loop.nextitem is defined and loop.nextitem['content'] | length > 9 %}"
    "{{ '(short)' }}{% endif %}{{ m['content'] + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
"""Rewrites a turn by what is said after it."""
TEMPLATES = {
    "chatml": chats.SMOLLM, "llama3": chats.LLAMA, "phi3": chats.PHI, "gemma": chats.GEMMA, "mistral": chats.MISTRAL,
    "nothing to stop at": chats.PLAIN, "markers": chats.MARKED, "markers without end": chats.MARKED_WITHOUT_END,
    "last turn rewritten": chats.THINKING, "rewritten by the next": LOOKS_AHEAD,
}  # fmt: skip
WORDS = st.text(st.sampled_from("ab \n.ü\N{GRINNING FACE}e\u0301\u00a0#<|"), min_size=1, max_size=12).filter(str.strip)
"""With spaces at their edges, characters of several tokens, and pieces of what templates write."""


@st.composite
def conversations(draw: st.DrawFn) -> dict[str, Any]:
    said = draw(st.lists(WORDS, min_size=1, max_size=6))
    row = chats.chat(*said) if len(said) % 2 == 0 else {"messages": [{"role": "assistant", "content": said[0]}]}
    if len(said) % 2:
        row["messages"] += chats.chat(*said[1:])["messages"]
    for message in row["messages"][:-1]:
        if message["role"] == "assistant" and draw(st.booleans()):
            message["weight"] = 0
    return row


@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
@given(rows=st.lists(conversations(), min_size=1, max_size=4), train_on=st.sampled_from(TrainOn))
@settings(max_examples=30, deadline=None)
def test_many_rows_at_once_become_what_each_becomes_in_the_plainest_way(
    template: str, rows: list[dict[str, Any]], train_on: TrainOn
) -> None:
    words = chats.tokenizer(template)
    renderer = Renderer(words, train_on)
    rendered: list[Rendered | Broken] = []
    expected = []
    for number, row in enumerate(rows):
        read = interpret(RowFormat.MESSAGES, row)
        try:
            expected.append((*judged(row["messages"], words, train_on), str(number)))
        except Rewrites:
            with pytest.raises(ConfigurationInvalid, match="rewrites earlier turns"):
                renderer.render(read)
        else:
            rendered.append(renderer.render(read, str(number)))
    found = [row for row in tokenise.tokenised(rendered, words) if isinstance(row, Example)]
    assert [(row.input_ids.tolist(), row.weights.tolist(), row.place) for row in found] == expected


def test_rows_come_in_their_order_however_they_fall_into_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokenise, "BATCH_CHARACTERS", 200)
    words = chats.tokenizer(chats.SMOLLM)
    renderer = Renderer(words, TrainOn.ASSISTANT)
    rows: list[Rendered | Broken] = [
        Broken(str(n), "why")
        if n % 5 == 3
        else renderer.render(interpret(RowFormat.MESSAGES, chats.chat("one?", "red " * n + "end")), str(n))
        for n in range(40)
    ]
    found = list(tokenise.tokenised(iter(rows), words))
    assert [row.place for row in found] == [str(n) for n in range(40)]
    for row, example in zip(rows, found, strict=True):
        if isinstance(row, Broken):
            assert example is row
        else:
            assert isinstance(example, Example)
            assert words.decode(example.input_ids) == row.text
