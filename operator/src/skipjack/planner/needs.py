"""Arithmetic, memory and disk that training takes, from counts of parameters and tokens."""

from __future__ import annotations

from ..api.v1alpha1.compute import Strategy

MASTER_BYTES, GRADIENT_BYTES, MOMENTS_BYTES = 4, 4, 8
"""Of a trained parameter, all in fp32: its weight, its gradient, and AdamW's two moments (Loshchilov & Hutter 2019, arXiv:1711.05101)."""


def training_flops(frozen: int, trained: int, tokens: float) -> float:
    """Floating-point operations of `tokens` tokens, forward and backward, a multiplication and an addition counting as two.

    A parameter that is multiplied with costs 2 a token forward, 2 for the gradient of what came in, and 2 more for its own if it is
    trained: 6·N·T when all are (Kaplan et al. 2020, arXiv:2001.08361, section 2.1), 4·frozen + 6·trained otherwise, which for small
    adapters is full · 2/3. Left out: attention's products of tokens with tokens (12·layers·width·length a token: Chowdhery et al. 2022,
    arXiv:2204.02311, appendix B), activations computed again, evaluation. Embeddings that are only looked up are not counted in.
    """
    return (4.0 * frozen + 6.0 * trained) * tokens


def state_bytes(frozen_bytes: int, trained: int, strategy: Strategy = Strategy.DDP, world: int = 1) -> float:
    """What one of `world` processes holds beside activations: 16 bytes a trained parameter, and the frozen ones as they are held.

    Strategies share out the moments (ZeRO1), gradients too (ZeRO2), weights too (ZeRO3): Rajbhandari et al. 2020, arXiv:1910.02054,
    section 5. Nothing is offloaded.
    """
    shares = {
        Strategy.DDP: (1, 1, 1),
        Strategy.ZERO1: (1, 1, world),
        Strategy.ZERO2: (1, world, world),
        Strategy.ZERO3: (world, world, world),
    }
    weights, gradients, moments = shares[strategy]
    held = (frozen_bytes + MASTER_BYTES * trained) / weights
    return held + GRADIENT_BYTES * trained / gradients + MOMENTS_BYTES * trained / moments


def full_peak_bytes(
    peak_bytes: float,
    frozen_bytes: int,
    trained: int,
    parameters: int,
    strategy: Strategy = Strategy.DDP,
    world: int = 1,
) -> float:
    """What a process would have held at most, had all `parameters` been trained: the measured peak with this state changed for that.

    Activations are taken to be as large, which leaves out those that only a trained weight's gradient asks for.
    """
    here, full = (state_bytes(*held, strategy, world) for held in ((frozen_bytes, trained), (0, parameters)))
    return peak_bytes - here + full


def stored_bytes(parameters: int) -> int:
    """A result that is all of a model: its fp32 masters."""
    return MASTER_BYTES * parameters
