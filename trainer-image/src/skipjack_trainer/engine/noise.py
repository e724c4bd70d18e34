"""NEFTune (Jain et al. 2023, arXiv:2310.05914): uniform noise on the embeddings of what is learnt from, in training alone.

Each example's is drawn by (seed, step, example), as long as the example itself is: no choice of micro-batches changes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from ..data.example import Example


@contextmanager
def noised(model: Any, alpha: float | None, examples: Sequence[Example], seeds: Sequence[int]) -> Iterator[None]:
    """Within it one forward pass over the examples has noise of up to alpha/√(L·d), L each sequence's tokens and d the width.

    What a sequence-to-sequence model embeds after its source, the text that it is to say, is left as it is.
    """
    if alpha is None:
        yield
        return
    waiting = [True]

    def add(_: Any, __: Any, embedded: torch.Tensor) -> torch.Tensor:
        if not waiting:
            return embedded
        waiting.clear()
        return embedded + _noise(embedded, alpha, examples, seeds)

    handle = model.get_input_embeddings().register_forward_hook(add)
    try:
        yield
    finally:
        handle.remove()


def _noise(embedded: torch.Tensor, alpha: float, examples: Sequence[Example], seeds: Sequence[int]) -> torch.Tensor:
    """As `embedded`: [1, T, d] of sequences one after the other, or [n, L, d] of one a row, filled up at the right."""
    width, device = embedded.shape[-1], embedded.device
    parts = []
    for example, seed in zip(examples, seeds, strict=True):
        generator = torch.Generator(device).manual_seed(seed)
        for length in example.parts:
            drawn = torch.rand(length, width, generator=generator, device=device)
            parts.append((2 * drawn - 1) * (alpha / (length * width) ** 0.5))
    is_packed = embedded.shape[0] == 1
    noise = torch.cat(parts)[None] if is_packed else pad_sequence(parts, batch_first=True)
    return noise.to(embedded.dtype)
