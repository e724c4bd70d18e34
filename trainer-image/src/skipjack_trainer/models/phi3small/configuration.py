"""The fields of Phi-3-small's config.json, under their published names and with their published defaults."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedConfig

LONG_ROPE = ("su", "longrope")


class Phi3SmallConfig(PreTrainedConfig):
    """Raises ValueError for a value whose meaning the sources don't tell."""

    model_type = "phi3small"

    vocab_size: int = 100352
    max_position_embeddings: int = 8192
    rope_embedding_base: float | int = 1_000_000
    rope_position_scale: float | int = 1.0
    rope_scaling: dict[str, Any] | None = None
    hidden_size: int = 4096
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int = 8
    hidden_act: str = "gegelu"
    gegelu_limit: float | int | None = 20.0
    gegelu_pad_to_256: bool = True
    ff_dim_multiplier: int | None = None
    ff_intermediate_size: int | None = 14336
    blocksparse_homo_head_pattern: bool = False
    blocksparse_block_size: int = 64
    blocksparse_num_local_blocks: int = 16
    blocksparse_vert_stride: int = 8
    blocksparse_triton_kernel_block_size: int = 64
    dense_attention_every_n_layers: int | None = 2
    embedding_dropout_prob: float | int = 0.1
    attention_dropout_prob: float | int = 0.0
    ffn_dropout_prob: float | int = 0.1
    layer_norm_epsilon: float = 1e-5
    initializer_range: float = 0.02
    mup_use_scaling: bool = True
    mup_width_multiplier: float | int | None = 8.0
    mup_embedding_multiplier: float | int | None = 10.0
    mup_attn_multiplier: float | int = 1.0
    use_cache: bool = True
    bos_token_id: int | None = 100257
    eos_token_id: int | list[int] | None = 100257
    pad_token_id: int | None = None
    tie_word_embeddings: bool = True
    """Not in the published file: 7.4 B parameters are those of a tied head (transformers 4's default, and vLLM copies it)."""
    reorder_and_upcast_attn: bool = False
    pad_sequence_to_multiple_of_64: bool = True

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if self.hidden_act != "gegelu":
            raise ValueError(f"hidden_act is {self.hidden_act!r}: Phi-3-small has only gegelu.")
        if (self.ff_dim_multiplier is None) == (self.ff_intermediate_size is None):
            raise ValueError("give one of ff_dim_multiplier and ff_intermediate_size.")
        if self.hidden_size % self.num_attention_heads or self.num_attention_heads % self.num_key_value_heads:
            raise ValueError(
                f"hidden_size {self.hidden_size}, num_attention_heads {self.num_attention_heads} and num_key_value_heads "
                f"{self.num_key_value_heads} must each be a multiple of the next."
            )
        if self.rope_position_scale != 1:
            # vLLM divides positions by it, mlx-lm multiplies; both published models have 1.
            raise ValueError(f"rope_position_scale is {self.rope_position_scale}: only 1 has one meaning.")
        if self.rope_scaling:
            self._check_rope_scaling(self.rope_scaling)

    def _check_rope_scaling(self, scaling: dict[str, Any]) -> None:
        kind = scaling.get("type", scaling.get("rope_type"))
        if kind not in LONG_ROPE:
            raise ValueError(f"rope_scaling.type is {kind!r}: Phi-3-small has only {' or '.join(LONG_ROPE)}.")
        for name in ("short_factor", "long_factor"):
            if len(scaling.get(name) or ()) != self.head_dim // 2:
                raise ValueError(f"rope_scaling.{name} must have {self.head_dim // 2} numbers.")
        if self.trained_positions is None:
            raise ValueError("rope_scaling needs original_max_position_embeddings, in it or beside it.")

    @property
    def head_dim(self) -> int:
        return self.hidden_size // self.num_attention_heads

    @property
    def intermediate_size(self) -> int:
        if self.ff_intermediate_size is not None:
            return self.ff_intermediate_size
        assert self.ff_dim_multiplier is not None, "__post_init__ refuses it"
        size = self.ff_dim_multiplier * (self.hidden_size // 3) * 2
        return -(-size // 256) * 256 if self.gegelu_pad_to_256 else size

    @property
    def trained_positions(self) -> int | None:
        """Longest example that has the short factors of rope_scaling."""
        beside: int | None = getattr(self, "original_max_position_embeddings", None)
        return (self.rope_scaling or {}).get("original_max_position_embeddings", beside)

    def is_dense(self, layer: int) -> bool:
        """Whether layer number `layer` (from 0) has dense attention: every n-th has."""
        every = self.dense_attention_every_n_layers
        return bool(every) and (layer + 1) % every == 0
