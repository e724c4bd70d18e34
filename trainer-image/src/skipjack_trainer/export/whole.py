"""The model with what was learnt in its weights, on disk in fp32: what every other form is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from skipjack.api.v1alpha1.compute import Precision
from skipjack.api.v1alpha1.method import MethodType
from skipjack.resolve import ResolvedSpec

from ..data.templates import bared, dressed
from ..errors import ExportFailed
from ..model import alone, load_model, load_tokenizer, read_config
from ..shape import Head
from .merge import adapted
from .samples import Inputs, Said, difference, said

CLOSE = 1e-3
SHARD = "2GB"
CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Whole:
    folder: Path
    """With its tokenizer."""
    config: Any
    tokenizer: Any
    spec: ResolvedSpec
    head: Head
    dtype: torch.dtype
    """In which the base model's publisher holds its weights."""
    samples: list[Inputs]
    said: list[Said]
    """By the model as it was trained, in fp32."""

    def load(self) -> Any:
        return load_stored(self.folder, self.head)


def load_stored(folder: Path, head: Head) -> Any:
    """A whole model, in fp32."""
    import transformers

    attend = alone(read_config(folder))
    return getattr(transformers, head.loader).from_pretrained(folder, dtype=torch.float32, attn_implementation=attend)


def make_whole(
    base: Path, stored: Path, spec: ResolvedSpec, head: Head, samples: Sequence[Inputs], into: Path
) -> Whole:
    """`base`: the folder of the base model, `stored`: that of what was trained. Needs 4 bytes a parameter, in memory and on disk.

    Raises ExportFailed where the merged model says something else than the base with its adapter.
    """
    template = spec.dataset.chat_template
    tokenizer = bared(dressed(load_tokenizer(base), template), template)
    if spec.method.type is MethodType.FULL:
        merged = load_stored(stored, head)
        rows = begun(samples, merged.config)
        before = after = said(merged, rows, head)
    else:
        model = adapted(load_base(base, stored, spec, head), stored)
        rows = begun(samples, model.config)
        before = said(model, rows, head)
        merged = model.merge_and_unload()
        after = said(merged, rows, head)
    far = difference(before, after)
    if not (far.greatest <= CLOSE or far.share <= CLOSE):
        raise ExportFailed(
            f"output.formats: the merged model differs by {far.greatest:.3g} in its logits from the base model with its adapter, more than {CLOSE:g}."
        )
    if template:
        # Its turns end by a token of their own.
        merged.generation_config.eos_token_id = tokenizer.eos_token_id
    merged.config.dtype = torch.float32
    merged.save_pretrained(into, max_shard_size=SHARD)
    tokenizer.save_pretrained(into)
    return Whole(into, merged.config, tokenizer, spec, head, dtype_of(base), rows, before)


def load_base(base: Path, stored: Path, spec: ResolvedSpec, head: Head) -> Any:
    """The model that the adapter was trained on, as the adapter's own config.json tells where its head is new."""
    exact = spec.deciding({"compute.precision": (Precision.FP32, "exports"), "dataset.packing": (False, "exports")})
    if not head.is_new:
        return load_model(base, exact, CPU, head)
    config = read_config(stored)
    labels = [config.id2label[number] for number in sorted(config.id2label)]
    model = load_model(base, exact, CPU, head, labels)
    model.config.problem_type, model.config.pad_token_id = config.problem_type, config.pad_token_id
    return model


def begun(samples: Sequence[Inputs], config: Any) -> list[Inputs]:
    """The samples, with targets one token later: behind what a model of sequences begins with."""
    start = getattr(config, "decoder_start_token_id", None)
    return [
        sample | {"decoder_input_ids": [start, *sample["decoder_input_ids"][:-1]]}
        if "decoder_input_ids" in sample
        else sample
        for sample in samples
    ]


def dtype_of(folder: Path) -> torch.dtype:
    """That of its first matrix."""
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, "pt") as weights:
            for name in weights.keys():  # noqa: SIM118 -- no dictionary
                if (tensor := weights.get_tensor(name)).is_floating_point() and tensor.dim() > 1:
                    return tensor.dtype
    return torch.float32
