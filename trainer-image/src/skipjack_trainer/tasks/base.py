"""The interface of a task, as models of one shape learn it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from skipjack.resolve import ResolvedSpec

from ..data.example import Example
from ..fast.attention import Segments
from ..shape import Head

REFERENCE, BASELINE = "reference", "baseline"
"""What stands beside examples of recipes that measure it: fp32 [k] and fp32 [1]."""


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """One forward pass. Packed: [1, T] with `position_ids` that start anew at each example, `segments`, and no mask.
    Padded: [n, L] with `attention_mask`. `weights` has the shape of `input_ids`. What the host knows of it stands beside it, so
    that nothing has to be fetched from an accelerator."""

    input_ids: torch.Tensor
    weights: torch.Tensor
    learnt: torch.Tensor
    """int64 [learnt]: where in the flattened `weights` there is one."""
    weight: float
    """Sum of `weights`."""
    position_ids: torch.Tensor | None = None
    segments: Segments | None = None
    attention_mask: torch.Tensor | None = None

    def places(self) -> dict[str, Any]:
        """What tells a model which tokens see which."""
        if self.segments is None:
            return {"attention_mask": self.attention_mask}
        return {"position_ids": self.position_ids, "segments": self.segments}


@dataclass(frozen=True, slots=True)
class Subject:
    """The model as it is at some moment, and all that is needed to ask it."""

    model: Any
    tokenizer: Any
    spec: ResolvedSpec
    labels: tuple[str, ...]
    device: torch.device
    autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
    is_shared_out: bool = False
    """Whether its weights lie on several ranks: then all of them must ask at once, and go on until the last is answered."""


Loss = Callable[[Any, Any, ResolvedSpec], tuple[torch.Tensor, float]]
"""(model, batch, spec) → (loss_sum, weight); the engine alone divides."""
Predict = Callable[[Subject, Sequence[Example]], list[Any]]
"""What the model says of each example, in plain values that travel between ranks. Draws nothing from any generator."""
Survey = Callable[[Subject, Sequence[Example]], NDArray[np.float32]]
"""What is measured of examples, [n, k]. Draws nothing from any generator."""
Score = Callable[[Sequence[Example], Sequence[Any], tuple[str, ...]], dict[str, float]]
"""(examples, what was said of each, labels) → measures by `Metric.key`. Pure."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """A task, for models of one shape."""

    head: Head
    batch: Callable[[Sequence[Example], bool, torch.device], Any]
    """(examples, packing, device) → what `loss` takes: one forward pass."""
    loss: Loss
    predict: Predict | None = None
    score: Score = lambda examples, predictions, labels: {}
    answer: Callable[[Subject, str], str] | None = None
    """What it says to a prompt, as a card shows it; None for tasks that no prompt asks for."""
    configure: Callable[[Any, Any, Example], None] = lambda config, tokenizer, example: None
    """(the model's configuration, tokenizer, one of the training examples): notes in the first what the head needs to know."""
    reference: Callable[[ResolvedSpec], Survey | None] = lambda spec: None
    """What is measured once on the untouched base, before a method is attached: beside each example as REFERENCE."""
    baseline: Callable[[ResolvedSpec], Survey | None] = lambda spec: None
    """What is measured anew before each step, of all its examples: its mean over them is beside each as BASELINE."""
    seeded: Callable[[Any, Sequence[int]], Any] = lambda batch, seeds: batch
    """(batch, a seed for each of its examples) → the batch, for a loss that draws by them: never by the micro-batch, so that hardware
    doesn't change what is learnt."""
    illustrate: Callable[[Subject, Path], list[tuple[str, str, str]]] | None = None
    """Draws each of the spec's prompts into files of a folder: (prompt, file before, file after)."""
