"""Phi-3-small worked out from its published formulas, one head and one token at a time, in float64: what the real class is held to."""

from __future__ import annotations

import math
from typing import Any

import torch

Weights = dict[str, torch.Tensor]


@torch.no_grad()
def logits(config: Any, weights: Weights, ids: list[int]) -> torch.Tensor:
    """[tokens, vocabulary] of one example."""
    w = {name: value.double() for name, value in weights.items()}
    x = w["model.embed_tokens.weight"][ids] * config.mup_embedding_multiplier
    for layer in range(config.num_hidden_layers):
        own = {name.removeprefix(f"model.layers.{layer}."): value for name, value in w.items()}
        x = x + attention(config, own, layer, norm(config, own, "input_layernorm", x))
        x = x + mlp(config, own, norm(config, own, "post_attention_layernorm", x))
    x = norm(config, w, "model.final_layernorm", x)
    said = x @ w["model.embed_tokens.weight"].T / config.mup_width_multiplier
    for unused in [100256, 100258, 100259, 100260, 100264, 100265, *range(100267, 100352)]:
        if unused < config.vocab_size:
            said[:, unused] = torch.finfo(torch.float64).min
    return said


def norm(config: Any, w: Weights, name: str, x: torch.Tensor) -> torch.Tensor:
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / (centred.square().mean(-1, keepdim=True) + config.layer_norm_epsilon).sqrt()
    return scaled * w[f"{name}.weight"] + w[f"{name}.bias"]


def mlp(config: Any, w: Weights, x: torch.Tensor) -> torch.Tensor:
    up = x @ w["mlp.up_proj.weight"].T + w["mlp.up_proj.bias"]
    rows = []
    for token in up.tolist():
        gated = []
        for gate, value in zip(token[0::2], token[1::2], strict=True):
            gate, value = min(gate, config.gegelu_limit), max(-config.gegelu_limit, min(value, config.gegelu_limit))
            gated.append(gate / (1 + math.exp(-1.702 * gate)) * (value + 1))
        rows.append(gated)
    return torch.tensor(rows, dtype=torch.float64) @ w["mlp.down_proj.weight"].T + w["mlp.down_proj.bias"]


def attention(config: Any, w: Weights, layer: int, x: torch.Tensor) -> torch.Tensor:
    size = config.hidden_size // config.num_attention_heads
    sharing = config.num_attention_heads // config.num_key_value_heads
    fused = x @ w["self_attn.query_key_value.weight"].T + w["self_attn.query_key_value.bias"]
    scale = config.mup_attn_multiplier / size if config.mup_use_scaling else size**-0.5
    every = config.dense_attention_every_n_layers
    is_dense = bool(every) and (layer + 1) % every == 0
    heads = []
    for head in range(config.num_attention_heads):
        group = head // sharing * (sharing + 2) * size
        at = group + head % sharing * size
        q = turned(config, fused[:, at : at + size])
        k = turned(config, fused[:, group + sharing * size : group + (sharing + 1) * size])
        v = fused[:, group + (sharing + 1) * size : group + (sharing + 2) * size]
        rows = []
        for query in range(len(x)):
            seen = [key for key in range(query + 1) if is_dense or sees(config, head, query, key)]
            rows.append(torch.softmax(q[query] @ k[seen].T * scale, -1) @ v[seen])
        heads.append(torch.stack(rows))
    return torch.cat(heads, -1) @ w["self_attn.dense.weight"].T + w["self_attn.dense.bias"]


def sees(config: Any, head: int, query: int, key: int) -> bool:
    size, stride = config.blocksparse_block_size, config.blocksparse_vert_stride
    shift = 0 if config.blocksparse_homo_head_pattern else head * max(1, int(stride / config.num_attention_heads))
    near = query // size - key // size < config.blocksparse_num_local_blocks
    return near or (key // size + shift + 1) % stride == 0


def turned(config: Any, x: torch.Tensor) -> torch.Tensor:
    """Each pair (i, i + half) as a complex number."""
    half = x.shape[1] // 2
    scaling = config.rope_scaling or {}
    which = "long" if scaling and len(x) > scaling["original_max_position_embeddings"] else "short"
    rows = []
    for position, row in enumerate(x):
        first, second = [], []
        for i in range(half):
            factor = scaling[f"{which}_factor"][i] if scaling else 1.0
            angle = position / (factor * config.rope_embedding_base ** (2 * i / x.shape[1]))
            z = complex(row[i], row[i + half]) * complex(math.cos(angle), math.sin(angle))
            z *= scaling.get(f"{which}_mscale", 1.0)
            first.append(z.real)
            second.append(z.imag)
        rows.append(first + second)
    return torch.tensor(rows, dtype=torch.float64)
