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
    PROMPT_CHOSEN_REJECTED = "PromptChosenRejected"
    CHOSEN_REJECTED = "ChosenRejected"
    PREFERRED_OUTPUT = "PreferredOutput"
    PREFERRED_COMPLETION = "PreferredCompletion"
    PROMPT_COMPLETION_LABEL = "PromptCompletionLabel"
    TEXT_LABEL = "TextLabel"
    TEXT_LABELS = "TextLabels"
    TOKENS_TAGS = "TokensTags"
    TOKENS_NER_TAGS = "TokensNerTags"
    TEXT_ENTITIES = "TextEntities"
    SOURCE_TARGET = "SourceTarget"
    SQUAD = "SQuAD"
    QUESTION_ANSWER = "QuestionAnswer"
    IMAGE_CAPTION = "ImageCaption"


class TrainOn(StrEnum):
    ASSISTANT = "Assistant"
    LAST_ASSISTANT = "LastAssistant"
    ALL = "All"


class Overlong(StrEnum):
    TRUNCATE = "Truncate"
    DROP = "Drop"
    FAIL = "Fail"


class ChatTemplate(StrEnum):
    """How chats are written: the published formats of well-known families."""

    CHATML = "chatml"
    GEMMA = "gemma"
    LLAMA_3 = "llama-3"
    MISTRAL = "mistral"
    PHI_3 = "phi-3"
    PHI_4 = "phi-4"
    QWEN_2_5 = "qwen-2.5"
    QWEN_3 = "qwen-3"
    ZEPHYR = "zephyr"


FieldName = Annotated[
    str,
    StringConstraints(max_length=64, min_length=1),
    matches("^[A-Za-z_][A-Za-z0-9_]*$", "columns maps a field of a layout, of letters, digits and '_', to the column that holds it: "
            "{prompt: question} for example"),
]  # fmt: skip
ColumnPath = Annotated[str, StringConstraints(max_length=256, min_length=1)]

FOLDERS = ("hf://", "pvc://", "s3://", "az://", "gs://", "oci://")
"""Where a source may be a folder."""


class Source(APIModel):
    """One place that rows come from."""

    rules: ClassVar = (
        Rule(
            "!(has(self.split) || has(self.subset)) || self.uri.matches('^(hf|pvc|s3|az|gs|oci)://')",
            lambda own: (own.split is None and own.subset is None) or own.uri.startswith(FOLDERS),
            "split and subset choose files of a data set: hf://datasets/ORG/NAME, pvc://CLAIM/FOLDER or s3://BUCKET/FOLDER; elsewhere name the file itself",
        ),
        # A schema's minimum of 0.001 lets 0 pass: the API server compares whole numbers with its whole part.
        Rule(
            "!has(self.weight) || self.weight >= 0.001",
            lambda own: own.weight is None or own.weight >= 0.001,
            "weight is how often each row is seen in an epoch, from 0.001 to 1000: to have none of a source, leave it out",
        ),
    )
    uri: DataURI = Field(
        description="Where the rows are: configmap://NAME/KEY, pvc://CLAIM/PATH, s3://BUCKET/PATH, az://CONTAINER/PATH, gs://BUCKET/PATH, "
        "oci://REGISTRY/REPOSITORY:TAG/PATH, "
        "hf://datasets/ORG/NAME[@REVISION]/PATH or https://…; "
        "files end in .jsonl, .json, .csv, .parquet, .txt, or, for tags, in .conll, .bio, .iob2 or .iob1; a path may hold '*'. "
        "Pictures lie beside the file that names them, or within it (.parquet)."
    )
    subset: Word | None = Field(
        None,
        description="Which of a data set's subsets, as its README or its folders name them. Default: the only one.",
    )
    split: Word | None = Field(
        None, description="Which of a data set's splits: train, validation, train_sft … Default: the only one."
    )
    format: RowFormat | None = Field(None, description="How a row is laid out. Left out: told from its columns.")
    columns: Annotated[dict[FieldName, ColumnPath], Field(max_length=16)] | None = Field(
        None,
        description="For rows that call things otherwise: a layout's field → the column that holds it, with dots into objects: "
        "{source: translation.en}.",
    )
    weight: float | None = Field(
        None,
        le=1000,
        description="How often each row is seen in an epoch: 2 is twice, 0.1 is a tenth of the rows, another tenth in each epoch. Default: 1.",
    )


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
        Rule(
            "!has(self.validation) || self.validation.all(source, !has(source.weight))",
            lambda own: all(source.weight is None for source in own.validation or ()),
            "held-out rows are each measured once: remove weight here, it belongs to the sources of train",
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
        description="The classes of a classification, or the tags of a token classification, in their order; rows may name them by their "
        "place, from 0. Default: those in train.",
    )
    instruction: Text | None = Field(
        None,
        description="What stands before each source text of a translation, and before each question that a model answers in its own words: "
        "'translate English to German: ' for example.",
    )
    chat_template: ChatTemplate | None = Field(
        None,
        description="How chats are written, and the tuned model's own template from then on. Default: the model's own; base models have none.",
    )
    stride: int | None = Field(
        None,
        ge=0,
        le=1_048_576,
        description="Tokens of a context that neighbouring windows share, where an encoder reads one that is longer than maxLength. "
        "Default: 128, at most a third of maxLength.",
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
