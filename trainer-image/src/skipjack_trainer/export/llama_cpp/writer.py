"""Writes a GGUF file, with one tensor in memory at a time."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter
from safetensors import safe_open

from ...errors import ModelUnsupported
from .families import FAMILIES, Family, context_of, settings
from .vocabulary import write_vocabulary

TYPES: dict[str, tuple[GGMLQuantizationType, gguf.LlamaFileType]] = {
    "F32": (GGMLQuantizationType.F32, gguf.LlamaFileType.ALL_F32),
    "F16": (GGMLQuantizationType.F16, gguf.LlamaFileType.MOSTLY_F16),
    "BF16": (GGMLQuantizationType.BF16, gguf.LlamaFileType.MOSTLY_BF16),
    "Q8_0": (GGMLQuantizationType.Q8_0, gguf.LlamaFileType.MOSTLY_Q8_0),
}
"""Of matrices, and what a file is called that has most of its matrices so."""


def write(model: Path, config: Any, tokenizer: Any, quantization: str, name: str, file: Path) -> None:
    """`model`: the folder of the model's safetensors; `config`: transformers'. Raises ModelUnsupported."""
    logging.getLogger("gguf").setLevel(logging.WARNING)
    family, (kind, file_type) = FAMILIES[config.model_type], TYPES[quantization]
    writer = GGUFWriter(file, gguf.MODEL_ARCH_NAMES[family.arch])
    writer.add_type("model")
    writer.add_name(name)
    writer.add_file_type(file_type)
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    settings(writer, config, context_of(config))
    family.describe(writer, config)
    write_vocabulary(writer, tokenizer, config.vocab_size)
    names = gguf.get_tensor_name_map(family.arch, config.num_hidden_layers)
    beside = family.beside(config)
    for name, shape in [*((name, tensor.shape) for name, tensor in beside.items()), *shapes(model)]:
        there = name if name in beside else names.get_name(name, (".weight", ".bias"))
        if there is None:
            raise ModelUnsupported(f"output.formats: GGUF has no place for {name} of a {config.model_type}.")
        stored = gguf.quant_shape_to_byte_shape(shape, type_of(shape, kind))
        writer.add_tensor_info(there, stored, np.dtype(np.uint8), math.prod(stored), type_of(shape, kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor in beside.values():
        writer.write_tensor_data(tensor)
    for tensor in changed(model, family, config):
        writer.write_tensor_data(gguf.quants.quantize(tensor, type_of(tensor.shape, kind)))
    writer.close()


def type_of(shape: tuple[int, ...], kind: GGMLQuantizationType) -> GGMLQuantizationType:
    """What is no matrix stays in fp32, as llama.cpp has it; a matrix whose rows are no whole blocks is in 16 bits."""
    if len(shape) == 1:
        return GGMLQuantizationType.F32
    block, _ = gguf.GGML_QUANT_SIZES[kind]
    return kind if shape[-1] % block == 0 else GGMLQuantizationType.F16


def shapes(model: Path) -> Iterator[tuple[str, tuple[int, ...]]]:
    for file in sorted(model.glob("*.safetensors")):
        with safe_open(file, "np") as stored:
            for name in stored.keys():  # noqa: SIM118 -- no dictionary
                yield name, tuple(stored.get_slice(name).get_shape())


def changed(model: Path, family: Family, config: Any) -> Iterator[np.ndarray]:
    """Each tensor as llama.cpp has it, in the order of `shapes`, fp32."""
    for file in sorted(model.glob("*.safetensors")):
        with safe_open(file, "pt") as stored:
            for name in stored.keys():  # noqa: SIM118 -- no dictionary
                yield family.change(name, stored.get_tensor(name).float().numpy(), config)
