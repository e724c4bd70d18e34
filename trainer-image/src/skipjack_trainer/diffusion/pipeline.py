"""What a pipeline's folder says of itself."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ModelUnsupported
from ..shape import ModelFacts, PictureFacts, Shape

INDEX = "model_index.json"
SUPPORTED = ("StableDiffusionPipeline",)
"""Classes of pipelines, as their index names them: Stable Diffusion 1 and 2."""
PARTS = ("scheduler", "text_encoder", "tokenizer", "unet", "vae")
"""Folders of what is used of a pipeline: no safety checker, which learns nothing."""
WEIGHTY = ("text_encoder", "unet", "vae")
PREDICTS = ("epsilon", "v_prediction")


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """In the place of a language model's config."""

    model_type: str
    """The pipeline's class."""
    facts: ModelFacts


def is_pipeline(folder: Path) -> bool:
    return (folder / INDEX).is_file()


def read_pipeline(folder: Path) -> PipelineConfig:
    """Raises ModelUnsupported."""
    kind = _json(folder / INDEX).get("_class_name")
    if kind not in SUPPORTED:
        raise ModelUnsupported(
            f"its pipeline is a {kind}; those that can be tuned are {', '.join(SUPPORTED)} (Stable Diffusion 1 and 2)."
        )
    unet, vae, text, scheduler = (
        _json(folder / part) for part in ("unet/config.json", "vae/config.json", "text_encoder/config.json", "scheduler/scheduler_config.json")
    )  # fmt: skip
    if unet["in_channels"] != vae["latent_channels"]:
        raise ModelUnsupported(
            f"its UNet reads {unet['in_channels']} channels and its VAE writes {vae['latent_channels']}: it was made for painting over "
            "pictures; choose one that draws from text alone."
        )
    if scheduler.get("prediction_type", "epsilon") not in PREDICTS:
        raise ModelUnsupported(
            f"its UNet predicts {scheduler['prediction_type']!r}; those that can be tuned predict {' or '.join(PREDICTS)}."
        )
    step = 2 ** (len(vae["block_out_channels"]) - 1)
    picture = PictureFacts(unet["sample_size"] * step, step)
    return PipelineConfig(kind, ModelFacts(Shape.DIFFUSION, text["max_position_embeddings"], False, picture))


def _json(file: Path) -> dict[str, Any]:
    try:
        told: dict[str, Any] = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise ModelUnsupported(f"its pipeline can't be read: {file.parent.name}/{file.name}: {error}") from error
    return told
