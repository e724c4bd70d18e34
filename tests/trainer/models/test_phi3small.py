"""Phi-3-small's class against its published formulas, names and numbers. Its real weights are not to be had here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.trainer import tiny
from tests.trainer.models import by_hand
from tests.trainer.trainees import examples, trainee

from skipjack_trainer.engine.loop import accumulate
from skipjack_trainer.engine.objective import trained
from skipjack_trainer.errors import ModelUnsupported
from skipjack_trainer.model import load_model, read_config
from skipjack_trainer.models.phi3small.layout import head_offsets
from skipjack_trainer.tasks import causal
from skipjack_trainer.tasks.causal import packed, padded

PUBLISHED: dict[str, Any] = {
    "architectures": ["Phi3SmallForCausalLM"], "attention_bias": False, "attention_dropout_prob": 0.0, "auto_map": {
        "AutoConfig": "configuration_phi3_small.Phi3SmallConfig",
        "AutoModelForCausalLM": "modeling_phi3_small.Phi3SmallForCausalLM",
        "AutoTokenizer": "tokenization_phi3_small.Phi3SmallTokenizer",
    }, "blocksparse_block_size": 64, "blocksparse_homo_head_pattern": False, "blocksparse_num_local_blocks": 16,
    "blocksparse_triton_kernel_block_size": 64, "blocksparse_vert_stride": 8, "bos_token_id": 100257,
    "dense_attention_every_n_layers": 2, "embedding_dropout_prob": 0.1, "eos_token_id": 100257, "ff_dim_multiplier": None,
    "ff_intermediate_size": 14336, "ffn_dropout_prob": 0.1, "gegelu_limit": 20.0, "gegelu_pad_to_256": True,
    "hidden_act": "gegelu", "hidden_size": 4096, "initializer_range": 0.02, "layer_norm_epsilon": 1e-05,
    "max_position_embeddings": 8192, "model_type": "phi3small", "mup_attn_multiplier": 1.0, "mup_embedding_multiplier": 10.0,
    "mup_use_scaling": True, "mup_width_multiplier": 8.0, "num_attention_heads": 32, "num_hidden_layers": 32,
    "num_key_value_heads": 8, "pad_sequence_to_multiple_of_64": True, "reorder_and_upcast_attn": False,
    "rope_embedding_base": 1000000, "rope_position_scale": 1.0, "torch_dtype": "bfloat16", "transformers_version": "4.38.1",
    "use_cache": True, "vocab_size": 100352,
}  # fmt: skip
"""config.json of microsoft/Phi-3-small-8k-instruct."""

LONG: dict[str, Any] = {
    "type": "su", "short_factor": [1.0, 1.1, 1.3, 2.0], "long_factor": [1.5, 2.0, 4.0, 8.0], "short_mscale": 1.1,
    "long_mscale": 1.3, "original_max_position_embeddings": 24,
}  # fmt: skip
ROWS = examples(8)


def model(**changes: Any) -> Any:
    """With weights that no formula leaves out, and limits that are reached."""
    made = tiny.model("phi3small", **{"gegelu_limit": 1.0, "mup_width_multiplier": 8.0} | changes).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            torch.nn.init.normal_(parameter, std=0.3)
    return made


def tokens(length: int, vocabulary: int = 400) -> list[int]:
    drawn: list[int] = torch.randint(5, vocabulary, (length,), generator=torch.Generator().manual_seed(7)).tolist()
    return drawn


@torch.no_grad()
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="published pattern"),
        pytest.param({"blocksparse_homo_head_pattern": True}, id="one pattern for all heads"),
        pytest.param({"blocksparse_vert_stride": 2}, id="patterns that several heads have"),
        pytest.param({"blocksparse_vert_stride": 9}, id="stride beyond the heads"),
        pytest.param({"blocksparse_vert_stride": 3}, id="stride that doesn't divide the heads"),
        pytest.param({"dense_attention_every_n_layers": None}, id="all layers sparse"),
        pytest.param({"mup_use_scaling": False, "mup_attn_multiplier": 3.0}, id="no muP scaling"),
        pytest.param({"mup_attn_multiplier": 3.0, "mup_embedding_multiplier": 2.0}, id="other multipliers"),
        pytest.param({"num_key_value_heads": 1, "num_hidden_layers": 3}, id="one key for all heads"),
        pytest.param({"rope_scaling": LONG}, id="LongRoPE, long"),
        pytest.param({"rope_scaling": LONG | {"original_max_position_embeddings": 64}}, id="LongRoPE, short"),
    ],
)
def test_logits_are_those_of_the_published_formulas(changes: dict[str, Any]) -> None:
    made = model(**changes)
    ids = tokens(41)
    expected = by_hand.logits(made.config, made.state_dict(), ids)
    torch.testing.assert_close(made.double()(torch.tensor([ids])).logits[0], expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_tokens_that_fill_the_vocabulary_up_are_never_said() -> None:
    made = model(vocab_size=100352, num_hidden_layers=1, dense_attention_every_n_layers=1)
    said = made(torch.tensor([[5, 6]])).logits[0]
    expected = by_hand.logits(made.config, made.state_dict(), [5, 6])
    can_be_said = (expected > -1e30).all(0)
    assert torch.equal((said > -1e30).all(0), can_be_said)
    assert can_be_said[[100255, 100257, 100261, 100262, 100263, 100266]].all()
    assert int((~can_be_said).sum()) == 91


def test_the_published_config_has_the_published_size_names_and_layers(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    (tmp_path / "config.json").write_text(json.dumps(PUBLISHED))
    config = read_config(tmp_path)
    with torch.device("meta"):
        made = AutoModelForCausalLM.from_config(config)
    assert sum(p.numel() for p in made.parameters()) == 7_392_272_384
    layer = {"input_layernorm", "mlp.down_proj", "mlp.up_proj", "post_attention_layernorm", "self_attn.dense", "self_attn.query_key_value"}  # fmt: skip
    stems = {f"model.layers.{n}.{name}" for n in range(32) for name in layer} | {"model.final_layernorm"}
    names = {f"{stem}.{part}" for stem in stems for part in ("weight", "bias")}
    assert set(made.state_dict()) == names | {"model.embed_tokens.weight", "lm_head.weight"}
    assert [n for n in range(32) if config.is_dense(n)] == list(range(1, 32, 2))
    assert head_offsets(config) == list(range(8))
    assert config.max_position_embeddings == 8192


def test_what_is_stored_has_the_published_fields_and_the_tied_head_once(tmp_path: Path) -> None:
    from safetensors import safe_open

    source = PUBLISHED | {name: value for name, value in tiny.PHI3SMALL.items() if name != "pad_token_id"}
    (tmp_path / "config.json").write_text(json.dumps(source | {"vocab_size": 400}))
    config = read_config(tmp_path)
    made = tiny.AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    made.save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    renamed = {"torch_dtype", "transformers_version", "vocab_size"}
    assert {name: written.get(name) for name in source if name not in renamed} == {
        name: value for name, value in source.items() if name not in renamed
    }
    assert "lm_head.weight" not in safe_open(tmp_path / "model.safetensors", "pt").keys()  # noqa: SIM118
    loaded = load_model(tmp_path, tiny.resolved(method={"type": "Full"}), torch.device("cpu"))
    ids = torch.tensor([tokens(20)])
    torch.testing.assert_close(loaded.eval()(ids).logits, made.float().eval()(ids).logits)


@pytest.mark.parametrize("scaling", [None, LONG], ids=["8k", "128k"])
def test_generation_with_a_cache_says_what_it_says_without(scaling: dict[str, Any] | None) -> None:
    made = model(rope_scaling=scaling)
    ids = torch.tensor([tokens(14)])
    said = [
        made.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=20, do_sample=False, use_cache=use,
                      eos_token_id=None, pad_token_id=0, output_logits=True, return_dict_in_generate=True)
        for use in (True, False)
    ]  # fmt: skip
    assert torch.equal(said[0].sequences, said[1].sequences)
    torch.testing.assert_close(torch.cat(said[0].logits), torch.cat(said[1].logits), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_padding_on_either_side_changes_nothing_and_neither_does_a_prompt_in_two_parts() -> None:
    made = model()
    ids = torch.tensor([tokens(30)])
    alone = made(ids).logits[0]
    pads, ones = torch.zeros(1, 7, dtype=torch.long), torch.ones_like(ids)
    left = made(torch.cat((pads, ids), 1), attention_mask=torch.cat((pads, ones), 1)).logits[0, 7:]
    right = made(torch.cat((ids, pads), 1), attention_mask=torch.cat((ones, pads), 1)).logits[0, :30]
    first = made(ids[:, :13], use_cache=True)
    second = made(ids[:, 13:], past_key_values=first.past_key_values, use_cache=True)
    for other in (left, right, torch.cat((first.logits[0], second.logits[0]))):
        torch.testing.assert_close(other, alone, rtol=1e-4, atol=1e-4)
    counted = {"attention_mask": torch.cat((pads, ones), 1), "position_ids": torch.arange(37)[None]}
    filled = [made(torch.cat((pads + pad, ids), 1), **counted).logits[0, 7:] for pad in (0, 1)]
    torch.testing.assert_close(filled[0], filled[1])
    with pytest.raises(ValueError, match=r"attention_mask must have the shape \(1, 30\)"):
        made(ids, attention_mask=pads)


@torch.no_grad()
@pytest.mark.parametrize("lay", [packed, padded])
def test_long_rope_turns_each_example_by_its_own_length(lay: Any) -> None:
    """Examples of 5 to 40 tokens, of which those beyond 24 have other angles."""
    made = model(rope_scaling=LONG)
    together, _ = causal.loss(made, lay(ROWS, torch.device("cpu")), tiny.resolved())
    apart = sum(float(causal.loss(made, packed([row], torch.device("cpu")), tiny.resolved())[0]) for row in ROWS)
    assert float(together) == pytest.approx(apart, rel=1e-5)


@pytest.mark.parametrize("method", ["LoRA", "Full"])
def test_gradient_checkpointing_has_the_same_gradients_for_every_weight(method: str) -> None:
    found, calls = [], [0, 0]
    for again in (False, True):
        compute = {"precision": "FP32", "microBatchTokens": 96, "gradientCheckpointing": again}
        run = trainee(ROWS, "phi3small", method={"type": method}, compute=compute)
        for layer in run.model.get_decoder().layers:
            layer.mlp.register_forward_pre_hook(lambda *_, again=again: calls.__setitem__(again, calls[again] + 1))
        accumulate(run, range(8), 0, 1.0)
        found.append({name: p.grad for name, p in trained(run.model)})
    assert calls[1] == 2 * calls[0], "the layers' forward is done again in the backward pass"
    assert all(grad is not None for grad in found[0].values())
    assert method == "LoRA" or all(grad.abs().max() > 0 for grad in found[0].values())
    torch.testing.assert_close(found[1], found[0])


def test_dropout_is_drawn_where_the_config_has_it() -> None:
    made = model(embedding_dropout_prob=0.5)
    ids = torch.tensor([tokens(12)])
    assert torch.equal(made(ids).logits, made(ids).logits)
    assert not torch.equal(made.train()(ids).logits, made(ids).logits)


@torch.no_grad()
def test_under_bf16_it_says_nearly_what_it_says_in_fp32() -> None:
    made = model(rope_scaling=LONG)
    batch = packed(ROWS, torch.device("cpu"))
    exact, weight = causal.loss(made, batch, tiny.resolved())
    with torch.autocast("cpu", torch.bfloat16):
        near, _ = causal.loss(made, batch, tiny.resolved())
    halved, _ = causal.loss(made.bfloat16(), batch, tiny.resolved())
    assert float(near) / weight == pytest.approx(float(exact) / weight, rel=0.02)
    assert float(halved) / weight == pytest.approx(float(exact) / weight, rel=0.02)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"hidden_act": "silu"}, "gegelu"),
        ({"ff_dim_multiplier": 4}, "ff_intermediate_size"),
        ({"num_key_value_heads": 5}, "num_key_value_heads"),
        ({"rope_position_scale": 2.0}, "rope_position_scale"),
        ({"rope_scaling": {"type": "yarn"}}, "su or longrope"),
        ({"rope_scaling": {"type": "su", "short_factor": [1.0], "long_factor": [1.0]}}, "must have 64 numbers"),
        ({"rope_scaling": {"type": "su", "short_factor": [1.0] * 64, "long_factor": [1.0] * 64}}, "original_max"),
    ],
)
def test_a_config_whose_meaning_is_not_known_is_refused(changes: dict[str, Any], told: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(PUBLISHED | changes))
    with pytest.raises(ModelUnsupported, match=told):
        read_config(tmp_path)
