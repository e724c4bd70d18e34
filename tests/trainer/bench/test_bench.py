"""The benchmark's own arithmetic, and how it watches a process. The benchmark itself is `make bench-trainer`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from tests.bench.trainer import accelerator
from tests.bench.trainer.material import SHAPES, Facts, chats, tokenizer
from tests.bench.trainer.measure import Failed, Measured, Used, measure
from tests.bench.trainer.report import Entry, summary, table
from tests.bench.trainer.rivals import labelled, packed_length, rows_needed

FACTS = Facts(tokens=1000, learnt_tokens=600, chats=8, squared_lengths=200_000)
TALKS = (
    "import time; print('training starts'); sum(range(3_000_000)); print('step 1/2  loss 3.5'); "
    "print('step 2/2  loss 2.5'); time.sleep(0.2)"
)
"""As trainers do, it stays a while after its last step."""


def measured(cpu: float, mib: float) -> Measured:
    used = Used(cpu, cpu / 2)
    return Measured(used, used, used, resident_mib=mib, device_mib=0.0, losses=(3.0, 2.0))


def test_a_process_is_measured_from_where_its_training_starts(tmp_path: Path) -> None:
    took = measure([sys.executable, "-u", "-c", TALKS], os.environ, tmp_path / "log")
    assert took.losses == (3.5, 2.5)
    assert 0 < took.training.wall < took.whole.wall
    assert took.whole.cpu > 0
    assert 1 < took.resident_mib < 100, "it is a process of its own, not a copy of this one"


def test_a_contender_that_fails_is_told_with_its_last_lines(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"exit code 1.*no room"):
        measure([sys.executable, "-c", "raise SystemExit('no room')"], os.environ, tmp_path / "log")


def test_ratios_are_of_cpu_seconds_and_of_medians() -> None:
    entries = [
        Entry("Skipjack", [measured(1, 100), measured(2, 120), measured(30, 110)], 2.0, is_best=False),
        Entry("TRL as it comes", [measured(12, 330)], 2.1, is_best=False),
        Entry("transformers Trainer", [measured(6, 220)], 2.1, is_best=False),
        Entry("TRL, packed", [measured(4, 220)], 2.2, is_best=True),
    ]
    told = summary(entries)
    assert (told["speedup_vs_trl_default"], told["speedup_vs_trl_best"], told["speedup_vs_transformers"]) == (6, 2, 3)
    assert told["memory_vs_trl_default"] == pytest.approx(1 / 3, abs=1e-4)
    assert (told["final_loss"], told["trl_final_loss"]) == (2.0, 2.1)
    assert "| TRL, packed (its best) | 1 | 250 | 150 | 500 | 300 |" in table(entries, FACTS)


def test_chats_have_the_lengths_they_were_drawn_with_and_learn_their_answers() -> None:
    shape, words = SHAPES["llama-58m"], tokenizer()
    rows = [labelled(words, chat["messages"]) for chat in chats(shape, 20, 0)]
    lengths = [len(row["input_ids"]) for row in rows]
    assert (min(lengths), max(lengths)) == (41, 492)
    assert all(row["labels"][0] == -100 and row["labels"][-1] == words.eos_token_id for row in rows)
    length = packed_length(lengths, 4)
    assert rows_needed(lengths, length) <= 4
    assert rows_needed(lengths, length - 1) > 4 or length == max(lengths)


def test_an_adapters_flops_are_two_thirds_of_full_ones_and_its_own() -> None:
    shape = SHAPES["llama-8b"]
    assert accelerator.matrices(shape) == pytest.approx(7.11e9, rel=1e-2)
    full = accelerator.work(shape, FACTS, trained=0.0)
    adapter = accelerator.work(shape, FACTS, trained=accelerator.lora_parameters(shape, 16))
    used = accelerator.utilisation(adapter, 1.0, 989) / accelerator.utilisation(full, 1.0, 989)
    assert used == pytest.approx((2 + 41.94e6 / 7.11e9) / 3, rel=1e-3)
    assert accelerator.needs_gib("Full", shape) > 80 > accelerator.needs_gib("LoRA", shape)
