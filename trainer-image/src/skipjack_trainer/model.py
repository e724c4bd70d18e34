"""Fetching and loading the base model."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import torch

from skipjack.api.v1alpha1.compute import Precision, Strategy
from skipjack.api.v1alpha1.method import MethodType
from skipjack.resolve import ResolvedSpec

from .diffusion.diffuser import load_pipeline
from .diffusion.pipeline import INDEX, PipelineConfig, is_pipeline, read_pipeline
from .errors import ModelNotFound, ModelUnsupported, of_a_model
from .fast import attention
from .models import make_known, own_tokenizer
from .quantize import configuration, keep_trainable
from .shape import NEW_HEADS, Head, ModelFacts, Shape
from .storage import Access, bring, open_store
from .weights import BESIDE_WEIGHTS, lacking, used_of, weights_of

DTYPES: dict[Precision, torch.dtype] = {Precision.BF16: torch.bfloat16, Precision.FP16: torch.float16}
"""Of the forward pass, where it is less than fp32."""

PACKS = frozenset({"gemma", "llama", "mistral", "phi3", "phi3small", "qwen2", "qwen3"})
"""Families (`model_type`) for which a test holds that packed rows don't see each other."""

PACKS_BY_SEGMENTS = PACKS - {"phi3small"}
"""Those whose attention is transformers' interface. Others tell packed rows apart by themselves."""

PLAIN_HEADS = PACKS_BY_SEGMENTS | {"gpt2"}
"""Families for which a test holds that logits are the last hidden states times the head's weight: not scaled, not capped."""


COUNTS_FROM_PADDING = frozenset(
    {"camembert", "longformer", "mpnet", "roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl"}
)
"""Encoders whose first position has the number behind padding's: they read fewer tokens than they have positions."""


@of_a_model()
def fetch_model(spec: ResolvedSpec, access: Access) -> tuple[Path, ResolvedSpec]:
    """The folder of the model on this machine, and the spec with the commit that was read: later attempts go on with that one,
    wherever its branch has moved. Raises ModelNotFound, ModelUnsupported, AccessDenied."""
    store, path = open_store(spec.model.uri, access)
    here = store.local(path)
    if here is not None:
        folder = here
    else:
        folder = access.scratch / "model"
        prefix = f"{path}/" if path else ""
        there = {entry.path.removeprefix(prefix): entry for entry in store.list(prefix)}
        used = sorted(used_of(there))
        bring(store, [there[name] for name in used if name.endswith(BESIDE_WEIGHTS)], folder)
        folder = folder / path
        for part, names in groupby(used, lambda name: name.rpartition("/")[0]):
            wanted = weights_of(folder / part, [name.rpartition("/")[2] for name in names])
            bring(store, [there[f"{part}/{name}".lstrip("/")] for name in sorted(wanted)], access.scratch / "model")
    if not any((folder / name).is_file() for name in ("config.json", INDEX)):
        raise ModelNotFound(f"{spec.model.uri}: there is no model in it (config.json is missing): check the path.")
    if (part_without := lacking(folder)) is not None:
        raise ModelUnsupported(
            f"{spec.model.uri} has no safetensors weights{f' of its {part_without}' if part_without else ''}; pickled ones could run "
            "code and are never loaded: convert it."
        )
    pinned = store.pinned(spec.model.uri)
    if pinned != spec.model.uri:
        spec = spec.deciding({"model.uri": (pinned, "the commit that was read first")})
    return folder, spec


def load_tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    try:
        if is_pipeline(folder):
            tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer", trust_remote_code=False)
        else:
            make_known(folder)
            tokenizer = own_tokenizer(folder) or AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise ModelUnsupported(f"its tokenizer can't be loaded: {error}") from error
    if not tokenizer.is_fast:
        raise ModelUnsupported(
            "its tokenizer has no fast version (tokenizer.json), which tells where each token stands in the text."
        )
    return tokenizer


def read_config(folder: Path) -> Any:
    from transformers import AutoConfig

    if is_pipeline(folder):
        return read_pipeline(folder)
    try:
        make_known(folder)
        return AutoConfig.from_pretrained(folder, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise ModelUnsupported(f"its architecture is not one that transformers knows: {error}") from error


def facts_of(config: Any) -> ModelFacts:
    if isinstance(config, PipelineConfig):
        return config.facts
    context = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
    if context and config.model_type in COUNTS_FROM_PADDING:
        context -= config.pad_token_id + 1
    return ModelFacts(shape_of(config), context, config.model_type in PACKS)


def shape_of(config: Any) -> Shape:
    """By the class that its publisher saved: BERT may be either, and is an encoder unless it was saved as something else."""
    if config.is_encoder_decoder:
        return Shape.ENCODER_DECODER
    known = (config.architectures or [""])[0]
    return Shape.DECODER if known.endswith(("ForCausalLM", "LMHeadModel")) else Shape.ENCODER


def turns_otherwise_beyond(config: Any) -> int | None:
    """Length of examples beyond which transformers' LongRoPE turns a whole forward pass by other angles, the shorter examples in it
    too: on either side of it examples are kept out of each other's micro-batches. Ours (phi3small) goes by each example's own length."""
    rope = getattr(config, "rope_parameters", None) or {}
    limit: int | None = rope.get("original_max_position_embeddings") if rope.get("rope_type") == "longrope" else None
    return limit


def load_model(
    folder: Path,
    spec: ResolvedSpec,
    device: torch.device,
    head: Head = Head.NEXT_TOKEN,
    labels: Sequence[str] = (),
) -> Any:
    """The model with that head on it. A frozen base is in the precision of the forward pass, or quantised; weights that are trained are fp32 masters."""
    import transformers
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    frozen = spec.method.type is not MethodType.FULL
    dtype = DTYPES.get(spec.compute.precision, torch.float32) if frozen else torch.float32
    if head is Head.NOISE:
        return load_pipeline(folder, DTYPES.get(spec.compute.precision, torch.float32), dtype, device)
    quantization = spec.method.quantization
    attend = attention_of(spec, read_config(folder))
    how: dict[str, Any] = {"dtype": dtype, "attn_implementation": attend, "trust_remote_code": False}
    if quantization:
        heads = sorted(NEW_HEADS) if head.is_new else ()
        how |= {"quantization_config": configuration(quantization, dtype, heads), "device_map": {"": device}}
    if labels:
        how |= {"id2label": dict(enumerate(labels)), "label2id": {label: index for index, label in enumerate(labels)}}
    if head.is_new:
        # One that is there already is kept where it has as many labels, else made anew: by the seed, the same on every rank.
        how["ignore_mismatched_sizes"] = True
        torch.manual_seed(spec.hyperparameters.seed)
    try:
        make_known(folder)
        model = getattr(transformers, head.loader).from_pretrained(folder, **how)
    except (OSError, ValueError, KeyError) as error:
        raise ModelUnsupported(f"it can't be loaded by {head.loader}: {error}") from error
    if quantization:
        return keep_trainable(model)
    # Sharing weights out moves them one by one: all of them needn't fit on a device.
    return model if spec.compute.strategy is Strategy.ZERO3 else model.to(device)


def recomputing(model: Any) -> Any:
    """The model with activations computed again in the backward pass instead of kept; its losses and gradients stay the same."""
    # Reentrant checkpoints would lose the gradients behind a frozen embedding, and run no backward hooks where ZeRO needs them.
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return model


def attention_of(spec: ResolvedSpec, config: Any) -> str:
    """The attention that a job's rows need, by the name that transformers knows it by."""
    return attention.register() if spec.dataset.packing and config.model_type in PACKS_BY_SEGMENTS else "sdpa"


def head_of(model: Any) -> tuple[torch.nn.Module, torch.nn.Linear] | None:
    """(all before the output head, the head), where logits are nothing but their product and both can be had: not with an adapted or
    a partitioned head, nor where prompts are learnt, nor in fp16, whose gradients need the loss's scale from the start."""
    adapter = getattr(model, "active_peft_config", None)
    if adapter is not None and adapter.is_prompt_learning:
        return None
    base = model.get_base_model() if adapter is not None else model
    if getattr(getattr(base, "config", None), "model_type", None) not in PLAIN_HEADS:
        return None
    head = base.get_output_embeddings()
    if type(head) is not torch.nn.Linear or head.bias is not None or hasattr(head.weight, "ds_id"):
        return None
    kind = head.weight.device.type
    if torch.is_autocast_enabled(kind) and torch.get_autocast_dtype(kind) is torch.float16:
        return None
    return getattr(base, base.base_model_prefix), head


def keeps_logits(model: Any) -> bool:
    """Whether its forward takes `logits_to_keep`: then logits are made only where a label is."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    return "logits_to_keep" in inspect.signature(base.forward).parameters
