"""What operator and trainer say to each other survives the ways it travels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skipjack.protocol import TERMINATION_BYTES_MAX, ExitCode, FailureReason, Result


@given(st.text(max_size=6000), st.sampled_from(FailureReason))
def test_a_result_always_fits_into_a_termination_message(message: str, reason: FailureReason) -> None:
    text = Result(reason=reason, message=message, output_uri="pvc://a/b").encode()
    assert len(text.encode()) <= TERMINATION_BYTES_MAX
    assert Result.model_validate_json(text).reason is reason


def test_a_message_that_is_too_long_keeps_most_of_itself_and_says_that_it_was_cut() -> None:
    told = Result.model_validate_json(Result(message="x" * 9000).encode())
    assert told.message.endswith("(cut)")
    assert len(told.message) > 3900


@pytest.mark.parametrize("code", [code for code in ExitCode if code is not ExitCode.OK])
def test_every_exit_code_has_its_reason_and_back(code: ExitCode) -> None:
    assert ExitCode.of(code.reason) is code


def test_a_reason_that_only_the_operator_gives_is_a_trainers_error_as_an_exit_code() -> None:
    assert ExitCode.of(FailureReason.CANCELLED) is ExitCode.TRAINER_ERROR


def test_exit_codes_stay_below_those_of_signals() -> None:
    assert all(code < 128 for code in ExitCode)
