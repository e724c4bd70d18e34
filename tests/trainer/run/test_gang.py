"""Gangs: what they learn, and how they end, whichever process it begins with."""

from __future__ import annotations

import signal
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.trainer import forked, tiny
from tests.trainer.gangs import RESULT, ends, gang, learnt, until, with_processes, workers
from tests.trainer.trainees import run_here

from skipjack.protocol import ExitCode
from skipjack_trainer.engine.stop import Stop
from skipjack_trainer.errors import Interrupted

STEPS: dict[str, Any] = {
    "hyperparameters": {"maxSteps": 24, "globalBatchSize": 4, "learningRate": 0.003},
    "evaluation": {"prompts": ["light 3"], "maxNewTokens": 4},
}
TWO_NODES: dict[str, Any] = {"precision": "FP32", "microBatchTokens": 96, "nodes": 2}

Curve = list[tuple[float, float, float]]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Curve:
    """What one process learns."""
    root = tiny.furnish(tmp_path_factory.mktemp("one"), tiny.resolved(**STEPS))
    run_here(root)
    return learnt(root)


def same(a: Curve, b: Curve) -> bool:
    """Equal within 1e-4, as the design promises over world sizes for fp32 without dropout."""
    return [x for row in a for x in row] == pytest.approx([x for row in b for x in row], rel=1e-4)


def test_the_comparison_of_curves_would_notice_a_rank_that_is_left_out(alone: Curve) -> None:
    assert not same(alone, [(step, loss * 1.001, norm) for step, loss, norm in alone])


def test_two_workers_learn_what_one_does_and_rank_0_alone_tells(alone: Curve, tmp_path: Path) -> None:
    told = tiny.resolved(**STEPS, compute=TWO_NODES)
    first, second = (ends(pod) for pod in workers(tiny.furnish(tmp_path, told)))
    assert (first[0], second[0]) == (0, 0), f"{first[1]}\n=====\n{second[1]}"
    assert same(learnt(tmp_path), alone)
    assert "joined as rank 0 of 2" in first[1]
    assert "joined as rank 1 of 2" in second[1]
    for line in ("step 1/24", "method.type = ", "asked:  light 3", "stored pvc://models/out"):
        assert line in first[1]
        assert line not in second[1]
    assert tiny.last_word(tmp_path / "pod-0")["output_uri"] == "pvc://models/out"
    assert not (tmp_path / "pod-1/dev/termination-log").exists(), "it would write over rank 0's"


def test_two_processes_of_one_pod_learn_what_one_does_and_store_it_though_they_are_told_to_end_by_then(
    alone: Curve, tmp_path: Path
) -> None:
    told = with_processes(tiny.resolved(**STEPS), 2)
    (launcher,) = gang(tiny.furnish(tmp_path, told), nodes=1)
    until(launcher, "step 24/24")
    launcher.send_signal(signal.SIGTERM)
    code, output = ends(launcher)
    assert code == ExitCode.OK, output
    assert same(learnt(tmp_path), alone)
    assert tiny.last_word(tmp_path / "pod-0")["output_uri"] == "pvc://models/out"


def test_a_job_that_goes_on_with_two_pods_and_again_with_one_learns_what_one_does(alone: Curve, tmp_path: Path) -> None:
    tiny.furnish(tmp_path, tiny.resolved(**STEPS))
    stop = Stop()
    stop.leave = True
    with pytest.raises(Interrupted, match="after step 1 of 24"):
        run_here(tmp_path, stop=stop)

    tiny.furnish(tmp_path, tiny.resolved(**STEPS, compute=TWO_NODES, checkpoint={"everySteps": 1000}))
    pods = gang(tmp_path, attempt=2)
    lines = until(pods[0], "step 5/")
    assert "going on from the checkpoint of step 1\n" in lines
    pods[1].send_signal(signal.SIGTERM)
    ended = [ends(pod) for pod in pods]
    assert [code for code, _ in ended] == [ExitCode.INTERRUPTED] * 2, "\n=====\n".join(output for _, output in ended)
    for pod in ("pod-0", "pod-1"):
        word = tiny.last_word(tmp_path / pod)
        assert (word["reason"], "its checkpoint is stored" in word["message"]) == ("Interrupted", True)

    tiny.furnish(tmp_path, tiny.resolved(**STEPS))
    run_here(tmp_path, attempt=3)
    assert same(learnt(tmp_path), alone)
    assert "> (nothing)" not in (tmp_path / RESULT / "README.md").read_text().partition("After:")[0]


def test_a_rank_that_waits_for_rank_0s_answers_and_its_checkpoint_does_not_give_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skipjack_trainer.engine.peers.STEP_TIMEOUT", timedelta(seconds=2))
    slow_writes = iter(range(6))
    monkeypatch.setattr("os.fsync", lambda file: time.sleep(0.8 if next(slow_writes, None) is not None else 0))
    answers = {"prompts": [f"light {n}" for n in range(12)], "maxNewTokens": 200}
    settings = {"maxSteps": 3, "globalBatchSize": 4}
    told = tiny.resolved(compute=TWO_NODES, evaluation=answers, hyperparameters=settings, checkpoint={"everySteps": 1})
    begun = time.monotonic()
    first, second = (ends(worker) for worker in workers(tiny.furnish(tmp_path, told)))
    assert (first[0], second[0]) == (0, 0), f"{first[1]}\n=====\n{second[1]}"
    assert time.monotonic() - begun > 6, "rank 0 was too quick for anybody to wait"


def test_a_failure_in_a_process_keeps_its_code_and_its_word_through_the_launcher(tmp_path: Path) -> None:
    told = with_processes(tiny.resolved(**STEPS, model="pvc://models/nowhere"), 2)
    code, output = ends(gang(tiny.furnish(tmp_path, told), nodes=1)[0])
    assert code == ExitCode.MODEL_NOT_FOUND, output
    assert tiny.last_word(tmp_path / "pod-0")["reason"] == "ModelNotFound"


def test_pods_that_never_come_are_told_as_lost_peers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("skipjack_trainer.launch.JOIN_TIMEOUT_SECONDS", 2)
    (alone,) = gang(tiny.furnish(tmp_path, tiny.resolved(**STEPS, compute=TWO_NODES)), only=1)
    code, output = ends(alone)
    assert code == ExitCode.PEER_LOST, output
    assert "not all 2 pods of the gang came within 2 s" in tiny.last_word(tmp_path / "pod-1")["message"]


def test_a_pod_that_vanishes_is_told_as_a_lost_peer(tmp_path: Path) -> None:
    told = tiny.resolved(**STEPS | {"hyperparameters": {"maxSteps": 5000}}, compute=TWO_NODES)
    first, second = workers(tiny.furnish(tmp_path, told))
    until(first, "step 3/")
    second.kill()
    code, output = ends(first)
    ends(second)
    assert code == ExitCode.PEER_LOST, output
    assert tiny.last_word(tmp_path / "pod-0")["reason"] == "PeerLost"


def test_a_gang_that_shares_out_everything_is_stopped_and_goes_on_with_its_pods_processes_and_with_one(
    alone: Curve, tmp_path: Path
) -> None:
    shared: dict[str, Any] = {"strategy": "ZeRO3", "offload": {"optimizer": "CPU"}}
    two_pods = tiny.resolved(**STEPS, compute=TWO_NODES | shared, checkpoint={"everySteps": 1000})
    pods = gang(tiny.furnish(tmp_path, two_pods))
    until(pods[0], "step 5/")
    pods[1].send_signal(signal.SIGTERM)
    ended = [ends(pod) for pod in pods]
    assert [code for code, _ in ended] == [ExitCode.INTERRUPTED] * 2, "\n=====\n".join(output for _, output in ended)

    one_pod: dict[str, Any] = {"precision": "FP32", "microBatchTokens": 96}
    processes = tiny.resolved(**STEPS, compute=one_pod | {"strategy": "ZeRO1"}, checkpoint={"everySteps": 4})
    first, second = workers(tiny.furnish(tmp_path, processes), attempt=2)
    assert any("going on from the checkpoint of step" in line for line in until(first, "step 16/"))
    for worker in (first, second):
        worker.kill()
        ends(worker)

    tiny.furnish(tmp_path, tiny.resolved(**STEPS, compute=one_pod | {"strategy": "ZeRO3"}))
    code, output = ends(forked.start(tmp_path, SKIPJACK_ATTEMPT="3"))
    assert code == ExitCode.OK, output
    assert same(learnt(tmp_path), alone)
    card = (tmp_path / RESULT / "README.md").read_text()
    assert "> (nothing)" not in card.partition("After:")[0]
