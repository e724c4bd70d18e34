"""One attempt from spec to stored result, in the process that a pod runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.trainer import tiny
from tests.trainer.trainees import run_here

from skipjack.protocol import ExitCode
from skipjack_trainer.engine.stop import Stop
from skipjack_trainer.errors import ConfigurationInvalid, Interrupted, ModelNotFound, OutputExists

LONG: dict[str, Any] = {
    "hyperparameters": {"maxSteps": 60, "globalBatchSize": 4, "learningRate": 0.003},
    "method": {"type": "LoRA", "lora": {"dropout": 0.2}},
}
RESULT = "mnt/claims/models/out"


def ends(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=180)
    return process.returncode, output


def until(process: subprocess.Popen[str], words: str) -> list[str]:
    """The process's lines up to the one that begins so."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith(words):
            return lines
    raise AssertionError(f"it ended without {words!r}: {''.join(lines)}")


def learnt(root: Path) -> list[tuple[float, float, float]]:
    return [(entry["step"], entry["loss"], entry["gradNorm"]) for entry in tiny.curve(root)]


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
    assert not (folder / ".skipjack/uid-1/checkpoints").exists()


@pytest.mark.parametrize("family", ["llama", "phi3", "gpt2"])
def test_the_adapter_is_what_stock_peft_loads(family: str, tmp_path: Path) -> None:
    from peft import AutoPeftModelForCausalLM, PeftModel
    from transformers import AutoModelForCausalLM

    tiny.furnish(tmp_path, tiny.resolved(method={"type": "LoRA"}), family=family)
    result = run_here(tmp_path)
    base = AutoModelForCausalLM.from_pretrained(tmp_path / "mnt/claims/models/base", dtype=torch.float32)
    tuned = PeftModel.from_pretrained(base, str(tmp_path / RESULT)).eval()
    assert heldout(tuned) == pytest.approx(result.metrics["heldout_loss_after"], rel=1e-4)
    with tuned.disable_adapter():
        assert heldout(tuned) == pytest.approx(result.metrics["heldout_loss_before"], rel=1e-4)
    config = json.loads((tmp_path / RESULT / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "pvc://models/base"
    assert AutoPeftModelForCausalLM is not None


def test_the_full_model_is_what_stock_transformers_loads(tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tiny.furnish(tmp_path, tiny.resolved(method={"type": "Full"}))
    result = run_here(tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path / RESULT).chat_template == tiny.CHATML
    tuned = AutoModelForCausalLM.from_pretrained(tmp_path / RESULT, dtype=torch.float32).eval()
    assert heldout(tuned) == pytest.approx(result.metrics["heldout_loss_after"], rel=1e-4)
    assert result.metrics["heldout_loss_after"] < result.metrics["heldout_loss_before"]


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


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[float, float, float]]:
    root = tiny.furnish(tmp_path_factory.mktemp("whole"), tiny.resolved(**LONG))
    run_here(root)
    return learnt(root)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, ExitCode.INTERRUPTED)])
def test_a_run_that_was_ended_and_resumed_learns_the_same_to_the_last_bit(
    number: signal.Signals, code: int, uninterrupted: list[tuple[float, float, float]], tmp_path: Path
) -> None:
    process = tiny.start(tiny.furnish(tmp_path, tiny.resolved(**LONG)))
    until(process, "step 5/")
    process.send_signal(number)
    ended, output = ends(process)
    assert ended == code, output
    if number is signal.SIGTERM:
        assert tiny.last_word(tmp_path)["reason"] == "Interrupted"
    assert not (tmp_path / RESULT / "skipjack.json").exists()
    ended, output = ends(tiny.start(tmp_path, SKIPJACK_ATTEMPT="2"))
    assert ended == ExitCode.OK, output
    assert "going on from the checkpoint of step" in output
    assert "step 1/" not in output
    assert learnt(tmp_path) == uninterrupted


def test_being_asked_to_stop_saves_after_the_step_and_the_next_attempt_goes_on(tmp_path: Path) -> None:
    tiny.furnish(tmp_path, tiny.resolved(checkpoint={"everySteps": 100}))
    stop = Stop()
    stop.leave = True
    with pytest.raises(Interrupted, match="after step 1 of 6"):
        run_here(tmp_path, stop=stop)
    assert run_here(tmp_path, attempt=2).step == 6
    assert [entry["step"] for entry in tiny.curve(tmp_path)] == [1, 2, 3, 4, 5, 6]


def test_being_asked_to_finish_stores_what_is_there(tmp_path: Path) -> None:
    tiny.furnish(tmp_path, tiny.resolved())
    stop = Stop()
    stop.finish = True
    result = run_here(tmp_path, stop=stop)
    assert (result.step, result.steps) == (1, 6)
    assert (tmp_path / RESULT / "adapter_model.safetensors").is_file()


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


def test_bad_data_ends_with_its_own_code_and_its_line_in_the_last_word(tmp_path: Path) -> None:
    rows = [*tiny.chats(3), {"messages": [{"role": "user"}]}]
    code, output = ends(tiny.start(tiny.furnish(tmp_path, tiny.resolved(), rows)))
    assert code == ExitCode.DATA_INVALID, output
    assert tiny.last_word(tmp_path)["reason"] == "DataInvalid"
    assert "train.jsonl:4" in tiny.last_word(tmp_path)["message"]


@pytest.fixture
def small_claim(tmp_path: Path) -> Iterator[Path]:
    """A claim of 256 KiB."""
    claim = tmp_path / "mnt/claims/small"
    claim.mkdir(parents=True)
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", claim], check=False).returncode
    ):
        pytest.skip("a file system of its own can't be mounted here")
    yield claim
    subprocess.run(["umount", claim], check=True)


def test_a_full_claim_ends_as_no_space_and_leaves_no_half_checkpoint(small_claim: Path, tmp_path: Path) -> None:
    told = tiny.resolved(output={"uri": "pvc://small/out"}, method={"type": "Full"})
    code, output = ends(tiny.start(tiny.furnish(tmp_path, told)))
    assert code == ExitCode.NO_SPACE, output
    assert "claim small is full" in tiny.last_word(tmp_path)["message"]
    assert not list(small_claim.rglob("manifest.json"))


def test_a_full_scratch_disk_ends_as_no_space(tmp_path: Path) -> None:
    from skipjack_trainer.__main__ import explain

    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    with (
        pytest.raises(Exception, match="No space left on device") as caught,
        open("/dev/full", "wb", buffering=0) as full,
    ):
        torch.save(torch.zeros(10_000_000), full)
    assert explain(caught.value)[0].value == "NoSpace"  # type: ignore[arg-type]


def test_a_module_that_is_not_in_the_model_is_told_with_those_that_are(tmp_path: Path) -> None:
    tiny.furnish(tmp_path, tiny.resolved(method={"type": "LoRA", "lora": {"targetModules": ["wqkv"]}}))
    with pytest.raises(ConfigurationInvalid, match="q_proj"):
        run_here(tmp_path)
