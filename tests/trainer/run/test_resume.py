"""Attempts that go on from where another ended, and jobs that are asked to finish early."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from tests.trainer import forked, tiny
from tests.trainer.gangs import RESULT, ends, learnt, until
from tests.trainer.operators import operator
from tests.trainer.trainees import run_here

from skipjack.protocol import ExitCode, Sample
from skipjack_trainer.engine.stop import Stop
from skipjack_trainer.errors import DataInvalid, Interrupted

LONG: dict[str, Any] = {
    "hyperparameters": {"maxSteps": 60, "globalBatchSize": 4, "learningRate": 0.003},
    "method": {"type": "LoRA", "lora": {"dropout": 0.2}},
}
ASKING: dict[str, Any] = {"evaluation": {"prompts": ["light 3", "light 4"], "maxNewTokens": 6}}


def interrupted(root: Path) -> None:
    """An attempt that leaves after its first step."""
    stop = Stop()
    stop.leave = True
    with pytest.raises(Interrupted, match="after step 1 of 6"):
        run_here(root, stop=stop)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[float, float, float]]:
    root = tiny.furnish(tmp_path_factory.mktemp("whole"), tiny.resolved(**LONG))
    run_here(root)
    return learnt(root)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, ExitCode.INTERRUPTED)])
def test_a_run_that_was_ended_and_resumed_learns_the_same_to_the_last_bit(
    number: signal.Signals, code: int, uninterrupted: list[tuple[float, float, float]], tmp_path: Path
) -> None:
    process = forked.start(tiny.furnish(tmp_path, tiny.resolved(**LONG)))
    until(process, "step 5/")
    process.send_signal(number)
    ended, output = ends(process)
    assert ended == code, output
    if number is signal.SIGTERM:
        assert tiny.last_word(tmp_path)["reason"] == "Interrupted"
    assert not (tmp_path / RESULT / "skipjack.json").exists()
    ended, output = ends(forked.start(tmp_path, SKIPJACK_ATTEMPT="2"))
    assert ended == ExitCode.OK, output
    assert "going on from the checkpoint of step" in output
    assert "step 1/" not in output
    assert learnt(tmp_path) == uninterrupted


@pytest.mark.parametrize("method", ["LoRA", "Full"])
@pytest.mark.parametrize("family", ["llama", "gemma", "phi3small"])
def test_every_method_resumes_with_tied_embeddings_and_without(family: str, method: str, tmp_path: Path) -> None:
    told = tiny.resolved(method={"type": method}, checkpoint={"everySteps": 100})
    run_here(tiny.furnish(tmp_path / "whole", told, family=family))
    interrupted(tiny.furnish(tmp_path / "cut", told, family=family))
    run_here(tmp_path / "cut", attempt=2)
    assert learnt(tmp_path / "cut") == learnt(tmp_path / "whole")


def test_after_a_resume_the_story_is_whole_from_before_the_first_step(tmp_path: Path) -> None:
    told = tiny.resolved(**ASKING)
    expected = run_here(tiny.furnish(tmp_path / "whole", told))
    interrupted(tiny.furnish(tmp_path / "cut", told))
    result = run_here(tmp_path / "cut", attempt=2)
    for metric in ("heldout_loss_before", "heldout_loss_after", "train_loss", "tokens", "total_parameters"):
        assert result.metrics[metric] == expected.metrics[metric]
    whole, cut = ((tmp_path / place / RESULT / "README.md").read_text() for place in ("whole", "cut"))
    assert answers_of(cut) == answers_of(whole)
    assert answers_of(cut).count("Before:\n> ") == 2
    assert "(nothing)" not in answers_of(cut)


def answers_of(card: str) -> str:
    return card.partition("## The same prompts")[2]


def test_an_attempt_without_a_checkpoint_begins_anew_and_measures_before_again(tmp_path: Path) -> None:
    told = tiny.resolved(**ASKING)
    expected = run_here(tiny.furnish(tmp_path / "whole", told))
    tiny.furnish(tmp_path / "cut", told)
    (tmp_path / "cut/mnt/claims/models/out/.skipjack/uid-1/checkpoints").mkdir(parents=True)
    result = run_here(tmp_path / "cut", attempt=2)
    assert result.metrics["heldout_loss_before"] == expected.metrics["heldout_loss_before"]


def test_the_time_left_is_told_of_the_steps_left_after_a_resume_too(tmp_path: Path) -> None:
    told = tiny.resolved(checkpoint={"everySteps": 100}, hyperparameters={"maxSteps": 6, "globalBatchSize": 4})
    interrupted(tiny.furnish(tmp_path, told))
    with operator() as seen:
        run_here(tmp_path, attempt=2, progress_url=seen.url)
    steps = [sample for sample in seen.taken if sample.phase != "Preparing"]
    assert steps[-1].eta_seconds == 0
    assert [sample.step for sample in steps] == sorted(sample.step for sample in steps)
    assert all((sample.eta_seconds or 0) < 30 for sample in steps)


def test_being_asked_to_finish_stores_what_is_there_and_says_so(tmp_path: Path) -> None:
    tiny.furnish(tmp_path, tiny.resolved(**ASKING, checkpoint={"everySteps": 1}))
    stop = Stop()
    stop.finish = True
    with operator() as seen:
        result = run_here(tmp_path, stop=stop, progress_url=seen.url)
    assert (result.step, result.steps) == (1, 6)
    assert result.message.startswith("finished when asked to, after 1 of 6 steps; held-out loss")
    assert (tmp_path / RESULT / "adapter_model.safetensors").is_file()
    assert len(tiny.curve(tmp_path)) == 1
    last = seen.taken[-1]
    assert (last.step, last.steps, last.phase, last.eta_seconds) == (1, 6, "Exporting", 0)


def test_the_operators_wish_to_finish_reaches_the_loop_with_the_answer_to_a_post(tmp_path: Path) -> None:
    tiny.furnish(tmp_path, tiny.resolved(hyperparameters={"maxSteps": 100_000, "learningRate": 0.001}))

    def finish(sample: Sample) -> tuple[int, dict[str, str], bytes]:
        return 200, {}, b'{"stop":"Finish"}' if sample.step else b"{}"

    with operator(finish) as seen:
        result = run_here(tmp_path, progress_url=seen.url)
    assert 1 <= result.step < 100_000
    assert seen.taken[0].resolved
    assert seen.taken[0].facts
    assert {value.field for value in seen.taken[0].resolved} >= {"task", "hyperparameters.globalBatchSize"}


def test_rows_that_changed_since_the_checkpoint_are_refused(tmp_path: Path) -> None:
    told = tiny.resolved()
    interrupted(tiny.furnish(tmp_path, told))
    tiny.furnish(tmp_path, told, rows=tiny.chats(25)[1:])
    with pytest.raises(DataInvalid, match="its rows are others than those that the checkpoint was trained on"):
        run_here(tmp_path, attempt=2)
    tiny.furnish(tmp_path, told)
    assert run_here(tmp_path, attempt=2).step == 6


def test_fewer_rows_than_were_planned_for_are_refused(tmp_path: Path) -> None:
    planned = tiny.resolved(hyperparameters={"epochs": 1, "globalBatchSize": 4})
    pinned = planned.deciding({"hyperparameters.max_steps": (6, "1 epoch of 24 rows")})
    with pytest.raises(DataInvalid, match="has 20 rows, too few for the 6 steps that were planned"):
        run_here(tiny.furnish(tmp_path, pinned, rows=tiny.chats(20)))
