"""What a job doesn't use is as if it were not installed, so that nobody imports it."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType
from typing import Any

import pytest
from tests.trainer import tiny

from skipjack_trainer.libraries import leave_out_unused


@pytest.fixture
def nothing_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", ModuleType("put back after the test"))
    del sys.modules["bitsandbytes"]


@pytest.mark.usefixtures("nothing_imported")
@pytest.mark.parametrize("method", ["LoRA", "Full"])
def test_a_job_that_quantises_nothing_finds_no_bitsandbytes(method: str) -> None:
    leave_out_unused(tiny.resolved(method={"type": method}))
    assert importlib.util.find_spec("bitsandbytes") is None, "what PEFT, accelerate and transformers ask"
    with pytest.raises(ImportError):
        import bitsandbytes  # noqa: F401


@pytest.mark.usefixtures("nothing_imported")
@pytest.mark.parametrize("method", [{"type": "QLoRA"}, {"type": "LoRA", "quantization": {"type": "NF4"}}])
def test_a_job_that_quantises_finds_it(method: dict[str, Any]) -> None:
    leave_out_unused(tiny.resolved(method=method))
    assert importlib.util.find_spec("bitsandbytes")


def test_what_is_imported_already_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    there = ModuleType("bitsandbytes")
    monkeypatch.setitem(sys.modules, "bitsandbytes", there)
    leave_out_unused(tiny.resolved())
    assert sys.modules["bitsandbytes"] is there
