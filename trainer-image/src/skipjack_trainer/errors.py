"""How the trainer fails: each error has the reason that programs read and a sentence that people read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import ClassVar

from skipjack.protocol import FailureReason


class TrainerError(Exception):
    """Something that ends the attempt. The message says what was wrong, where, and what to do."""

    reason: ClassVar[FailureReason] = FailureReason.TRAINER_ERROR


class DataInvalid(TrainerError):
    reason = FailureReason.DATA_INVALID


class DataNotFound(TrainerError):
    reason = FailureReason.DATA_NOT_FOUND


class ModelNotFound(TrainerError):
    reason = FailureReason.MODEL_NOT_FOUND


class ModelUnsupported(TrainerError):
    reason = FailureReason.MODEL_UNSUPPORTED


class AccessDenied(TrainerError):
    reason = FailureReason.ACCESS_DENIED


class OutOfMemory(TrainerError):
    reason = FailureReason.OUT_OF_MEMORY


class NoSpace(TrainerError):
    reason = FailureReason.NO_SPACE


class OutputExists(TrainerError):
    reason = FailureReason.OUTPUT_EXISTS


class ConfigurationInvalid(TrainerError):
    reason = FailureReason.CONFIGURATION_INVALID


class Diverged(TrainerError):
    reason = FailureReason.DIVERGED


class PeerLost(TrainerError):
    reason = FailureReason.PEER_LOST


class Interrupted(TrainerError):
    reason = FailureReason.INTERRUPTED


class StorageFailed(TrainerError):
    reason = FailureReason.STORAGE_FAILED


@contextmanager
def of_a_model() -> Iterator[None]:
    """Stores know files: what is missing where a model is looked for is a model."""
    try:
        yield
    except DataNotFound as error:
        raise ModelNotFound(str(error)) from error
