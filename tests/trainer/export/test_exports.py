"""From a stored adapter to all that was asked for; and what is left of it when something goes wrong."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.trainer import tiny
from tests.trainer.export.cells import spec_of
from tests.trainer.gangs import RESULT
from tests.trainer.trainees import run_here
from transformers import AutoModelForCausalLM, AutoTokenizer

from skipjack.api.v1alpha1.formats import FormatType
from skipjack.protocol import Result
from skipjack_trainer.errors import ConfigurationInvalid, ExportFailed, Interrupted
from skipjack_trainer.export import exports
from skipjack_trainer.export.onnx import genai

MERGED, ONNX, Q8_0 = {"type": "Merged"}, {"type": "ONNX"}, {"type": "GGUF", "quantization": "Q8_0"}


def run(root: Path, *formats: dict[str, str], **changes: Any) -> Result:
    tiny.furnish(root, spec_of(*formats, **changes))
    return run_here(root)


def said(model: Any, ids: Any) -> torch.Tensor:
    with torch.no_grad():
        return model.eval()(torch.tensor([ids])).logits


def test_a_quantised_bases_adapter_becomes_a_model_that_says_the_same_everywhere(tmp_path: Path) -> None:
    result = run(tmp_path, {"type": "Adapter"}, MERGED, ONNX, Q8_0, method={"type": "QLoRA"})
    folder = tmp_path / RESULT
    assert [form.path for form in result.formats] == [".", "merged", "onnx", "gguf-q8_0"]
    assert all(form.difference is None or form.difference < 0.1 for form in result.formats)
    ids = AutoTokenizer.from_pretrained(folder / "merged")("the light 3 is red")["input_ids"]
    merged = said(AutoModelForCausalLM.from_pretrained(folder / "merged"), ids)
    base = said(AutoModelForCausalLM.from_pretrained(tmp_path / "mnt/claims/models/base"), ids)
    assert not torch.allclose(merged, base, atol=0.05)

    import onnxruntime_genai

    model = onnxruntime_genai.Model(str(folder / "onnx"))
    generator = onnxruntime_genai.Generator(model, onnxruntime_genai.GeneratorParams(model))
    generator.append_tokens(np.array(ids, np.int32))
    np.testing.assert_allclose(generator.get_output("logits"), merged.numpy(), atol=1e-3)


def test_every_file_is_in_the_manifest_and_every_form_on_the_card(tmp_path: Path) -> None:
    result = run(tmp_path, MERGED, Q8_0)
    folder = tmp_path / RESULT
    told = json.loads((folder / "skipjack.json").read_text())
    there = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    assert {name for name in there if not name.startswith(".skipjack/")} == {*told["files"], "skipjack.json"}
    for name, fact in told["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == fact["sha256"], name
    assert Result.model_validate(told["result"]) == result
    card = (folder / "README.md").read_text()
    assert all(f"| `{form.path}` |" in card and form.digest in card for form in result.formats)
    assert not list(folder.glob(".skipjack/*/exports.json"))


def test_after_a_crash_what_is_left_is_written_and_nothing_is_trained_again(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        whole = exports.make

        def crash(model: Any, wanted: Any, folder: Path) -> Any:
            if wanted.type is FormatType.GGUF:
                raise KeyboardInterrupt
            return whole(model, wanted, folder)

        patch.setattr(exports, "make", crash)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, MERGED, Q8_0)
    folder = tmp_path / RESULT
    before = {file: file.stat().st_mtime_ns for file in [*folder.glob("*.safetensors"), *folder.glob("merged/*")]}
    assert (folder / "merged/model.safetensors") in before
    (tmp_path / "mnt/configmaps/data/train.jsonl").unlink()
    for lost in (tmp_path / "scratch").iterdir():
        lost.rename(tmp_path / f"lost-{lost.name}")
    result = run_here(tmp_path, attempt=2)
    assert [form.path for form in result.formats] == ["merged", "gguf-q8_0"]
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert run_here(tmp_path, attempt=3) == result


def test_a_pod_that_a_later_attempt_has_taken_over_from_writes_nothing_more(tmp_path: Path) -> None:
    whole = exports.make
    with pytest.MonkeyPatch.context() as patch:

        def overtaken(model: Any, wanted: Any, folder: Path) -> Any:
            patch.setattr(exports, "make", whole)
            run_here(tmp_path, attempt=2)
            return whole(model, wanted, folder)

        patch.setattr(exports, "make", overtaken)
        with pytest.raises(Interrupted, match=r"a later attempt has taken over from this one \(1\)"):
            run(tmp_path, MERGED)
    told = json.loads((tmp_path / RESULT / "skipjack.json").read_text())
    assert [form["path"] for form in told["result"]["formats"]] == ["merged"]


def test_a_crash_right_before_the_end_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(output: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(exports, "forget", crash)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path, MERGED)
    card = (tmp_path / RESULT / "README.md").read_text()
    result = run_here(tmp_path, attempt=2)
    assert [form.path for form in result.formats] == ["merged"]
    assert (tmp_path / RESULT / "README.md").read_text() == card


def test_a_form_that_says_something_else_fails_the_job_and_leaves_what_was_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from skipjack_trainer.export.llama_cpp import families

    def mixed_up(name: str, tensor: Any, config: Any) -> Any:
        return np.roll(tensor, 1, axis=0) if "embed_tokens" in name else families.turned(name, tensor, config)

    monkeypatch.setitem(families.FAMILIES, "llama", replace(families.LLAMA, change=mixed_up))
    with pytest.raises(ExportFailed, match=r"GGUF Q8_0 says differs by .*What was trained is kept in pvc://models/out"):
        run(tmp_path, MERGED, Q8_0)
    folder = tmp_path / RESULT
    assert (folder / "adapter_model.safetensors").is_file()
    assert (folder / "merged/model.safetensors").is_file()
    assert not (folder / "gguf-q8_0").exists()


def test_texts_that_become_other_tokens_fail_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from skipjack_trainer.export.llama_cpp import vocabulary

    monkeypatch.setattr(vocabulary, "_merges", lambda told: ["l i"])
    with pytest.raises(ExportFailed, match=r"llama\.cpp makes other tokens of '.*' than the model's tokenizer"):
        run(tmp_path, Q8_0)


def test_a_family_that_cannot_be_written_so_is_refused_before_a_step_is_trained(tmp_path: Path) -> None:
    told = spec_of(MERGED, Q8_0)
    tiny.furnish(tmp_path, told, family="gpt2")
    with pytest.raises(
        ConfigurationInvalid, match=r"formats\[1\]: GGUF Q8_0 .* it is a gpt2, .* are written of llama, "
    ):
        run_here(tmp_path)
    assert not (tmp_path / RESULT).exists()


def test_full_stores_its_model_and_makes_others_of_it(tmp_path: Path) -> None:
    result = run(tmp_path, MERGED, {"type": "GGUF", "quantization": "F32"}, method={"type": "Full"})
    assert [form.path for form in result.formats] == [".", "gguf-f32"]
    assert result.formats[1].difference is not None
    assert result.formats[1].difference < 1e-3


def test_a_base_in_16_bits_is_merged_into_16_bits(tmp_path: Path) -> None:
    tiny.furnish(tmp_path, spec_of(MERGED))
    base = tmp_path / "mnt/claims/models/base"
    tiny.model().bfloat16().save_pretrained(base)
    run_here(tmp_path)
    stored = AutoModelForCausalLM.from_pretrained(tmp_path / RESULT / "merged")
    assert {parameter.dtype for parameter in stored.parameters()} == {torch.bfloat16}


def test_what_a_library_cannot_do_is_told_by_the_form_that_needed_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(genai, "OPTIONS", ("hf_token=false", "no_such_option"))
    with pytest.raises(
        ExportFailed, match=r"ONNX of this model can't be .*ValueError: .*no_such_option.*: leave it out"
    ):
        run(tmp_path, ONNX)
