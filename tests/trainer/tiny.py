"""Tiny random models, and pods to train them in: everything a test of the trainer needs, made in a temporary folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tests.builders import catalogue, node_type, spec
from tokenizers import Tokenizer, decoders
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from skipjack.resolve import Predecessor, ResolvedSpec, resolve_spec
from skipjack_trainer.models.phi3small import register
from skipjack_trainer.shape import ModelFacts, Shape

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "phi3", "phi3small", "gemma", "gpt2")
SIZES: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 2,
    "head_dim": 16, "max_position_embeddings": 256, "n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 256,
    "d_model": 32, "d_kv": 16, "d_ff": 64, "num_layers": 2, "num_heads": 2, "decoder_start_token_id": 0,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0,
    "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "dropout_rate": 0.0,
}  # fmt: skip
FACTS = ModelFacts(Shape.DECODER, 256, can_pack=True)
PHI3SMALL: dict[str, Any] = {
    "hidden_size": 32, "ff_intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "max_position_embeddings": 256, "blocksparse_block_size": 4, "blocksparse_num_local_blocks": 2, "blocksparse_vert_stride": 4,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "embedding_dropout_prob": 0.0, "ffn_dropout_prob": 0.0, "mup_width_multiplier": 1.0,
}  # fmt: skip
LONG_ROPE: dict[str, Any] = {
    "rope_type": "longrope", "rope_theta": 10000.0, "short_factor": [1.0, 1.1, 1.2, 1.3, 1.5, 1.8, 2.0, 2.5],
    "long_factor": [1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 12.0, 16.0], "original_max_position_embeddings": 16,
}  # fmt: skip
PHI3: dict[str, dict[str, Any]] = {
    "phi-3-mini-4k": {"sliding_window": 8},
    "phi-3-mini-128k": {"rope_parameters": LONG_ROPE, "original_max_position_embeddings": 16},
    "phi-3-medium-4k": {"sliding_window": 8, "num_key_value_heads": 1},
    "phi-3-medium-128k": {
        "rope_parameters": LONG_ROPE,
        "original_max_position_embeddings": 16,
        "num_key_value_heads": 1,
    },
}
"""The family phi3 in the shapes of its published models."""


def tokenizer(template: str | None = CHATML) -> PreTrainedTokenizerFast:
    """A byte-level BPE with ChatML's special tokens."""
    words = Tokenizer(BPE())
    words.pre_tokenizer = ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    trainer = BpeTrainer(
        vocab_size=400,
        special_tokens=["<pad>", "<s>", "</s>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=ByteLevel.alphabet(),
    )
    words.train_from_iterator(["user assistant system hello world the light is red"], trainer)
    made = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", bos_token="<s>", eos_token="<|im_end|>")
    made.chat_template = template
    return made


def model(family: str = "llama", seed: int = 0, head: Any = AutoModelForCausalLM, **changes: Any) -> Any:
    """`changes` are to its config."""
    register()
    kind = "phi3" if family in PHI3 else family
    sizes = PHI3SMALL if family == "phi3small" else SIZES | PHI3.get(family, {})
    torch.manual_seed(seed)
    config = AutoConfig.for_model(kind, **{"vocab_size": 400} | sizes | changes)
    return head.from_config(config, attn_implementation="sdpa").float()


def chats(rows: int) -> list[dict[str, Any]]:
    return [
        {
            "messages": [
                {"role": "user", "content": f"light {n} {'please ' * (n % 5)}"},
                {"role": "assistant", "content": f"the light {n % 7} is red"},
            ]
        }
        for n in range(rows)
    ]


def resolved(before: Predecessor | None = None, uid: str = "uid-1", **changes: Any) -> ResolvedSpec:
    usual: dict[str, Any] = {
        "model": "pvc://models/base",
        "dataset": {
            "train": [{"uri": "configmap://data/train.jsonl"}],
            "validation": [{"uri": "configmap://data/held.jsonl"}],
        },
        "output": {"uri": "pvc://models/out"},
        "hyperparameters": {"maxSteps": 6, "globalBatchSize": 4, "learningRate": 0.01},
        "checkpoint": {"everySteps": 2},
        "compute": {"precision": "FP32", "microBatchTokens": 96},
    }
    kind = node_type(default=True, precisions=["FP32", "BF16", "FP16"])
    return resolve_spec(spec(**(usual | changes)), "job", "team", uid, catalogue(kind), before)


def furnish(
    root: Path, told: ResolvedSpec, rows: Sequence[dict[str, Any]] | None = None, family: str = "llama"
) -> Path:
    """A pod's file system below `root`: model, data, spec."""
    base = root / "mnt/claims/models/base"
    if not base.exists():
        model(family).save_pretrained(base)
        tokenizer().save_pretrained(base)
    data = root / "mnt/configmaps/data"
    data.mkdir(parents=True, exist_ok=True)
    (data / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in (chats(24) if rows is None else rows)))
    (data / "held.jsonl").write_text("".join(json.dumps(row) + "\n" for row in chats(6)))
    place = root / "etc/skipjack/podinfo/resolved-spec"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(told.model_dump_json())
    (root / "scratch").mkdir(exist_ok=True)
    return root


def start(root: Path, **environment: str) -> subprocess.Popen[str]:
    """`python -m skipjack_trainer` in the pod at `root`."""
    paths = os.pathsep.join(path for path in sys.path if path)
    known = os.environ | {
        "SKIPJACK_ROOT": str(root),
        "PYTHONPATH": paths,
        "OMP_NUM_THREADS": "1",
        "MPLCONFIGDIR": str(root / "scratch"),
    }
    return subprocess.Popen(
        [sys.executable, "-m", "skipjack_trainer"],
        env=known | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def last_word(root: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((root / "dev/termination-log").read_text())
    return told


def curve(root: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (root / "mnt/claims/models/out/metrics.jsonl").read_text().splitlines()]
