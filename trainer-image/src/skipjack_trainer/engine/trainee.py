"""What one run is made of."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from skipjack.mixture import Mixture
from skipjack.resolve import ResolvedSpec

from ..data.example import Example
from ..methods import METHODS
from ..tasks import Recipe, Subject
from .batches import grouped
from .objective import trained
from .peers import Peers
from .strategies import Strategy


@dataclass(frozen=True, slots=True)
class Trainee:
    """A model in training, what it learns from, and how both are shared out."""

    spec: ResolvedSpec
    train: Sequence[Example]
    validation: Sequence[Example]
    strategy: Strategy
    tokenizer: Any = None
    labels: tuple[str, ...] = ()
    weighted: Mixture | None = None
    """How often the training examples are seen; None: each once an epoch."""

    @property
    def mixture(self) -> Mixture:
        return self.weighted or Mixture.plain(len(self.train))

    @property
    def recipe(self) -> Recipe:
        return self.strategy.objective.recipe

    @property
    def subject(self) -> Subject:
        """The model as it is now, to be asked."""
        objective, shared_out = self.strategy.objective, self.strategy.ranks_go_together and self.peers.world > 1
        return Subject(
            self.model, self.tokenizer, self.spec, self.labels, objective.device, objective.autocast, shared_out
        )

    @property
    def model(self) -> Any:
        return self.strategy.objective.model

    @property
    def peers(self) -> Peers:
        return self.strategy.peers

    def groups(self, examples: Sequence[Example], indices: Sequence[int]) -> list[list[int]]:
        """The indices in micro-batches."""
        return grouped(examples, indices, self.spec, self.model.config)

    def share(self, examples: Sequence[Example], indices: Sequence[int]) -> list[tuple[list[int], bool]]:
        """This rank's micro-batches, every world-th one, and whether each counts.

        Where ranks go together, those with fewer fill up with one that doesn't: the shortest example, learnt from with weight 0.
        """
        groups, world = self.groups(examples, indices), self.peers.world
        mine = [(members, True) for members in groups[self.peers.rank :: world]]
        if self.strategy.ranks_go_together:
            shortest = min(indices, key=lambda index: len(examples[index]))
            mine += [([shortest], False)] * (math.ceil(len(groups) / world) - len(mine))
        return mine

    def loss(self, examples: Sequence[Example], seeds: Sequence[int] = ()) -> tuple[torch.Tensor, float]:
        """`seeds`: one an example, for a loss that draws."""
        batch = self.recipe.batch(examples, self.spec.dataset.packing, self.strategy.objective.device)
        return self.strategy(self.recipe.seeded(batch, seeds))


def make_optimizer(model: Any, spec: ResolvedSpec) -> torch.optim.Optimizer:
    settings, factor_of = spec.hyperparameters, METHODS[spec.method.type].rate_factor
    groups: dict[float, list[torch.nn.Parameter]] = {}
    for name, parameter in trained(model):
        groups.setdefault(factor_of(name, spec), []).append(parameter)
    return torch.optim.AdamW(
        [{"params": parameters, "rate_factor": times} for times, parameters in groups.items()],
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
        fused=True,
    )
