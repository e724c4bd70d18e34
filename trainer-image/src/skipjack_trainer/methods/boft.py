"""BOFT: OFT whose rotation is a product of sparse factors."""

from __future__ import annotations

from typing import Any

import torch

from skipjack.resolve import ResolvedSpec

from .adapt import adapt, targets
from .base import Method


def attach(model: Any, spec: ResolvedSpec) -> Any:
    """The model with such rotations before its linear layers. Raises ConfigurationInvalid."""
    from peft import BOFTConfig

    settings = spec.method.orthogonal
    assert settings is not None, "resolve_spec settles it"
    compile_nothing()
    config = BOFTConfig(
        boft_block_size=settings.block_size,
        boft_n_butterfly_factor=settings.butterfly_factors,
        boft_dropout=settings.dropout,
        target_modules=targets(model, settings.target_modules),
    )
    return adapt(model, config, spec)


def compile_nothing() -> None:
    """Gives PEFT what it would compile with nvcc at its first use. Without that it takes one factor, whatever was asked for."""
    from peft.tuners.boft import layer

    layer._FBD_CUDA = BlockDiagonal


class BlockDiagonal:
    """Blocks [factors, n, b, b] → block-diagonal matrices [factors, n·b, n·b]."""

    @staticmethod
    def forward(blocks: torch.Tensor) -> tuple[torch.Tensor]:
        factors, n, b, _ = blocks.shape
        spread = blocks.new_zeros(factors, n, b, n, b)
        spread.diagonal(dim1=1, dim2=3).copy_(blocks.permute(0, 2, 3, 1))
        return (spread.view(factors, n * b, n * b),)

    @staticmethod
    def backward(gradient: torch.Tensor, blocks: torch.Tensor) -> tuple[torch.Tensor]:
        factors, n, b, _ = blocks.shape
        return (gradient.reshape(factors, n, b, n, b).diagonal(dim1=1, dim2=3).permute(0, 3, 1, 2).contiguous(),)


BOFT = Method(attach)
