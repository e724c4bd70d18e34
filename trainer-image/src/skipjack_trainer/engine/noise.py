"""NEFTune (Jain et al. 2023, arXiv:2310.05914): uniform noise on the embeddings of what is learnt from, in training alone.

Each example's is drawn by (seed, step, example), as long as the example itself is: no choice of micro-batches changes it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from ..data.example import Example


@contextmanager
def noised(model: Any, alpha: float | None, examples: Sequence[Example], seeds: Sequence[int]) -> Iterator[None]:
    """Within it the examples' embeddings have noise of up to alpha/√(L·d), L each sequence's tokens and d the width.

    What is embedded after them is left as it is: the words that a sequence-to-sequence model is to say.
    """
    if alpha is None:
        yield
        return
    has_encoder = model.config.is_encoder_decoder
    # An encoder's may be a layer of its own that shares the model's weight.
    embedding = (model.get_encoder() if has_encoder else model).get_input_embeddings()
    is_read_first = slice(1 if has_encoder else None)
    waiting = deque(
        (length, generator)
        for example, seed in zip(examples, seeds, strict=True)
        for generator in [torch.Generator(embedding.weight.device).manual_seed(seed)]
        for length in example.parts[is_read_first]
    )

    def add(_: Any, __: Any, embedded: torch.Tensor) -> torch.Tensor:
        return embedded + _taken(waiting, embedded, alpha) if waiting else embedded

    handle = embedding.register_forward_hook(add)
    try:
        yield
    finally:
        handle.remove()


def _taken(waiting: deque[tuple[int, torch.Generator]], embedded: torch.Tensor, alpha: float) -> torch.Tensor:
    """As `embedded`: [1, T, d] of sequences one after the other, or [n, L, d] of one a row, filled up at the right."""
    rows, tokens, width = embedded.shape
    parts: list[torch.Tensor] = []
    while len(parts) < rows or (rows == 1 and sum(map(len, parts)) < tokens):
        length, generator = waiting.popleft()
        drawn = torch.rand(length, width, generator=generator, device=generator.device)
        parts.append((2 * drawn - 1) * (alpha / (length * width) ** 0.5))
    noise = torch.cat(parts)[None] if rows == 1 else pad_sequence(parts, batch_first=True)
    return noise.to(embedded)
