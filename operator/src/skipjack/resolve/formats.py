"""What the result is written as, and what a method or a task leaves nothing to write of."""

from __future__ import annotations

from collections.abc import Sequence

from ..api.v1alpha1.dataset import Task
from ..api.v1alpha1.formats import FormatType, OutputFormat, as_written
from ..api.v1alpha1.method import MethodType
from ..methods import METHODS
from .catalogue import SpecRefused
from .choices import Choices
from .resolved import ResolvedFormat

NO_GGUF = frozenset({Task.TEXT_CLASSIFICATION, Task.TOKEN_CLASSIFICATION, Task.TEXT_TO_IMAGE})
"""Tasks whose models predict no next token, which is all that llama.cpp is asked for."""


def resolve_formats(own: Sequence[OutputFormat] | None, kind: MethodType, choices: Choices) -> list[dict[str, str]]:
    """Raises SpecRefused."""
    for place, each in enumerate(own or ()):
        refuse_format(f"spec.output.formats[{place}]", each.type, kind, None)
    wanted = [as_written(each) for each in own] if own else [(as_trained(kind), None)]
    choices.choose("output.formats", own or None, None, "what was trained")
    formats = [ResolvedFormat(type=form, quantization=quantization) for form, quantization in wanted]
    return [each.model_dump(mode="json", exclude_none=True) for each in formats]


def as_trained(kind: MethodType) -> FormatType:
    """The form that is stored in any case."""
    return FormatType.MERGED if kind is MethodType.FULL else FormatType.ADAPTER


def refuse_format(field: str, wanted: FormatType, kind: MethodType, task: Task | None) -> None:
    """Raises SpecRefused where the method, or the task once it is known, has no such form."""
    is_full = kind is MethodType.FULL
    if is_full and wanted is FormatType.ADAPTER:
        raise SpecRefused(
            "FormatUnsupported",
            f"{field}: Full trains the model itself and leaves no Adapter: choose Merged, or another method.",
        )
    if not is_full and wanted is not FormatType.ADAPTER and not METHODS[kind].merges:
        raise SpecRefused(
            "FormatUnsupported",
            f"{field}: {wanted.value} needs what was learnt within the model's weights, and {kind.value} learns virtual tokens beside them: "
            "choose Adapter, or another method.",
        )
    if task in NO_GGUF and wanted is FormatType.GGUF:
        raise SpecRefused(
            "FormatUnsupported",
            f"{field}: a model that learns {task.value} predicts no next token, and has no GGUF: choose ONNX or Merged.",
        )
    if task is Task.TEXT_TO_IMAGE and wanted is not as_trained(kind):
        raise SpecRefused(
            "FormatUnsupported",
            f"{field}: of a model that draws there is no {wanted.value} yet: choose {as_trained(kind).value}, which diffusers loads.",
        )
