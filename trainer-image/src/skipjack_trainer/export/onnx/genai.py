"""Causal models as onnxruntime-genai generates with them: its own builder writes the graph, with what was said so far kept between tokens."""

from __future__ import annotations

import contextlib
import io
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from ...errors import ExportFailed
from ...shape import Head
from ..samples import Difference, difference, judged
from ..whole import Whole
from .quiet import without_logs

FAMILIES = ("gemma", "gemma2", "llama", "mistral", "phi3", "qwen2", "qwen3")
"""By `model_type`: those of the builder's that are tried here."""
OPTIONS = ("hf_token=false", "hf_remote=false", "windowed_kv_cache=false")
"""Never from the hub; and with all tokens kept, since prompts longer than a window fail where only that is kept."""
MIXED = ("matmul_mixed_precision=mixed_layers:int8",)
"""The layers that suffer most stay in 8 bits: of SmolLM2 that keeps twice as many of the likeliest words, for an eighth more bytes."""
PROMPT_TOKENS, ANSWER_TOKENS = 16, 12
SURE = 1e-2
"""Of two tokens whose logits are closer than that, either may come next."""
ROPES = {"default", "llama3", "longrope", "linear", "yarn"}


def builds(config: Any, head: Head) -> bool:
    return head is Head.NEXT_TOKEN and config.model_type in FAMILIES


def refusal(config: Any) -> str | None:
    kind = config.rope_parameters.get("rope_type", "default")
    return (
        None
        if kind in ROPES
        else f"its positions are scaled by {kind}, which onnxruntime-genai doesn't build; choose Merged"
    )


def write(whole: Whole, precision: str, folder: Path) -> None:
    """`precision`: fp32 or int4, as the builder calls them. It reads the model from disk, and never from the hub."""
    from onnxruntime_genai.models import builder

    with TemporaryDirectory(dir=whole.folder.parent) as scratch, quietly():
        source = str(usual(whole, Path(scratch) / "model"))
        where = (whole.spec.job_name, source, str(folder), precision, "cpu", f"{scratch}/cache")
        options = builder.parse_extra_options(*where, [*OPTIONS, *(MIXED if precision == "int4" else ())])
        builder.create_model(*where, **options)


def usual(whole: Whole, folder: Path) -> Path:
    """The model's folder, as the builder reads it: of a Phi-3 it looks for how positions are turned where transformers wrote it before."""
    told = json.loads((whole.folder / "config.json").read_text())
    if told["model_type"] == "phi3":
        rope = told["rope_parameters"]
        rope["type"] = rope.get("rope_type", "default")
        own = told["max_position_embeddings"]
        told["original_max_position_embeddings"] = rope.get("original_max_position_embeddings", own)
    if told["model_type"] in ("mistral", "phi3") and told.get("sliding_window"):
        told["layer_types"] = ["sliding_attention"] * told["num_hidden_layers"]
    folder.mkdir()
    for file in whole.folder.iterdir():
        (folder / file.name).symlink_to(file)
    (folder / "config.json").unlink()
    (folder / "config.json").write_text(json.dumps(told))
    return folder


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """The builder tells of every tensor."""
    said = io.StringIO()
    with without_logs(logging.ERROR), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        yield


def differs(whole: Whole, folder: Path, is_exact: bool) -> Difference:
    """Row by row. Raises ExportFailed where it answers otherwise, if it `is_exact`."""
    import onnxruntime_genai

    model = onnxruntime_genai.Model(str(folder))
    told = []
    for sample in whole.samples:
        generator = generate(model, sample["input_ids"], 1)
        told.append([judged(generator.get_output("logits")[0], sample, whole.head)])
    prompt = whole.samples[-1]["input_ids"][:PROMPT_TOKENS]
    answering = generate(model, prompt, ANSWER_TOKENS)
    for _ in range(ANSWER_TOKENS):
        if not answering.is_done():
            answering.generate_next_token()
    if is_exact:
        refuse_other_answer(whole, len(prompt), answering.get_sequence(0).tolist())
    return difference(whole.said, told)


def generate(model: Any, ids: Sequence[int], more: int) -> Any:
    """A generator that has read the tokens, and goes on with the likeliest."""
    import onnxruntime_genai

    settings = onnxruntime_genai.GeneratorParams(model)
    settings.set_search_options(max_length=len(ids) + more, do_sample=False)
    generator = onnxruntime_genai.Generator(model, settings)
    generator.append_tokens(np.array(ids, np.int32))
    return generator


@torch.no_grad()
def refuse_other_answer(whole: Whole, asked: int, ids: Sequence[int]) -> None:
    """Raises ExportFailed where a token behind the first `asked` isn't the likeliest by torch."""
    logits = whole.load().eval()(torch.tensor([list(ids)])).logits[0]
    for place in range(asked, len(ids)):
        before = logits[place - 1]
        if before.max() - before[ids[place]] > SURE:
            raise ExportFailed(
                f"output.formats: ONNX Runtime goes on with token {ids[place]} where torch does with {int(before.argmax())} (token {place})."
            )
