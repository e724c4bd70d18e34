"""What tasks know of models before their weights are loaded, and what they put on top. No torch: data is prepared by it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Shape(Enum):
    """How a model reads and writes. The value is how messages call it."""

    DECODER = "a causal language model"
    ENCODER = "an encoder"
    ENCODER_DECODER = "a sequence-to-sequence model"
    DIFFUSION = "a diffusion model"


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Told by a model's configuration."""

    shape: Shape
    context_length: int | None
    """Tokens that it can read at once, where it says so."""
    can_pack: bool
    """Whether it keeps packed rows apart."""
    picture: PictureFacts | None = None
    """Of a model that draws."""


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """In pixels."""

    resolution: int
    """Width and height that it was trained to draw."""
    step: int
    """Widths and heights are multiples of it."""


class Head(Enum):
    """What stands on top of a model's body: the class of `transformers` that loads it, and PEFT's task type."""

    NEXT_TOKEN = "AutoModelForCausalLM", "CAUSAL_LM"
    OTHER_SEQUENCE = "AutoModelForSeq2SeqLM", "SEQ_2_SEQ_LM"
    CLASS = "AutoModelForSequenceClassification", "SEQ_CLS"
    CLASS_OF_TOKEN = "AutoModelForTokenClassification", "TOKEN_CLS"
    SPAN = "AutoModelForQuestionAnswering", "QUESTION_ANS"
    NOISE = "DiffusionPipeline", "TEXT_TO_IMAGE"
    """Of a diffusion model: diffusers loads it, and PEFT has no task type for it."""

    def __init__(self, loader: str, kind: str) -> None:
        self.loader, self.kind = loader, kind

    @property
    def is_new(self) -> bool:
        """Whether a pretrained model comes without it: then it is trained whole, from nothing."""
        return self in (Head.CLASS, Head.CLASS_OF_TOKEN, Head.SPAN)


NEW_HEADS = frozenset({"classifier", "pre_classifier", "score", "qa_outputs", "classification_head"})
"""How new layers on top of a pretrained body are called: trained whole, never adapted or quantised."""
