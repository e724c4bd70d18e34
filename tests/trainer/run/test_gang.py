"""Two pods, each with its own launcher, on one machine."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.trainer import tiny
from tests.trainer.run.test_attempt import RESULT, ends, learnt, until
from tests.trainer.trainees import run_here

from skipjack.protocol import ExitCode

STEPS: dict[str, Any] = {"hyperparameters": {"maxSteps": 40, "globalBatchSize": 4, "learningRate": 0.003}}


def gang(root: Path, attempt: int = 1, nodes: int = 2) -> list[subprocess.Popen[str]]:
    """The pods of a gang that share their claims, each with a last word of its own."""
    pods = []
    for index in range(nodes):
        pod = root / f"pod-{index}"
        (pod / "mnt").mkdir(parents=True, exist_ok=True)
        if not (pod / "mnt/claims").exists():
            (pod / "mnt/claims").symlink_to(root / "mnt/claims")
            (pod / "mnt/configmaps").symlink_to(root / "mnt/configmaps")
            (pod / "etc").symlink_to(root / "etc")
            (pod / "scratch").mkdir()
        pods.append(
            tiny.start(
                pod,
                JOB_COMPLETION_INDEX=str(index),
                SKIPJACK_MASTER="localhost",
                SKIPJACK_ATTEMPT=str(attempt),
                GLOO_SOCKET_IFNAME="lo",
            )
        )
    return pods


@pytest.fixture(scope="module")
def one_pod(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[float, float, float]]:
    root = tiny.furnish(tmp_path_factory.mktemp("one"), tiny.resolved(**STEPS))
    run_here(root)
    return learnt(root)


def same(a: list[tuple[float, float, float]], b: list[tuple[float, float, float]]) -> bool:
    return [x for row in a for x in row] == pytest.approx([x for row in b for x in row], rel=1e-3, abs=1e-4)


def test_two_pods_learn_what_one_does(one_pod: list[tuple[float, float, float]], tmp_path: Path) -> None:
    told = tiny.resolved(**STEPS, compute={"precision": "FP32", "microBatchTokens": 96, "nodes": 2})
    ended = [ends(pod) for pod in gang(tiny.furnish(tmp_path, told))]
    assert [code for code, _ in ended] == [0, 0], "\n=====\n".join(output for _, output in ended)
    assert same(learnt(tmp_path), one_pod)


def test_two_processes_of_one_pod_learn_what_one_does(
    one_pod: list[tuple[float, float, float]], tmp_path: Path
) -> None:
    told = tiny.resolved(**STEPS)
    told = told.model_copy(update={"compute": told.compute.model_copy(update={"processes_per_node": 2})})
    code, output = ends(gang(tiny.furnish(tmp_path, told), nodes=1)[0])
    assert code == ExitCode.OK, output
    assert same(learnt(tmp_path), one_pod)


def test_a_failure_in_a_process_keeps_its_code_through_the_launcher(tmp_path: Path) -> None:
    told = tiny.resolved(**STEPS, model="pvc://models/nowhere")
    told = told.model_copy(update={"compute": told.compute.model_copy(update={"processes_per_node": 2})})
    code, output = ends(gang(tiny.furnish(tmp_path, told), nodes=1)[0])
    assert code == ExitCode.MODEL_NOT_FOUND, output
    assert tiny.last_word(tmp_path / "pod-0")["reason"] == "ModelNotFound"


@pytest.mark.parametrize("asked", [0, 1])
def test_a_stop_that_one_pod_gets_ends_both_with_a_checkpoint(
    asked: int, one_pod: list[tuple[float, float, float]], tmp_path: Path
) -> None:
    told = tiny.resolved(
        **STEPS, compute={"precision": "FP32", "microBatchTokens": 96, "nodes": 2}, checkpoint={"everySteps": 1000}
    )
    pods = gang(tiny.furnish(tmp_path, told))
    until(pods[0], "step 3/")
    pods[asked].send_signal(signal.SIGTERM)
    ended = [ends(pod) for pod in pods]
    assert [code for code, _ in ended] == [ExitCode.INTERRUPTED] * 2, "\n=====\n".join(output for _, output in ended)
    assert tiny.last_word(tmp_path / "pod-0")["reason"] == "Interrupted"
    assert len(list((tmp_path / RESULT).rglob("manifest.json"))) == 1
    if asked == 1:
        ended = [ends(pod) for pod in gang(tmp_path, attempt=2)]
        assert [code for code, _ in ended] == [0, 0], "\n=====\n".join(output for _, output in ended)
        assert "going on from the checkpoint" in ended[0][1]
        assert same(learnt(tmp_path), one_pod)


def test_a_pod_that_vanishes_is_told_as_a_lost_peer(tmp_path: Path) -> None:
    told = tiny.resolved(
        **STEPS | {"hyperparameters": {"maxSteps": 2000}},
        compute={"precision": "FP32", "microBatchTokens": 96, "nodes": 2},
    )
    first, second = gang(tiny.furnish(tmp_path, told))
    until(first, "step 3/")
    children = Path(f"/proc/{second.pid}/task/{second.pid}/children").read_text().split()
    second.kill()
    for child in children:
        subprocess.run(["kill", "-9", child], check=False)
    code, output = ends(first)
    second.communicate(timeout=60)
    assert code == ExitCode.PEER_LOST, output
    assert tiny.last_word(tmp_path / "pod-0")["reason"] == "PeerLost"
