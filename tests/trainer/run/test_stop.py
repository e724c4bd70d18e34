"""SIGTERM in every phase of an attempt, against the process that a pod runs."""

from __future__ import annotations

import signal
import socket
import time
from pathlib import Path

import pytest
from tests.trainer import forked, tiny
from tests.trainer.gangs import RESULT, ends, gang, until, with_processes

from skipjack.protocol import ExitCode

LONG_ANSWERS = {"prompts": [f"light {n}" for n in range(16)], "maxNewTokens": 200}


def test_in_a_download_it_leaves_at_once(tmp_path: Path) -> None:
    tiny.furnish(tmp_path, tiny.resolved(model="hf://org/model"))
    with socket.create_server(("127.0.0.1", 0)) as hub:
        process = tiny.start(tmp_path, HF_ENDPOINT=f"http://127.0.0.1:{hub.getsockname()[1]}")
        connection, _ = hub.accept()
        with connection:
            asked = time.monotonic()
            process.send_signal(signal.SIGTERM)
            code, output = ends(process)
            assert time.monotonic() - asked < 5
    assert code == ExitCode.INTERRUPTED, output
    assert tiny.last_word(tmp_path)["reason"] == "Interrupted"


@pytest.mark.parametrize("processes", [1, 2])
def test_before_the_first_step_it_leaves_at_once_and_stores_nothing(processes: int, tmp_path: Path) -> None:
    told = with_processes(tiny.resolved(evaluation=LONG_ANSWERS), processes)
    (pod,) = gang(tiny.furnish(tmp_path, told), nodes=1)
    until(pod, "task = ")
    time.sleep(1)
    asked = time.monotonic()
    pod.send_signal(signal.SIGTERM)
    code, output = ends(pod)
    assert time.monotonic() - asked < 8
    assert code == ExitCode.INTERRUPTED, output
    assert "step 1/" not in output
    word = tiny.last_word(tmp_path / "pod-0")
    assert (word["reason"], "before the first step" in word["message"]) == ("Interrupted", True)
    assert not list((tmp_path / RESULT).rglob("manifest.json"))


def test_a_launcher_that_waits_for_other_pods_leaves_at_once(tmp_path: Path) -> None:
    told = tiny.resolved(compute={"precision": "FP32", "microBatchTokens": 96, "nodes": 2})
    (waiting,) = gang(tiny.furnish(tmp_path, told), only=1)
    time.sleep(3)
    assert waiting.poll() is None
    asked = time.monotonic()
    waiting.send_signal(signal.SIGTERM)
    code, output = ends(waiting)
    assert time.monotonic() - asked < 5
    assert code == ExitCode.INTERRUPTED, output
    assert tiny.last_word(tmp_path / "pod-1")["reason"] == "Interrupted"


def test_after_the_last_step_the_result_is_stored_all_the_same(tmp_path: Path) -> None:
    told = tiny.resolved(evaluation=LONG_ANSWERS | {"maxNewTokens": 40})
    process = forked.start(tiny.furnish(tmp_path, told))
    until(process, "step 6/6")
    process.send_signal(signal.SIGTERM)
    code, output = ends(process)
    assert code == ExitCode.OK, output
    assert (tmp_path / RESULT / "skipjack.json").is_file()
    assert tiny.last_word(tmp_path)["output_uri"] == "pvc://models/out"
