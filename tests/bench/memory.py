"""How much memory preparing data takes, over growing inputs: `python -m tests.bench.memory [MEGABYTES …]`.

Rows are generated (`tests/bench/rows.py`), and each case runs in a process of its own: files are checked, tokenised into tables, and
every example of the steps is read once. What is told is the most anonymous memory (RssAnon of /proc/PID/status, looked at every 10 ms
from outside): mapped files are the page cache's, which the kernel takes back. Words are tokens here, so that a gigabyte takes minutes
and not an hour: tokens a byte are as with a real tokenizer, and memory doesn't depend on how they were found.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.bench import rows

MIB = 2**20
CASES = (
    # rows, file, steps (None: one epoch), sizes in MB; None: those asked for
    ("chats", "rows.jsonl", None, None),
    ("chats", "rows.jsonl", 100, None),
    ("short", "rows.jsonl", None, (10, 100)),
    ("chats", "rows.json", None, (10, 100)),
    ("chats", "rows.csv", None, (10, 100)),
    ("chats", "rows.parquet", None, (10, 100)),
    ("chats", "rows.jsonl.gz", None, (10, 100)),
)
BATCH = 16


@dataclass(frozen=True, slots=True)
class Case:
    kind: str
    file: str
    steps: int | None
    megabytes: int

    @property
    def title(self) -> str:
        steps = "an epoch" if self.steps is None else f"{self.steps} steps of {BATCH}"
        return f"{self.kind}, {''.join(Path(self.file).suffixes)}, {steps}"


def measured(case: Case, place: Path) -> dict[str, Any]:
    """What the process of a case tells, and the most memory that it took."""
    claim = place / "claims/data"
    claim.mkdir(parents=True)
    count = rows.write(case.kind, case.megabytes * 10**6, claim / case.file)
    command = [sys.executable, "-m", "tests.bench.memory", "--case", str(place), case.file, str(case.steps or 0)]
    # Arrays in files go where tables go: a temporary folder may lie in memory.
    (place / "tmp").mkdir()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(place / "tmp")}
    )
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, anonymous_mib(process.pid))
        time.sleep(0.01)
    assert process.stdout is not None
    if process.returncode:
        raise SystemExit(f"{case.title}: exit code {process.returncode}")
    return {"rows": count, "peak": peak} | json.loads(process.stdout.read())


def anonymous_mib(pid: int) -> float:
    """0 for a process that has ended."""
    told = re.search(r"RssAnon:\s*(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(told[1]) / 1024 if told else 0.0


def run(place: Path, file: str, steps: int | None) -> dict[str, float]:
    """Prepares what lies there and walks through the steps; CPU-seconds of each phase, and what was there before the first."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import PreTrainedTokenizerFast

    from skipjack.mixture import Mixture
    from skipjack_trainer.data.check import check
    from skipjack_trainer.data.prepare import prepare
    from skipjack_trainer.data.sources import fetch
    from skipjack_trainer.engine.order import step_examples
    from skipjack_trainer.storage import Access
    from tests.trainer import tiny

    special = ["<?>", "<pad>", "<s>", "<|im_start|>", "<|im_end|>"]
    words = Tokenizer(
        WordLevel({word: n for n, word in enumerate(dict.fromkeys(special + rows.WORDS))}, unk_token="<?>")
    )
    words.pre_tokenizer = Whitespace()
    words.add_special_tokens(special)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", bos_token="<s>", eos_token="<|im_end|>"
    )
    tokenizer.chat_template = tiny.CHATML
    settings = {"epochs": 1} if steps is None else {"maxSteps": steps}
    told = tiny.resolved(
        dataset={"train": [{"uri": f"pvc://data/{file}"}]}, hyperparameters=settings | {"globalBatchSize": BATCH}
    )
    access = Access(claims=place / "claims", scratch=place / "scratch")
    before, moments = anonymous_mib(os.getpid()), [time.process_time()]
    found = fetch(told, access)
    check(told, found)
    moments.append(time.process_time())
    prepared = prepare(told, found, tokenizer, tiny.FACTS, access.scratch)
    moments.append(time.process_time())
    plan = prepared.spec.hyperparameters
    assert plan.max_steps is not None
    mixture = Mixture.plain(len(prepared.train))
    total = min(plan.max_steps * BATCH, len(prepared.train)) if steps is None else plan.max_steps * BATCH
    for step in range(plan.max_steps):
        for index in step_examples(step, BATCH, mixture, plan.seed, total):
            assert len(prepared.train[index])
    moments.append(time.process_time())
    check_s, prepare_s, steps_s = (after - earlier for earlier, after in pairwise(moments))
    return {
        "before": before, "check": check_s, "prepare": prepare_s, "steps": steps_s, "tokens": prepared.facts["totalTokens"],
        "disk": sum(f.stat().st_size for f in (place / "scratch").rglob("*") if f.is_file()) / MIB,
    }  # fmt: skip


def main(megabytes: tuple[int, ...]) -> None:
    print(
        "| rows | data, MB | rows | tokens | before, MiB | peak, MiB | check, MB/CPU-s | check and tokenise, CPU-s | tables, MiB |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for kind, file, steps, sizes in CASES:
        for size in sizes or megabytes:
            case = Case(kind, file, steps, size)
            with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_FOLDER")) as folder:
                told = measured(case, Path(folder))
            print(
                f"| {case.title} | {size:,} | {told['rows']:,} | {told['tokens']:,} | {told['before']:.0f} | {told['peak']:.0f} "
                f"| {size / told['check']:.0f} | {told['prepare']:.0f} | {told['disk']:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--case"]:
        print(json.dumps(run(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]) or None)))
    else:
        main(tuple(map(int, sys.argv[1:])) or (10, 100, 1000))
