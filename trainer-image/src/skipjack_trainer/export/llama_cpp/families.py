"""Families that llama.cpp runs: their settings and tensors as its GGUF files have them.

Conventions are llama.cpp's own (its `convert_hf_to_gguf.py` and `src/models/`); whether they were met is told by running the file there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from gguf import MODEL_ARCH, GGUFWriter, RopeScalingType

Tensor = np.ndarray


@dataclass(frozen=True, slots=True)
class Family:
    """`config` is always transformers' own."""

    arch: MODEL_ARCH
    describe: Callable[[GGUFWriter, Any], None] = lambda writer, config: None
    """Writes the settings that this family has beside the usual ones."""
    change: Callable[[str, Tensor, Any], Tensor] = lambda name, tensor, config: tensor
    """(name in transformers, tensor, config) → the tensor as it is laid out there."""
    beside: Callable[[Any], dict[str, Tensor]] = lambda config: {}
    """Tensors that are settings in transformers, by their names in the file."""
    refusal: Callable[[Any], str | None] = lambda config: None
    """Why a model of this family can't be run by llama.cpp as transformers runs it."""


def head_dim(config: Any) -> int:
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def rope(config: Any) -> dict[str, Any]:
    """How positions turn the layers that see everything: of Gemma 3 those have settings of their own."""
    told: dict[str, Any] = config.rope_parameters
    return told.get("full_attention", told)


def rope_type(config: Any) -> str:
    return str(rope(config).get("rope_type", "default"))


def settings(writer: GGUFWriter, config: Any, context: int) -> None:
    """What all families have."""
    writer.add_context_length(context)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head_dim(config))
    writer.add_value_length(head_dim(config))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(rope(config)["rope_theta"])
    writer.add_rope_dimension_count(int(head_dim(config) * rope(config).get("partial_rotary_factor", 1.0)))
    writer.add_vocab_size(config.vocab_size)
    scale(writer, config)


def context_of(config: Any) -> int:
    """Tokens that it can read. In llama.cpp a Mistral and a Phi-3 see all of them: one with a window is to read no more than that."""
    window = config.sliding_window if config.model_type in ("mistral", "phi3") else None
    return min(config.max_position_embeddings, window or config.max_position_embeddings)


def scale(writer: GGUFWriter, config: Any) -> None:
    """How positions beyond those of the first training are read."""
    told = rope(config)
    if rope_type(config) == "linear":
        writer.add_rope_scaling_type(RopeScalingType.LINEAR)
        writer.add_rope_scaling_factor(told["factor"])
    elif rope_type(config) == "yarn":
        writer.add_rope_scaling_type(RopeScalingType.YARN)
        writer.add_rope_scaling_factor(told["factor"])
        writer.add_rope_scaling_orig_ctx_len(told["original_max_position_embeddings"])
    elif rope_type(config) == "longrope":
        first = told["original_max_position_embeddings"]
        factor = config.max_position_embeddings / first
        # As transformers' `_compute_longrope_parameters`, from the paper (Ding et al. 2024, arXiv:2402.13753).
        usual = math.sqrt(1 + math.log(factor) / math.log(first)) if factor > 1 else 1.0
        writer.add_rope_scaling_type(RopeScalingType.LONGROPE)
        writer.add_rope_scaling_orig_ctx_len(first)
        writer.add_rope_scaling_attn_factors(told.get("attention_factor") or usual)


def turned(name: str, tensor: Tensor, config: Any) -> Tensor:
    """Llama's queries and keys: transformers turns the first half of a head against the second, llama.cpp each number against the next."""
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for layer, count in heads.items():
        if name.endswith((f"{layer}.weight", f"{layer}.bias")):
            pairs = tensor.reshape(count, 2, len(tensor) // count // 2, *tensor.shape[1:])
            return pairs.swapaxes(1, 2).reshape(tensor.shape)
    return tensor


def from_one(name: str, tensor: Tensor, config: Any) -> Tensor:
    """Gemma's norms are held as what they differ from 1."""
    return tensor + 1 if name.endswith("norm.weight") else tensor


def llama3_factors(config: Any) -> dict[str, Tensor]:
    """Llama 3's own scaling: by what each frequency is divided (Meta's `apply_scaling`)."""
    told, size = rope(config), head_dim(config)
    if rope_type(config) != "llama3":
        return {}
    lengths = 2 * math.pi * told["rope_theta"] ** (np.arange(0, size, 2) / size)
    first, low, high = (
        told[f"{name}"] for name in ("original_max_position_embeddings", "low_freq_factor", "high_freq_factor")
    )
    smooth = np.clip((first / lengths - low) / (high - low), 0, 1)
    return {"rope_freqs.weight": (1 / ((1 - smooth) / told["factor"] + smooth)).astype(np.float32)}


def long_factors(config: Any) -> dict[str, Tensor]:
    if rope_type(config) != "longrope":
        return {}
    return {
        f"rope_factors_{side}.weight": np.array(rope(config)[f"{side}_factor"], np.float32)
        for side in ("long", "short")
    }


def describe_phi3(writer: GGUFWriter, config: Any) -> None:
    writer.add_sliding_window(config.sliding_window or 0)


def describe_gemma2(writer: GGUFWriter, config: Any) -> None:
    writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
    writer.add_final_logit_softcapping(config.final_logit_softcapping)
    writer.add_sliding_window(config.sliding_window)


def describe_gemma3(writer: GGUFWriter, config: Any) -> None:
    writer.add_sliding_window(config.sliding_window)
    writer.add_rope_freq_base_swa(config.rope_parameters["sliding_attention"]["rope_theta"])


def only(*known: str) -> Callable[[Any], str | None]:
    """Refuses positions that are scaled otherwise."""

    def refusal(config: Any) -> str | None:
        kind = rope_type(config)
        return None if kind in ("default", *known) else f"its positions are scaled by {kind}, which is not written yet"

    return refusal


def refuse_windows(config: Any) -> str | None:
    """llama.cpp's Qwen sees all tokens in every layer."""
    layers = getattr(config, "layer_types", None) or ()
    return "some of its layers see a window only" if "sliding_attention" in layers else only("linear", "yarn")(config)


def refuse_gemma(config: Any) -> str | None:
    """llama.cpp scales attention by the head's width, and takes every second (Gemma 2) or all but every sixth layer (Gemma 3) to see a window."""
    if config.query_pre_attn_scalar != head_dim(config):
        return "its attention is scaled by something else than the width of its heads"
    every = 2 if config.model_type == "gemma2" else 6
    expected = [
        "full_attention" if (layer + 1) % every == 0 else "sliding_attention"
        for layer in range(config.num_hidden_layers)
    ]
    return only("linear")(config) if config.layer_types == expected else "other layers than usual see a window only"


LLAMA = Family(MODEL_ARCH.LLAMA, change=turned, beside=llama3_factors, refusal=only("llama3", "linear", "yarn"))
FAMILIES: dict[str, Family] = {
    "llama": LLAMA,
    "mistral": LLAMA,
    "qwen2": Family(MODEL_ARCH.QWEN2, refusal=refuse_windows),
    "qwen3": Family(MODEL_ARCH.QWEN3, refusal=refuse_windows),
    "phi3": Family(MODEL_ARCH.PHI3, describe_phi3, beside=long_factors, refusal=only("longrope")),
    "gemma": Family(MODEL_ARCH.GEMMA, change=from_one, refusal=only()),
    "gemma2": Family(MODEL_ARCH.GEMMA2, describe_gemma2, from_one, refusal=refuse_gemma),
    "gemma3_text": Family(MODEL_ARCH.GEMMA3, describe_gemma3, from_one, refusal=refuse_gemma),
}
"""By `model_type`."""
