"""How it is learnt: hyperparameters, what is measured on the way, and how often the state is saved."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field

from .common import APIModel, Fraction, Text
from .rules import Rule
from .uris import CheckpointURI


class Scheduler(StrEnum):
    COSINE = "Cosine"
    LINEAR = "Linear"
    CONSTANT = "Constant"


class Metric(StrEnum):
    """What held-out rows are judged by."""

    LOSS = "Loss"
    ACCURACY = "Accuracy"
    F1 = "F1"
    EXACT_MATCH = "ExactMatch"
    BLEU = "BLEU"
    CHRF = "ChrF"
    REWARD_ACCURACY = "RewardAccuracy"

    @property
    def is_better_higher(self) -> bool:
        return self is not Metric.LOSS

    @property
    def key(self) -> str:
        """As measures are called in results: heldout_exact_match_after."""
        return {Metric.EXACT_MATCH: "exact_match", Metric.REWARD_ACCURACY: "reward_accuracy"}.get(
            self, self.value.lower()
        )


LabelName = Annotated[
    str,
    Rule(
        "self.size() >= 1 && self.size() <= 128",
        lambda name: 1 <= len(name) <= 128,
        "a label has 1 to 128 characters: urgent for example",
    ),
]
"""A key of a map: the generator turns its rule into one on the map."""
ClassWeights = Annotated[dict[LabelName, Annotated[float, Field(gt=0, le=1000)]], Field(min_length=1, max_length=1024)]


class Hyperparameters(APIModel):
    """What decides what is learnt. Hardware never changes these."""

    rules: ClassVar = (
        Rule(
            "!(has(self.epochs) && has(self.maxSteps))",
            lambda own: own.epochs is None or own.max_steps is None,
            "epochs and maxSteps exclude each other: name one",
        ),
        Rule(
            "!(has(self.classWeights) && has(self.balanceClasses) && self.balanceClasses)",
            lambda own: own.class_weights is None or not own.balance_classes,
            "classWeights and balanceClasses exclude each other: name the weights, or have them told by the data",
        ),
    )
    epochs: float | None = Field(None, gt=0, le=1000, description="Passes over the training rows. Default: 3.")
    max_steps: int | None = Field(None, ge=1, le=10_000_000, description="Optimiser steps, instead of epochs.")
    global_batch_size: int | None = Field(
        None, ge=1, le=65536, description="Examples in one optimiser step, over all pods."
    )
    learning_rate: float | None = Field(
        None, gt=0, le=1, description="Peak learning rate, a number. Default: by method, 2e-4 for LoRA."
    )
    scheduler: Scheduler | None = Field(None, description="How the learning rate falls after warm-up. Default: Cosine.")
    warmup_ratio: Fraction | None = Field(
        None, description="Share of the steps in which the learning rate rises. Default: 0.05."
    )
    weight_decay: float | None = Field(None, ge=0, le=1, description="AdamW's decoupled weight decay. Default: 0.")
    max_grad_norm: float | None = Field(
        None, gt=0, le=1000, description="Gradients are clipped to this norm. Default: 1."
    )
    max_length: int | None = Field(
        None, ge=8, le=1_048_576, description="Longest example, in tokens. Default: by data and model."
    )
    class_weights: ClassWeights | None = Field(
        None,
        description="How much examples of a class count, or words of a tag: {urgent: 3} for example. Default: 1 each.",
    )
    balance_classes: bool | None = Field(
        None, description="Weigh classes by how rare they are in train, so that each counts as much as another."
    )
    label_smoothing: float | None = Field(
        None,
        ge=0,
        lt=1,
        description="Share of each token's target that is spread evenly over the vocabulary. Preferences have their own. Default: 0.",
    )
    neftune_alpha: float | None = Field(
        None,
        gt=0,
        le=1000,
        description="Noise on token embeddings in training (NEFTune), uniform up to neftuneAlpha/√(tokens · width); 5 is usual. Default: none.",
    )
    seed: int | None = Field(
        None, ge=0, le=2_147_483_647, description="Seed of order, initialisation and dropout. Default: 42."
    )


class EarlyStopping(APIModel):
    """When training ends because nothing gets better any more."""

    patience: int = Field(
        ge=1, le=1000, description="Evaluations in a row that may go by without a better one before training ends."
    )
    min_delta: float | None = Field(
        None, ge=0, le=1000, description="By how much an evaluation must be better than the best to count. Default: 0."
    )


class Evaluation(APIModel):
    """What is measured on held-out rows."""

    rules: ClassVar = (
        Rule(
            "!has(self.topP) || (has(self.temperature) && self.temperature > 0.0)",
            lambda own: own.top_p is None or bool(own.temperature),
            "topP goes with a temperature above 0, without which answers are not drawn: set temperature, or remove topP",
        ),
    )
    every_steps: int | None = Field(
        None,
        ge=1,
        le=10_000_000,
        description="Steps between two evaluations. Default: before and after only; as often as a checkpoint with keepBest or earlyStopping.",
    )
    metric: Metric | None = Field(
        None, description="What held-out rows are judged by. Default: by task, Loss for Chat."
    )
    keep_best: bool | None = Field(
        None,
        description="true: the best evaluation's weights, by metric, are kept beyond checkpoint.keep and stored as the result. "
        "Default: false, the last step's are.",
    )
    early_stopping: EarlyStopping | None = Field(
        None, description="Ends training, as complete, once metric gets no better. Default: all steps are made."
    )
    prompts: Annotated[list[Text], Field(max_length=16)] | None = Field(
        None, description="Prompts answered before and after training, for the model card."
    )
    max_new_tokens: int | None = Field(
        None, ge=1, le=4096, description="Longest answer to a prompt, in tokens. Default: 64."
    )
    temperature: float | None = Field(
        None,
        ge=0,
        le=2,
        description="0: answers are the likeliest words. Above: drawn, by seed, at that temperature. Default: 0.",
    )
    top_p: float | None = Field(
        None,
        gt=0,
        le=1,
        description="Words are drawn from the likeliest that together have this probability. Default: 1.",
    )


class Checkpoint(APIModel):
    """What a fault can cost."""

    uri: CheckpointURI | None = Field(
        None,
        description="Where they are kept: pvc://CLAIM/PATH, s3://BUCKET/PATH, az://CONTAINER/PATH or gs://BUCKET/PATH. Default: beside the result; "
        "must be set where output.uri is oci:// or hf://, which take results alone.",
    )
    every_steps: int | None = Field(
        None, ge=1, le=10_000_000, description="Steps between two checkpoints. Default: a tenth of all."
    )
    keep: int | None = Field(None, ge=1, le=100, description="How many are kept while the job runs. Default: 2.")
    keep_final: bool | None = Field(
        None,
        description="true: the last step's stays beside the result, 12 bytes a trained parameter, so that startFrom can go on from it. "
        "Default: true, but for type Full.",
    )
