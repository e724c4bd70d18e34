"""Who sees whom: causal, kept apart by example, and in most layers by a block-sparse pattern that differs from head to head."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .configuration import Phi3SmallConfig


@dataclass(frozen=True, slots=True)
class Layout:
    """Where the keys of a forward pass stand. The queries are the last of the keys."""

    positions: torch.Tensor
    """[n, K], within the example."""
    examples: torch.Tensor
    """[n, K], number of the example in its row; padding is in examples of its own."""
    is_plain: bool
    """Each row is one example from its first token on, up to padding that follows it."""

    def lengths(self) -> torch.Tensor:
        """[n, K]: tokens of the example that each key stands in."""
        longest = torch.zeros_like(self.positions).scatter_reduce(1, self.examples, self.positions, "amax")
        return longest.gather(1, self.examples) + 1


def lay_out(
    ids: torch.Tensor, past: int, attention_mask: torch.Tensor | None, position_ids: torch.Tensor | None
) -> Layout:
    """`ids` [n, Q] (or their embeddings), after `past` cached keys. `position_ids` that start anew begin a new example;
    `attention_mask` [n, past + Q] has 0 where there is padding. Raises ValueError for masks of another kind."""
    rows, keys = ids.shape[0], past + ids.shape[1]
    if attention_mask is not None and attention_mask.shape != (rows, keys):
        raise ValueError(
            f"attention_mask must have the shape ({rows}, {keys}), 0 for padding; it has {tuple(attention_mask.shape)}."
        )
    if position_ids is not None and not past:
        positions = position_ids.expand(rows, keys)
    elif attention_mask is not None:
        positions = (attention_mask.long().cumsum(1) - 1).clamp(min=0)
    else:
        positions = torch.arange(keys, device=ids.device).expand(rows, keys)
    begins = positions.diff(dim=1) != 1
    if attention_mask is not None:
        begins = begins | (attention_mask.diff(dim=1) != 0)
    examples = torch.nn.functional.pad(begins.long().cumsum(1), (1, 0))
    apart = examples > 0 if attention_mask is None else (examples > 0) & attention_mask.bool()
    return Layout(positions, examples, not bool(apart.any()))


@dataclass(frozen=True, slots=True)
class Masks:
    """Additive masks [n, 1, Q, K], made once for all layers; None is plain causal attention, which kernels have built in."""

    dense: torch.Tensor | None
    sparse: tuple[torch.Tensor | None, ...]
    """Heads h, h + len, h + 2·len … have number h: 8 masks of 2·Q·K bytes a row in bf16, 1 GiB for 8192 tokens. As long as no
    example is longer than the local blocks (1024 tokens) there is one, the dense one."""

    def of(self, is_dense: bool) -> tuple[torch.Tensor | None, ...]:
        return (self.dense,) if is_dense else self.sparse


def make_masks(layout: Layout, queries: int, config: Phi3SmallConfig, dtype: torch.dtype) -> Masks:
    """The pattern is that of the published triton_flash_blocksparse_attn.py (`_get_sparse_attn_mask`): a block of queries sees the
    nearest blocks of keys, and in head h each block b for which (b + h·step + 1) is a multiple of the stride."""
    keys = layout.positions.shape[1]
    index = torch.arange(keys, device=layout.positions.device)
    before = index[-queries:, None] >= index
    dense = None
    if not layout.is_plain or 1 < queries < keys:
        same = layout.examples[:, -queries:, None] == layout.examples[:, None]
        dense = additive(before & same, dtype)
    if int(layout.positions.max()) < config.blocksparse_num_local_blocks * config.blocksparse_block_size:
        return Masks(dense, (dense,))
    block = layout.positions // config.blocksparse_block_size
    near = block[:, -queries:, None] - block[:, None] < config.blocksparse_num_local_blocks
    seen = before & (layout.examples[:, -queries:, None] == layout.examples[:, None])
    stride = config.blocksparse_vert_stride
    stripes = ((block + offset + 1) % stride == 0 for offset in head_offsets(config))
    return Masks(dense, tuple(additive(seen & (near | stripe[:, None]), dtype) for stripe in stripes))


def head_offsets(config: Phi3SmallConfig) -> list[int]:
    """By how many blocks the stripes of head 0, 1 … are shifted, up to where they repeat."""
    heads, stride = config.num_attention_heads, config.blocksparse_vert_stride
    if config.blocksparse_homo_head_pattern:
        return [0]
    step = max(1, stride // heads)
    return [head * step for head in range(stride if heads % stride == 0 else heads)]


def additive(seen: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """[n, 1, Q, K] from [n, Q, K]. One float tensor that all layers share: a boolean one would become floats in each, kept for
    the backward pass. No row is all -inf, since each token sees itself."""
    return torch.zeros_like(seen, dtype=dtype).masked_fill_(~seen, float("-inf"))[:, None]


def attend(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    masks: tuple[torch.Tensor | None, ...],
    scale: float,
    dropout: float,
) -> torch.Tensor:
    """q [n, H, Q, D] over k and v [n, G, K, D], each of which serves H/G neighbouring heads; mask i for every head i modulo their number."""
    attention = torch.nn.functional.scaled_dot_product_attention
    if masks[0] is None:
        return attention(q, k, v, is_causal=q.shape[2] > 1, scale=scale, dropout_p=dropout, enable_gqa=True)
    # With a mask, CUDA's fast kernels don't take fewer heads of keys than of queries.
    k, v = (each.repeat_interleave(q.shape[1] // each.shape[1], dim=1) for each in (k, v))
    every = len(masks)
    parts = [
        attention(
            q[:, i::every], k[:, i::every], v[:, i::every], attn_mask=mask, scale=scale, dropout_p=dropout
        )
        for i, mask in enumerate(masks)
    ]  # fmt: skip
    return torch.stack(parts, dim=2).flatten(1, 2)
