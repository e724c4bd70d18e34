"""One attempt from spec to stored result, in the process that a pod runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.trainer import tiny
from tests.trainer.gangs import RESULT, ends
from tests.trainer.trainees import run_here

from skipjack.protocol import ExitCode
from skipjack_trainer.errors import ConfigurationInvalid, ModelNotFound, OutputExists
from skipjack_trainer.tasks import Subject
from skipjack_trainer.tasks.generate import asked


def test_a_job_runs_from_spec_to_stored_adapter(tmp_path: Path) -> None:
    told = tiny.resolved(evaluation={"everySteps": 2, "prompts": ["light 3"], "maxNewTokens": 4})
    code, output = ends(tiny.start(tiny.furnish(tmp_path, told)))
    assert code == ExitCode.OK, output
    said = tiny.last_word(tmp_path)
    assert said["step"] == said["steps"] == 6
    assert said["metrics"]["heldout_loss_after"] < said["metrics"]["heldout_loss_before"]
    assert said["output_digest"].startswith("sha256:")
    folder = tmp_path / RESULT
    assert json.loads((folder / "skipjack.json").read_text())["jobUid"] == "uid-1"
    assert (folder / "loss.png").read_bytes().startswith(b"\x89PNG")
    card = (folder / "README.md").read_text()
    for value in told.told():
        assert f"`{value.field}`" in card
    assert "**light 3**" in card
    assert [place.name for place in (folder / ".skipjack/uid-1/checkpoints").glob("step-*")] == ["step-00000006-a1"]


@pytest.mark.parametrize(("family", "precision"), [("llama", "FP32"), ("phi3", "FP32"), ("llama", "BF16")])
def test_the_adapter_is_what_stock_peft_loads(family: str, precision: str, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    compute = {"precision": precision, "microBatchTokens": 96}
    tiny.furnish(tmp_path, tiny.resolved(method={"type": "LoRA"}, compute=compute), family=family)
    result = run_here(tmp_path)
    close = 1e-4 if precision == "FP32" else 1e-2
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "mnt/claims/models/base", dtype=torch.float32)
    tuned = PeftModel.from_pretrained(base, str(tmp_path / RESULT)).eval()
    assert heldout(tuned) == pytest.approx(result.metrics["heldout_loss_after"], rel=close)
    with tuned.disable_adapter():
        assert heldout(tuned) == pytest.approx(result.metrics["heldout_loss_before"], rel=close)
    assert result.metrics["heldout_loss_after"] < result.metrics["heldout_loss_before"]
    config = json.loads((tmp_path / RESULT / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "pvc://models/base"


def test_the_full_model_is_what_stock_transformers_loads(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tiny.furnish(tmp_path, tiny.resolved(method={"type": "Full"}))
    result = run_here(tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path / RESULT).chat_template == tiny.CHATML
    tuned = AutoModelForCausalLM.from_pretrained(tmp_path / RESULT, dtype=torch.float32).eval()
    assert heldout(tuned) == pytest.approx(result.metrics["heldout_loss_after"], rel=1e-4)
    assert result.metrics["heldout_loss_after"] < result.metrics["heldout_loss_before"]
    before, after = (
        json.loads((tmp_path / place / "config.json").read_text()) for place in ("mnt/claims/models/base", RESULT)
    )
    assert after == before, "what tuning has no business with stays"


@torch.no_grad()
def heldout(model: Any) -> float:
    """The loss of the held-out chats, worked out here: the assistant's words and its end of turn."""
    tokenizer = tiny.tokenizer()
    loss, weight = 0.0, 0
    for chat in tiny.chats(6):
        question = tokenizer.apply_chat_template(chat["messages"][:1], add_generation_prompt=True, tokenize=False)
        answer = chat["messages"][1]["content"] + "<|im_end|>"
        head, tail = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (question, answer))
        logits = model(torch.tensor([head + tail]), use_cache=False).logits[0].float()
        rows = logits[len(head) - 1 : len(head) + len(tail) - 1]
        loss += float(torch.nn.functional.cross_entropy(rows, torch.tensor(tail), reduction="sum"))
        weight += len(tail)
    return loss / weight


def test_a_finished_job_is_never_trained_again(tmp_path: Path) -> None:
    tiny.furnish(tmp_path, tiny.resolved())
    first = run_here(tmp_path)
    times = {file: file.stat().st_mtime_ns for file in (tmp_path / RESULT).rglob("*")}
    assert run_here(tmp_path, attempt=2) == first
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / RESULT).rglob("*")} == times


def test_another_jobs_result_is_kept_unless_it_may_be_replaced(tmp_path: Path) -> None:
    tiny.furnish(tmp_path, tiny.resolved())
    run_here(tmp_path)
    stranger = tiny.resolved().model_copy(update={"job_uid": "uid-2"})
    tiny.furnish(tmp_path, stranger)
    with pytest.raises(OutputExists, match="team/job"):
        run_here(tmp_path)
    replacing = tiny.resolved(output={"uri": "pvc://models/out", "ifExists": "Replace"}).model_copy(
        update={"job_uid": "uid-2"}
    )
    tiny.furnish(tmp_path, replacing)
    assert run_here(tmp_path).step == 6
    assert json.loads((tmp_path / RESULT / "skipjack.json").read_text())["jobUid"] == "uid-2"


def test_files_that_no_job_wrote_are_kept(tmp_path: Path) -> None:
    tiny.furnish(tmp_path, tiny.resolved())
    diary = tmp_path / RESULT / "diary.txt"
    diary.parent.mkdir(parents=True)
    diary.write_text("dear diary")
    with pytest.raises(OutputExists, match=r"diary\.txt"):
        run_here(tmp_path)
    assert diary.read_text() == "dear diary"


def test_a_model_that_is_not_there_is_told_by_its_uri(tmp_path: Path) -> None:
    tiny.furnish(tmp_path, tiny.resolved(model="pvc://models/nowhere"))
    with pytest.raises(ModelNotFound, match="pvc://models/nowhere"):
        run_here(tmp_path)


def test_what_was_measured_is_what_is_there(tmp_path: Path) -> None:
    tiny.furnish(tmp_path, tiny.resolved(method={"type": "LoRA", "lora": {"rank": 4}}))
    metrics = run_here(tmp_path).metrics
    base = sum(p.numel() for p in tiny.model().parameters())
    adapter = 2 * 4 * sum(a + b for a, b in [(32, 32)] * 4 + [(32, 64)] * 3)
    assert metrics["trainable_parameters"] == adapter
    assert metrics["total_parameters"] == base + adapter
    assert 100 < metrics["peak_memory_mib"] < 20_000
    assert metrics["tokens"] == sum(entry["tokens"] for entry in tiny.curve(tmp_path))
    assert metrics["train_loss"] == tiny.curve(tmp_path)[-1]["loss"]


def test_a_completion_is_prompted_with_the_bare_words_that_its_data_has() -> None:
    def told(task: str, prompt: str) -> str:
        subject = Subject(tiny.model(), words, tiny.resolved(task=task), (), torch.device("cpu"))
        return words.decode(asked(subject, prompt)[0])

    words = tiny.tokenizer()
    assert told("Completion", "light 3 is") == "light 3 is"
    assert told("Chat", "light 3?") == ("<|im_start|>user\nlight 3?<|im_end|>\n<|im_start|>assistant\n")


def test_a_module_that_is_not_in_the_model_is_told_with_those_that_are(tmp_path: Path) -> None:
    tiny.furnish(tmp_path, tiny.resolved(method={"type": "LoRA", "lora": {"targetModules": ["wqkv"]}}))
    with pytest.raises(ConfigurationInvalid, match="q_proj"):
        run_here(tmp_path)
