"""One pass of a model as a graph, traced by torch: texts of any length, any number at a time. Sequence-to-sequence models are two graphs."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...shape import Head
from ..samples import Difference, Said, difference, given, judged, outputs_of, together
from ..whole import Whole
from .quiet import without_logs

TRACED = (2, 8)
"""Texts and tokens of the pass that is traced; neither may be 1, which would be taken to be always so."""
STATES = "encoder_hidden_states"


@dataclass(frozen=True, slots=True)
class Part:
    """A graph: what it takes, and what it says."""

    name: str
    module: torch.nn.Module
    inputs: dict[str, torch.Tensor]
    outputs: tuple[str, ...]


class Pass(torch.nn.Module):
    """A model that takes its inputs by name and says its outputs alone."""

    def __init__(self, model: Any, outputs: tuple[str, ...], **always: Any) -> None:
        super().__init__()
        self.model, self.outputs, self.always = model.eval(), outputs, always

    def forward(self, **inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        out = self.model(**inputs, **self.always)
        return tuple(out[name] for name in self.outputs)


class Decoding(torch.nn.Module):
    """A model of sequences, behind its encoder."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model.eval()

    def forward(self, **inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        states = inputs.pop(STATES)
        return (self.model(encoder_outputs=(states,), use_cache=False, **inputs).logits,)


def parts_of(model: Any, head: Head, names: Sequence[str]) -> list[Part]:
    """`names`: of what it is given."""
    inputs = {name: torch.ones(TRACED, dtype=torch.int64) for name in names}
    if head is not Head.OTHER_SEQUENCE:
        inputs = {name: ids * (name != "token_type_ids") for name, ids in inputs.items()}
        always = {"use_cache": False} if getattr(model.config, "use_cache", None) is not None else {}
        return [Part("model", Pass(model, outputs_of(head), **always), inputs, outputs_of(head))]
    target = inputs.pop("decoder_input_ids")[:, :-2]
    states = {STATES: torch.zeros(*TRACED, model.config.hidden_size)}
    behind = {"decoder_input_ids": target, "attention_mask": inputs["attention_mask"]} | states
    return [
        Part("encoder", Pass(model.get_encoder(), ("last_hidden_state",)), inputs, (STATES,)),
        Part("decoder", Decoding(model), behind, ("logits",)),
    ]


def write(whole: Whole, folder: Path) -> None:
    names = given(whole.samples[0])
    for part in parts_of(whole.load(), whole.head, list(names)):
        with without_logs(logging.WARNING), warnings.catch_warnings(action="ignore"), torch.no_grad():
            program = torch.onnx.export(
                part.module,
                (),
                kwargs=part.inputs,
                dynamic_shapes={"inputs": {name: axes(name) for name in part.inputs}},
                input_names=list(part.inputs),
                output_names=list(part.outputs),
                dynamo=True,
                verbose=False,
            )
            assert program is not None, "dynamo makes one"
            program.save(folder / f"{part.name}.onnx", external_data=True)
    whole.tokenizer.save_pretrained(folder)
    whole.config.save_pretrained(folder)


def axes(name: str) -> dict[int, str]:
    return {0: "batch", 1: "target" if name.startswith("decoder") else "length"}


def differs(whole: Whole, folder: Path) -> Difference:
    """Row by row, and all rows as one batch."""
    graphs = {file.stem: opened(file) for file in folder.glob("*.onnx")}
    alone = [said_of(graphs, given(sample), whole)[0] for sample in whole.samples]
    padding = whole.config.pad_token_id
    batch = together(whole.samples, padding if padding is not None else 0)
    return difference([*whole.said, *whole.said], [*alone, *said_of(graphs, batch, whole)])


def said_of(graphs: Mapping[str, Any], inputs: dict[str, torch.Tensor], whole: Whole) -> list[Said]:
    """What ONNX Runtime says of each row of a batch. Its length tells which of the samples they are."""
    told = {name: tensor.numpy() for name, tensor in inputs.items()}
    if whole.head is Head.OTHER_SEQUENCE:
        (states,) = ran(graphs["encoder"], told)
        outputs = ran(graphs["decoder"], told | {STATES: states})
    else:
        outputs = ran(graphs["model"], told)
    rows = whole.samples if len(outputs[0]) > 1 else [{name: tensor[0].tolist() for name, tensor in inputs.items()}]
    return [[judged(output[number], row, whole.head) for output in outputs] for number, row in enumerate(rows)]


def opened(file: Path) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])


def ran(session: Any, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    told: list[np.ndarray] = session.run(None, {each.name: inputs[each.name] for each in session.get_inputs()})
    return told
