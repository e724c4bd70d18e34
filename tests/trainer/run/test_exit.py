"""However it ends: the reason, the sentence and the exit code."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest
import torch
from tests.trainer import forked, tiny
from tests.trainer.gangs import ends

from skipjack.protocol import ExitCode, FailureReason, Result
from skipjack_trainer import errors
from skipjack_trainer.__main__ import explain
from skipjack_trainer.last_word import leave, said
from skipjack_trainer.launch import killed

OURS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.TrainerError)]


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.__name__)
def test_our_own_errors_say_their_reason_and_their_sentence(kind: type[errors.TrainerError]) -> None:
    assert explain(kind("what, where, and what to do")) == (kind.reason, "what, where, and what to do")


def test_each_reason_of_the_trainer_has_an_exit_code_of_its_own() -> None:
    codes = [ExitCode.of(kind.reason) for kind in OURS]
    assert len(set(codes)) == len(codes) == len(set(ExitCode)) - 1, "all but OK"


@pytest.mark.parametrize(
    ("error", "reason", "words"),
    [
        (MemoryError(), FailureReason.OUT_OF_MEMORY, "memory ran out. Take a larger nodeType"),
        (torch.OutOfMemoryError("CUDA out of memory."), FailureReason.OUT_OF_MEMORY, "microBatchTokens"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
            FailureReason.OUT_OF_MEMORY,
            "maxLength",
        ),
        (OSError(errno.ENOSPC, "No space left on device", "/scratch/x"), FailureReason.NO_SPACE, "left on /scratch/x"),
        (RuntimeError("write: No space left on device"), FailureReason.NO_SPACE, "left on the pod's scratch volume"),
        (KeyError("weights"), FailureReason.TRAINER_ERROR, "KeyError: 'weights'"),
        (OSError(errno.EIO, "Input/output error", "/x"), FailureReason.TRAINER_ERROR, "OSError: [Errno 5]"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_others_errors_are_told_by_what_they_mean(error: Exception, reason: FailureReason, words: str) -> None:
    assert explain(error)[0] is reason
    assert words in explain(error)[1]


def test_a_real_allocation_that_fails_is_out_of_memory() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)
    assert explain(caught.value)[0] is FailureReason.OUT_OF_MEMORY


def test_a_real_write_to_a_full_device_is_no_space() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    with (
        pytest.raises(Exception, match="No space left on device") as caught,
        open("/dev/full", "wb", buffering=0) as full,
    ):
        torch.save(torch.zeros(10_000_000), full)
    assert explain(caught.value)[0] is FailureReason.NO_SPACE  # type: ignore[arg-type]


@pytest.mark.parametrize("reason", [FailureReason.PEER_LOST, FailureReason.INTERRUPTED])
def test_what_a_process_suffers_from_another_never_replaces_what_that_one_said(
    reason: FailureReason, tmp_path: Path
) -> None:
    word = tmp_path / "dev/termination-log"
    assert leave(word, Result(reason=reason, message="first")) is ExitCode.of(reason)
    assert leave(word, Result(reason=FailureReason.DATA_INVALID, message="why")) is ExitCode.DATA_INVALID
    assert leave(word, Result(reason=reason, message="after")) is ExitCode.of(reason)
    assert said(word) == Result(reason=FailureReason.DATA_INVALID, message="why")


@pytest.mark.parametrize(
    ("code", "reason", "words"),
    [
        (-9, FailureReason.OUT_OF_MEMORY, "memory limit"),
        (-11, FailureReason.TRAINER_ERROR, "signal 11"),
        (134, FailureReason.TRAINER_ERROR, "ended with 134"),
    ],
)
def test_a_worker_that_left_no_word_is_told_by_how_it_ended(code: int, reason: FailureReason, words: str) -> None:
    assert killed(code).reason is reason
    assert words in killed(code).message


def test_a_long_message_fits_the_last_word_and_says_that_it_was_cut() -> None:
    word = Result(reason=FailureReason.TRAINER_ERROR, message="ü" * 10_000, metrics={"loss": 1.0})
    assert len(word.encode().encode()) <= 4096
    assert Result.model_validate_json(word.encode()).message.endswith("ü … (cut)")


def test_a_spec_that_can_not_be_read_is_told_in_the_last_word_too(tmp_path: Path) -> None:
    tiny.furnish(tmp_path, tiny.resolved())
    (tmp_path / "etc/skipjack/podinfo/resolved-spec").write_text("{}")
    code, output = ends(forked.start(tmp_path))
    assert code == ExitCode.TRAINER_ERROR, output
    assert "job_name" in tiny.last_word(tmp_path)["message"]


def test_bad_data_ends_with_its_own_code_and_its_line_in_the_last_word(tmp_path: Path) -> None:
    rows = [*tiny.chats(3), {"messages": [{"role": "user"}]}]
    code, output = ends(forked.start(tiny.furnish(tmp_path, tiny.resolved(), rows)))
    assert code == ExitCode.DATA_INVALID, output
    assert tiny.last_word(tmp_path)["reason"] == "DataInvalid"
    assert "train.jsonl:4" in tiny.last_word(tmp_path)["message"]
    assert "Traceback" not in output
    assert json.loads((tmp_path / "dev/termination-log").read_text()).keys() == {"reason", "message"}
