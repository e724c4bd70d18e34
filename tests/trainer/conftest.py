"""One thread for every test of the trainer: sums then add up in the same order in the processes it starts."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)
