"""What every method says of itself, as data: people read it in docs/techniques.md, `resolve` and the trainer judge by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

Setting = float | int | str | bool | None


class Base(Enum):
    """In what the frozen base may be held."""

    AS_IT_IS = auto()
    MAY_BE_QUANTIZED = auto()
    QUANTIZED = auto()
    """In NF4 unless asked otherwise: that is what the method is."""


@dataclass(frozen=True, slots=True)
class MethodDefaults:
    """A method. Settings are those of its block, by their names in the resolved spec."""

    about: str
    """What it is, in a line."""
    paper: str
    """Authors, year, arXiv number."""
    take_it: str
    """When to choose it, in a line."""
    learning_rate: float
    settings: Mapping[str, Setting] = field(default_factory=dict)
    """What may be set, and what it is when it isn't."""
    implied: Mapping[str, Setting] = field(default_factory=dict)
    """What the type alone says: it can't be said otherwise."""
    alpha_per_rank: float = 2.0
    """Default of alpha, where it is a setting that is left out (None)."""
    base: Base = Base.AS_IT_IS
    packs: bool = True
    """Whether rows may share a sequence. Virtual tokens stand before the first row alone, and are seen by all."""
    merges: bool = True
    """Whether what was learnt can be added to the base's own weights."""
    linear_only: bool = False
    """Whether it can't adapt Conv1D, which GPT-2 is made of in place of linear layers."""
    labels_tokens: bool = True
    """Whether a model that answers token by token (token classification, question answering) can be tuned by it."""
    draws: bool = False
    """Whether it can tune a diffusion model, whose layers are stored in other formats than a language model's."""
    checkpoints_gradients: bool = True
    """Whether activations may be computed again in the backward pass."""
    refuses_strategies: Mapping[str, str] = field(default_factory=dict)
    """Strategy → why it can't be trained under it, as the end of a sentence."""
