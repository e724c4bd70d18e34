"""Methods that learn virtual tokens before the text: prefix tuning, prompt tuning, p-tuning."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from skipjack.resolve import ResolvedSpec

from ..model import load_tokenizer
from .adapt import adapt
from .base import Method


def attach_prefix(model: Any, spec: ResolvedSpec) -> Any:
    from peft import PrefixTuningConfig

    settings = spec.method.prompt
    assert settings is not None, "resolve_spec settles it"
    config = PrefixTuningConfig(
        num_virtual_tokens=settings.virtual_tokens,
        prefix_projection=settings.projection,
        encoder_hidden_size=settings.hidden_size,
    )
    return adapt(model, config, spec)


def attach_prompt(model: Any, spec: ResolvedSpec) -> Any:
    """Virtual tokens that begin as words of the vocabulary: those of initText over and over, or else any."""
    from peft import PromptTuningConfig

    settings = spec.method.prompt
    assert settings is not None, "resolve_spec settles it"
    config = PromptTuningConfig(num_virtual_tokens=settings.virtual_tokens, prompt_tuning_init="SAMPLE_VOCAB")
    adapted = adapt(model, config, spec)
    if settings.init_text:
        words = load_tokenizer(Path(model.name_or_path))(settings.init_text, add_special_tokens=False)["input_ids"]
        learnt = adapted.prompt_encoder["default"].embedding.weight
        begun = torch.tensor([words[n % len(words)] for n in range(len(learnt))], device=learnt.device)
        learnt.data = model.get_input_embeddings()(begun).detach().float()
    return adapted


def attach_p_tuning(model: Any, spec: ResolvedSpec) -> Any:
    from peft import PromptEncoderConfig

    settings = spec.method.prompt
    assert settings is not None, "resolve_spec settles it"
    config = PromptEncoderConfig(num_virtual_tokens=settings.virtual_tokens, encoder_hidden_size=settings.hidden_size)
    return adapt(model, config, spec)


@contextmanager
def untouched(model: Any) -> Iterator[None]:
    if hasattr(model.get_base_model(), "prepare_inputs_for_generation"):
        with model.disable_adapter():
            yield
        return
    # Of models that generate nothing PEFT would put aside what they don't have.
    tuned, model.forward = model.forward, model.get_base_model().forward
    try:
        yield
    finally:
        model.forward = tuned


PREFIX_TUNING = Method(attach_prefix, untouched=untouched)
PROMPT_TUNING = Method(attach_prompt, untouched=untouched)
P_TUNING = Method(attach_p_tuning, untouched=untouched)
