"""What a task measures once on the untouched base, before a method is attached: the reference of preference losses.

Switching an adapter off would not do: PiSSA and OLoRA change the base. No second model is held. What was measured is kept on the
scratch volume under a digest of all that decides it; another pod measures the same again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from skipjack.resolve import ResolvedSpec

from ..data.example import Examples
from ..in_turn import in_turn
from ..tasks import Recipe, Subject
from ..tasks.base import REFERENCE, Survey
from .batches import chunks, grouped
from .objective import autocast
from .peers import Peers


def refer(
    base: Any, recipe: Recipe, spec: ResolvedSpec, examples: Examples, device: torch.device, peers: Peers, kept: Path
) -> Examples:
    """The examples, each with its reference beside it where the recipe measures one. `kept`: a folder of this pod."""
    survey = recipe.reference(spec)
    if survey is None or not len(examples):
        return examples
    file = kept / f"{key_of(base, spec, examples)}.npy"
    known = np.load(file, mmap_mode="r") if file.is_file() else None
    # Another pod of the gang may not have it: then all measure, each its share.
    if not all(peers.everyones(known is not None)):
        known = _measured(base, survey, spec, examples, device, peers)
        with in_turn(kept):
            aside = file.with_suffix(".part")
            with aside.open("wb") as out:
                np.save(out, known)
            aside.rename(file)
    assert known is not None, "everyone has it, or it was measured"
    return examples.with_beside(REFERENCE, known)


@torch.no_grad()
def _measured(
    base: Any, survey: Survey, spec: ResolvedSpec, examples: Examples, device: torch.device, peers: Peers
) -> NDArray[np.float32]:
    """fp32 [n, k]. The same for every number of ranks: each measures every world-th micro-batch."""
    base.eval()
    subject = Subject(base, None, spec, (), device, lambda: autocast(spec, device))
    measured = []
    with layer_by_layer(base, device):
        for indices in chunks(range(len(examples))):
            groups = grouped(examples, indices, spec, base.config)
            mine = [
                (members, survey(subject, [examples[index] for index in members]))
                for members in groups[peers.rank :: peers.world]
            ]
            everyones = [told for part in peers.everyones(mine) for told in part]
            values = np.empty((len(indices), everyones[0][1].shape[1]), np.float32)
            for members, told in everyones:
                values[np.array(members) - indices[0]] = told
            measured.append(values)
    return np.concatenate(measured)


@contextmanager
def layer_by_layer(model: torch.nn.Module, device: torch.device) -> Iterator[None]:
    """Within it a model that lies in the host's memory, since the device needn't hold it whole (ZeRO-3), computes on the device."""
    if all(parameter.device == device for parameter in model.parameters()):
        yield
        return
    kept: dict[torch.nn.Module, tuple[dict[str, Any], dict[str, Any]]] = {}

    def bring(module: torch.nn.Module, _: Any) -> None:
        kept[module] = dict(module._parameters), dict(module._buffers)
        for name, parameter in module.named_parameters(recurse=False):
            module._parameters[name] = torch.nn.Parameter(parameter.to(device), requires_grad=False)
        for name, buffer in module.named_buffers(recurse=False):
            module._buffers[name] = buffer.to(device)

    def take_away(module: torch.nn.Module, _: Any, __: Any) -> None:
        parameters, buffers = kept.pop(module)
        module._parameters.update(parameters)
        module._buffers.update(buffers)

    handles = []
    for module in model.modules():
        handles += [module.register_forward_pre_hook(bring), module.register_forward_hook(take_away)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def key_of(base: Any, spec: ResolvedSpec, examples: Examples) -> str:
    """Of all that decides what is measured: weights by their files, examples by their content, and the arithmetic."""
    files = sorted(Path(base.name_or_path).glob("*.safetensors"))
    told = {
        "start": spec.start_from and spec.start_from.model_dump(mode="json"),
        "model": [spec.model.uri, *([file.name, file.stat().st_size, file.stat().st_mtime_ns] for file in files)],
        "base": [str(base.dtype), spec.method.quantization and spec.method.quantization.model_dump(mode="json")],
        "examples": examples.fingerprint(),
        "max_length": spec.hyperparameters.max_length,
        "arithmetic": [spec.compute.precision, spec.dataset.packing, spec.compute.micro_batch_tokens],
        "libraries": [version(name) for name in ("torch", "transformers")],
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
