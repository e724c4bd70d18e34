"""What a result is written as: told back, and refused where a method or a task leaves nothing to write of."""

from __future__ import annotations

import pytest
from tests.builders import catalogue, spec

from skipjack.api.v1alpha1.dataset import Task
from skipjack.resolve import ResolvedSpec, SpecRefused, refuse_foreign, resolve_spec


def resolved(*formats: dict[str, str], **changes: object) -> ResolvedSpec:
    output = {"uri": "pvc://models/out", "formats": list(formats)}
    return resolve_spec(spec(output=output, **changes), "job", "team", "uid-1", catalogue())


@pytest.mark.parametrize(("method", "usual"), [("LoRA", "Adapter"), ("PTuning", "Adapter"), ("Full", "Merged")])
def test_what_was_trained_is_what_is_stored_unless_more_is_asked_for(method: str, usual: str) -> None:
    told = resolved(method={"type": method})
    assert [form.title for form in told.output.formats] == [usual]
    assert told.origins["output.formats"] == "what was trained"


def test_a_gguf_is_in_16_bits_unless_asked_otherwise() -> None:
    told = resolved({"type": "GGUF"}, {"type": "GGUF", "quantization": "Q8_0"}, {"type": "ONNX"})
    assert [form.title for form in told.output.formats] == ["GGUF F16", "GGUF Q8_0", "ONNX"]
    assert told.origins["output.formats"] == "spec"


@pytest.mark.parametrize("wanted", ["Merged", "ONNX", "GGUF"])
def test_virtual_tokens_cannot_be_written_into_a_model(wanted: str) -> None:
    with pytest.raises(SpecRefused, match=rf"formats\[1\]: {wanted} needs .* PromptTuning learns virtual tokens"):
        resolved({"type": "Adapter"}, {"type": wanted}, method={"type": "PromptTuning"})


def test_full_leaves_no_adapter() -> None:
    with pytest.raises(SpecRefused, match=r"formats\[0\]: Full .* leaves no Adapter: choose Merged"):
        resolved({"type": "Adapter"}, method={"type": "Full"})


@pytest.mark.parametrize(
    ("task", "wanted"),
    [(Task.TEXT_CLASSIFICATION, "GGUF"), (Task.TOKEN_CLASSIFICATION, "GGUF"), (Task.TEXT_TO_IMAGE, "ONNX")],
)
def test_a_task_that_has_no_such_form_is_refused_whether_the_spec_tells_it_or_the_data(task: Task, wanted: str) -> None:
    for refused in (
        lambda: resolved({"type": wanted}, task=task),
        lambda: refuse_foreign(resolved({"type": wanted}), task),
    ):
        with pytest.raises(SpecRefused, match=r"spec.output.formats\[0\]: .*: choose"):
            refused()
