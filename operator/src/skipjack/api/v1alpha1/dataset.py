"""What is learnt from: the task, where rows are, how they are laid out, and what of them counts."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from .common import APIModel, Text, Word
from .rules import Rule, matches
from .uris import DataURI


class Task(StrEnum):
    CHAT = "Chat"
    COMPLETION = "Completion"
    PREFERENCE = "Preference"
    TEXT_CLASSIFICATION = "TextClassification"
    TOKEN_CLASSIFICATION = "TokenClassification"
    QUESTION_ANSWERING = "QuestionAnswering"
    TRANSLATION = "Translation"
    TEXT_TO_IMAGE = "TextToImage"


class RowFormat(StrEnum):
    """How a row of the dataset is laid out."""

    MESSAGES = "Messages"
    CONVERSATIONS = "Conversations"
    PROMPT_COMPLETION = "PromptCompletion"
    ALPACA = "Alpaca"
    TEXT = "Text"
    IMAGE_CAPTION = "ImageCaption"


class TrainOn(StrEnum):
    ASSISTANT = "Assistant"
    LAST_ASSISTANT = "LastAssistant"
    ALL = "All"


class Overlong(StrEnum):
    TRUNCATE = "Truncate"
    DROP = "Drop"
    FAIL = "Fail"


class Source(APIModel):
    """One place that rows come from."""

    uri: DataURI = Field(
        description="Where the rows are: configmap://NAME/KEY, pvc://CLAIM/PATH, hf://datasets/ORG/NAME[@REVISION]/PATH or "
        "https://…; files end in .jsonl, .json, .csv, .parquet or .txt; a path may hold '*'. Pictures lie beside the file that names them, "
        "or within it (.parquet)."
    )
    format: RowFormat | None = Field(None, description="How a row is laid out. Left out: told from its columns.")


Share = Annotated[
    str,
    StringConstraints(max_length=9),
    matches("^([1-9][0-9]{0,8}|[1-9][0-9]?%)$", "a share from 1% to 99%, or a whole number of rows, as a string: '5%' or '200' for example"),
]  # fmt: skip
Labels = Annotated[list[Word], Field(min_length=2, max_length=1024)]


class Dataset(APIModel):
    """What is learnt from."""

    rules: ClassVar = (
        Rule(
            "!(has(self.validation) && has(self.validationSplit))",
            lambda own: own.validation is None or own.validation_split is None,
            "validation and validationSplit exclude each other: name held-out files, or a share of train",
        ),
    )
    train: Annotated[list[Source], Field(min_length=1, max_length=64)] = Field(description="The rows to train on.")
    validation: Annotated[list[Source], Field(min_length=1, max_length=64)] | None = Field(
        None, description="Held-out rows; the loss on them is told before, during and after training."
    )
    validation_split: Share | None = Field(
        None, description='Rows to hold out of train: "5%" or a number of rows, as a string.'
    )
    labels: Labels | None = Field(
        None,
        description="The classes of a classification, or the tags of a token classification, in their order. Default: those in train.",
    )
    instruction: Text | None = Field(
        None,
        description="What stands before each source text of a translation, and before each question that a model answers in its own words: "
        "'translate English to German: ' for example.",
    )
    train_on: TrainOn | None = Field(None, description="Whose words are learnt in a chat. Default: Assistant.")
    overlong: Overlong | None = Field(None, description="What happens to rows beyond maxLength. Default: Truncate.")
    resolution: int | None = Field(
        None,
        ge=16,
        le=4096,
        description="Width and height in pixels that pictures are scaled and cropped to. Default: those that the model draws.",
    )
    packing: bool | None = Field(
        None, description="Put several rows into one sequence. Default: where the model allows it."
    )
