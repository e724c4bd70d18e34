"""Phi-3-small's decoder, with the published names of its weights."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import nn
from transformers import Cache, DynamicCache, GenerationMixin, PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.utils import can_return_tuple

from .configuration import Phi3SmallConfig
from .layout import Masks, attend, lay_out, make_masks
from .rotary import angles, turn

UNUSED_TOKENS = ((100256, 100257), (100258, 100261), (100264, 100266), (100267, 100352))
"""Ids, from and up to, that fill the vocabulary up or that cl100k has for other ends (`dummy_token_indices` of the published
tokenization_phi3_small.py): never said, whatever the weights are."""


class Phi3SmallAttention(nn.Module):
    def __init__(self, config: Phi3SmallConfig, layer: int) -> None:
        super().__init__()
        self.layer, self.head_dim = layer, config.head_dim
        self.queries_a_key = config.num_attention_heads // config.num_key_value_heads
        # Under muP the scale is 1/d, not 1/sqrt(d): arXiv 2203.03466.
        self.scale = (
            config.mup_attn_multiplier / self.head_dim if config.mup_use_scaling else 1 / math.sqrt(self.head_dim)
        )
        self.dropout = config.attention_dropout_prob
        self.is_dense = config.is_dense(layer)
        heads = config.num_attention_heads + 2 * config.num_key_value_heads
        self.query_key_value = nn.Linear(config.hidden_size, heads * self.head_dim)
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(
        self, hidden: torch.Tensor, masks: Masks, rotary: tuple[torch.Tensor, torch.Tensor], cache: Cache | None
    ) -> torch.Tensor:
        # Heads come in groups: the queries that share a key, the key, its value.
        groups = self.query_key_value(hidden).unflatten(-1, (-1, self.queries_a_key + 2, self.head_dim))
        q = turn(groups[..., :-2, :].flatten(2, 3).transpose(1, 2), *rotary)
        k = turn(groups[..., -2, :].transpose(1, 2), *rotary)
        v = groups[..., -1, :].transpose(1, 2)
        if cache is not None:
            k, v = cache.update(k, v, self.layer)
        seen = attend(q, k, v, masks.of(self.is_dense), self.scale, self.dropout if self.training else 0.0)
        attended: torch.Tensor = self.dense(seen.transpose(1, 2).flatten(2))
        return attended


class Phi3SmallMLP(nn.Module):
    def __init__(self, config: Phi3SmallConfig) -> None:
        super().__init__()
        self.limit = config.gegelu_limit
        self.up_proj = nn.Linear(config.hidden_size, 2 * config.intermediate_size)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size)
        self.dropout = nn.Dropout(config.ffn_dropout_prob)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        down: torch.Tensor = self.dropout(self.down_proj(gegelu(self.up_proj(hidden), self.limit)))
        return down


def gegelu(x: torch.Tensor, limit: float | None) -> torch.Tensor:
    """[…, 2·d] → […, d]: features take turns in being gate and value; gate·sigmoid(1.702·gate)·(value + 1), both clamped."""
    gate, value = x[..., ::2], x[..., 1::2]
    if limit is not None:
        gate, value = gate.clamp(max=limit), value.clamp(-limit, limit)
    return gate * torch.sigmoid(1.702 * gate) * (value + 1)


class Phi3SmallDecoderLayer(GradientCheckpointingLayer):
    def __init__(self, config: Phi3SmallConfig, layer: int) -> None:
        super().__init__()
        self.self_attn = Phi3SmallAttention(config, layer)
        self.mlp = Phi3SmallMLP(config)
        self.input_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_epsilon)
        self.post_attention_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_epsilon)

    def forward(
        self,
        hidden: torch.Tensor,
        masks: Masks,
        rotary: tuple[torch.Tensor, torch.Tensor],
        past_key_values: Cache | None = None,
    ) -> torch.Tensor:
        hidden = hidden + self.self_attn(self.input_layernorm(hidden), masks, rotary, past_key_values)
        grown: torch.Tensor = hidden + self.mlp(self.post_attention_layernorm(hidden))
        return grown


class Phi3SmallPreTrainedModel(PreTrainedModel):
    config_class = Phi3SmallConfig
    config: Phi3SmallConfig
    base_model_prefix = "model"
    supports_gradient_checkpointing = True
    _no_split_modules: ClassVar[list[str]] = ["Phi3SmallDecoderLayer"]
    _skip_keys_device_placement: ClassVar[list[str]] = ["past_key_values"]
    _supports_sdpa = True
    _keys_to_ignore_on_load_unexpected: ClassVar[list[str]] = [r"rotary_emb\.inv_freq$"]


class Phi3SmallModel(Phi3SmallPreTrainedModel):
    def __init__(self, config: Phi3SmallConfig) -> None:
        super().__init__(config)
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.embedding_dropout = nn.Dropout(config.embedding_dropout_prob)
        self.layers = nn.ModuleList(Phi3SmallDecoderLayer(config, n) for n in range(config.num_hidden_layers))
        self.final_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_epsilon)
        self.gradient_checkpointing = False
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        use_cache: bool | None = None,
        **_: Any,
    ) -> BaseModelOutputWithPast:
        """Packed examples are told apart by `position_ids` that start anew; see `lay_out` for the rest."""
        hidden = self.embed_tokens(input_ids) if inputs_embeds is None else inputs_embeds
        use_cache = self.config.use_cache if use_cache is None else use_cache
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        past = past_key_values.get_seq_length() if past_key_values is not None else 0

        dtype = hidden.dtype
        if torch.is_autocast_enabled(hidden.device.type):
            dtype = torch.get_autocast_dtype(hidden.device.type)
        layout = lay_out(hidden, past, attention_mask, position_ids)
        masks = make_masks(layout, hidden.shape[1], self.config, dtype)
        rotary = angles(layout, hidden.shape[1], self.config, dtype)

        hidden = self.embedding_dropout(hidden) * (self.config.mup_embedding_multiplier or 1.0)
        for layer in self.layers:
            hidden = layer(hidden, masks, rotary, past_key_values=past_key_values)
        return BaseModelOutputWithPast(
            last_hidden_state=self.final_layernorm(hidden), past_key_values=past_key_values if use_cache else None
        )


class Phi3SmallForCausalLM(Phi3SmallPreTrainedModel, GenerationMixin):
    """Its logits are the head's divided by `mup_width_multiplier`, and none for UNUSED_TOKENS: a loss that is worked out from the
    hidden states and the head's weights has to do the same."""

    _tied_weights_keys: ClassVar[dict[str, str]] = {"lm_head.weight": "model.embed_tokens.weight"}

    def __init__(self, config: Phi3SmallConfig) -> None:
        super().__init__(config)
        self.model = Phi3SmallModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Logits [n, kept, vocabulary] of the last `logits_to_keep` places (0: all), or of those that a tensor names."""
        told = self.model(input_ids, attention_mask, position_ids, past_key_values, inputs_embeds, use_cache)
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(told.last_hidden_state[:, kept]) / (self.config.mup_width_multiplier or 1.0)
        for first, end in UNUSED_TOKENS:
            logits[..., first:end] = torch.finfo(logits.dtype).min
        loss = None
        if labels is not None:
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=self.config.vocab_size, **kwargs)
        return CausalLMOutputWithPast(loss=loss, logits=logits, past_key_values=told.past_key_values)

    def prepare_inputs_for_generation(
        self, input_ids: torch.Tensor, past_key_values: Cache | None = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Beyond `trained_positions` every key turns by other angles: the cached ones are made anew, once, as transformers does for phi3."""
        limit = self.config.trained_positions if self.config.rope_scaling else None
        if past_key_values is not None and limit and past_key_values.get_seq_length() <= limit < input_ids.shape[1]:
            past_key_values = None
            kwargs["next_sequence_length"] = None
        prepared: dict[str, Any] = super().prepare_inputs_for_generation(
            input_ids, past_key_values=past_key_values, **kwargs
        )
        return prepared
