"""Cross-entropy from hidden states, without ever holding all logits.

The gradient of the hidden states (and of the head's weight, where it is trained) is computed chunk by chunk in the forward pass, when
a chunk's logits are at hand: nothing of the vocabulary's size is kept for the backward pass, and nothing is computed twice. As fast as with
all logits on a CPU; what it saves is their memory, 6 bytes a learnt token and word.
"""

from __future__ import annotations

from typing import Any

import torch

CHUNK = {"cpu": 256, "cuda": 2048}
"""Rows of logits at a time: 6·CHUNK·vocabulary bytes with their gradient in bf16. On a CPU 64 to 1,024 rows took 158, 127, 121, 121 and
118 ms of processor time for 640 rows and a vocabulary of 32,000."""


def linear_cross_entropy(
    hidden: torch.Tensor, head: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor, smoothing: float = 0.0
) -> torch.Tensor:
    """Sum of weights[i] · cross-entropy(hidden[i] · headᵀ, labels[i]), in nats. `hidden` [n, h], `head` [vocabulary, h],
    `labels` int64 [n], `weights` fp32 [n]. Logits are in autocast's precision, all after them in fp32.

    `smoothing`: share of each target that is spread over the vocabulary (Szegedy et al. 2015, arXiv:1512.00567), as torch has it.
    """
    total: torch.Tensor = _LinearCrossEntropy.apply(hidden, head, labels, weights, smoothing)
    return total


def token_cross_entropy(hidden: torch.Tensor, head: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """fp32 [n]: each one's cross-entropy, for losses that are no weighted sum of them. Shapes as above. Where the head is trained its
    gradient takes the logits a second time: how much each counts is known only then."""
    losses: torch.Tensor = _TokenCrossEntropy.apply(hidden, head, labels)
    return losses


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        head: torch.Tensor,
        labels: torch.Tensor,
        weights: torch.Tensor,
        smoothing: float,
    ) -> torch.Tensor:
        kind, dtype = hidden.device.type, _dtype(hidden)
        wants_hidden, wants_head = ctx.needs_input_grad[:2]
        by_hidden = torch.empty_like(hidden) if wants_hidden else None
        by_head = torch.zeros_like(head, dtype=torch.float32) if wants_head else None
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        with torch.autocast(kind, enabled=False):
            matrix = head.to(dtype)
            for part in _chunks(hidden):
                rows, targets, counts = hidden[part].to(dtype), labels[part, None], weights[part, None]
                logits = (rows @ matrix.T).float()
                highest = logits.amax(1, keepdim=True)
                wanted = logits.gather(1, targets)
                if smoothing:
                    wanted = torch.lerp(wanted, logits.mean(1, keepdim=True), smoothing)
                # From here on the same memory holds exp(logits), then the probabilities, then the gradient.
                sums = logits.sub_(highest).exp_().sum(1, keepdim=True)
                total += ((sums.log() + highest - wanted) * counts).sum()
                if not (wants_hidden or wants_head):
                    continue
                logits.mul_(counts / sums).scatter_add_(1, targets, counts * (smoothing - 1))
                if smoothing:
                    logits.sub_(counts * (smoothing / logits.shape[1]))
                by_logits = logits.to(dtype)
                if by_hidden is not None:
                    by_hidden[part] = by_logits @ matrix
                if by_head is not None:
                    by_head += by_logits.T @ rows
        ctx.gradients = by_hidden, by_head, head.dtype
        return total

    @staticmethod
    def backward(ctx: Any, by_total: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        by_hidden, by_head, dtype = ctx.gradients
        # Scaled where they lie: they are this function's own, and a second backward pass is refused by ctx.
        ctx.gradients = None
        return (
            None if by_hidden is None else by_hidden.mul_(by_total),
            None if by_head is None else by_head.mul_(by_total).to(dtype),
            None,
            None,
            None,
        )


class _TokenCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden: torch.Tensor, head: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        dtype = _dtype(hidden)
        wants_hidden, wants_head = ctx.needs_input_grad[:2]
        by_hidden = torch.empty_like(hidden) if wants_hidden else None
        sums = torch.empty(len(labels), dtype=torch.float32, device=hidden.device)
        losses = torch.empty_like(sums)
        with torch.autocast(hidden.device.type, enabled=False):
            matrix = head.to(dtype)
            for part in _chunks(hidden):
                logits = (hidden[part].to(dtype) @ matrix.T).float()
                sums[part] = logits.logsumexp(1)
                losses[part] = sums[part] - logits.gather(1, labels[part, None]).squeeze(1)
                if by_hidden is not None:
                    by_hidden[part] = _by_logits(logits, sums[part], labels[part]).to(dtype) @ matrix
        ctx.by_hidden, ctx.dtype = by_hidden, dtype
        ctx.save_for_backward(*((hidden, head, labels, sums) if wants_head else ()))
        return losses

    @staticmethod
    def backward(ctx: Any, by_losses: torch.Tensor) -> tuple[torch.Tensor | None, ...]:  # type: ignore[override]
        by_head = None
        if ctx.saved_tensors:
            hidden, head, labels, sums = ctx.saved_tensors
            by_head = torch.zeros_like(head, dtype=torch.float32)
            with torch.autocast(hidden.device.type, enabled=False):
                for part in _chunks(hidden):
                    rows = hidden[part].to(ctx.dtype)
                    by_logits = _by_logits((rows @ head.to(ctx.dtype).T).float(), sums[part], labels[part])
                    by_head += by_logits.mul_(by_losses[part, None]).to(ctx.dtype).T @ rows
            by_head = by_head.to(head.dtype)
        by_hidden, ctx.by_hidden = ctx.by_hidden, None
        return None if by_hidden is None else by_hidden.mul_(by_losses[:, None]), by_head, None


def _by_logits(logits: torch.Tensor, sums: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Gradient of each row's cross-entropy by its logits, in their memory. `sums`: their log-sum-exp."""
    probabilities = logits.sub_(sums[:, None]).exp_()
    return probabilities.scatter_add_(1, labels[:, None], -torch.ones_like(sums[:, None]))


def _dtype(hidden: torch.Tensor) -> torch.dtype:
    """Of the logits."""
    kind = hidden.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else hidden.dtype


def _chunks(rows: torch.Tensor) -> list[slice]:
    size = CHUNK[rows.device.type]
    return [slice(start, start + size) for start in range(0, len(rows), size)]
