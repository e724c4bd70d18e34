"""Rotary positions, in the layout of GPT-NeoX: feature i turns with feature i + head_dim/2."""

from __future__ import annotations

import math

import torch

from .configuration import Phi3SmallConfig
from .layout import Layout


def angles(
    layout: Layout, queries: int, config: Phi3SmallConfig, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    """cos and sin of the last `queries` positions, [n, 1, Q, head_dim]."""
    positions = layout.positions[:, -queries:, None].float()
    half = torch.arange(0, config.head_dim, 2, device=positions.device).float() / config.head_dim
    turns = positions / config.rope_embedding_base**half
    scale: torch.Tensor | float = 1.0
    if config.rope_scaling:
        is_long = layout.lengths()[:, -queries:, None] > config.trained_positions
        short, long = (turns.new_tensor(config.rope_scaling[f"{which}_factor"]) for which in ("short", "long"))
        turns = turns / torch.where(is_long, long, short)
        scale = torch.where(is_long, magnitude(config, "long"), magnitude(config, "short"))
    turns = torch.cat((turns, turns), dim=-1)
    return (turns.cos() * scale).to(dtype)[:, None], (turns.sin() * scale).to(dtype)[:, None]


def magnitude(config: Phi3SmallConfig, which: str) -> float:
    """What cos and sin are multiplied by, for examples that are `which`: LongRoPE, arXiv 2402.13753; vLLM's phi3_long_rope_scaled_rope.py."""
    assert config.rope_scaling is not None
    assert config.trained_positions is not None, "the config refuses it"
    given = config.rope_scaling.get(f"{which}_mscale")
    if given is not None:
        return float(given)
    grown = config.max_position_embeddings / config.trained_positions
    return math.sqrt(1 + math.log(grown) / math.log(config.trained_positions)) if grown > 1 else 1.0


def turn(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin
