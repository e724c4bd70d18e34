"""The table, and the numbers of its last line."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from .material import Facts
from .measure import Measured

OURS, DEFAULT, PLAIN = "Skipjack", "TRL as it comes", "transformers Trainer"


@dataclass(frozen=True, slots=True)
class Entry:
    """A contender, its runs, the held-out loss of what the last of them stored."""

    name: str
    runs: list[Measured]
    heldout_loss: float
    is_best: bool
    """Of TRL's grid, the fastest."""

    @property
    def cpu(self) -> float:
        return median(run.training.cpu for run in self.runs)

    @property
    def wall(self) -> float:
        return median(run.training.wall for run in self.runs)

    @property
    def peak_mib(self) -> float:
        return median(run.peak_mib for run in self.runs)


def table(entries: list[Entry], facts: Facts) -> str:
    """Markdown: speed and memory, then the loss curves beside each other."""
    head = (
        "| trainer | runs | tokens/CPU-s | learnt tokens/CPU-s | tokens/s | learnt tokens/s | whole process, CPU-s | whole process, s "
        "| peak memory, MiB | held-out loss |"
    )
    lines = [head, "|" + " --- |" * 10]
    for entry in entries:
        whole = [median(getattr(run.whole, what) for run in entry.runs) for what in ("cpu", "wall")]
        rates = [tokens / used for used in (entry.cpu, entry.wall) for tokens in (facts.tokens, facts.learnt_tokens)]
        numbers = " | ".join(f"{number:.0f}" for number in (*rates, *whole, entry.peak_mib))
        name = f"{entry.name} (its best)" if entry.is_best else entry.name
        lines.append(f"| {name} | {len(entry.runs)} | {numbers} | {entry.heldout_loss:.3f} |")
    lines += [
        "",
        f"Training loss by step, {facts.chats} chats of {facts.tokens} tokens, {facts.learnt_tokens} learnt:",
        "",
    ]
    steps = len(entries[0].runs[0].losses)
    lines += ["| trainer | " + " | ".join(str(step + 1) for step in range(steps)) + " |", "|" + " --- |" * (steps + 1)]
    for entry in entries:
        curve = " | ".join(f"{loss:.2f}" for loss in entry.runs[-1].losses)
        lines.append(f"| {entry.name} | {curve} |")
    return "\n".join(lines)


def summary(entries: list[Entry]) -> dict[str, float]:
    """Speed-ups by CPU-seconds of training, and by the clock's; memory as a share of TRL's as it comes."""
    by_name = {entry.name: entry for entry in entries}
    ours, best = by_name[OURS], next(entry for entry in entries if entry.is_best)
    told = {"final_loss": ours.heldout_loss, "trl_final_loss": best.heldout_loss}
    compared = {"trl_best": best}
    if DEFAULT in by_name:
        compared["trl_default"] = by_name[DEFAULT]
        told["trl_final_loss"] = by_name[DEFAULT].heldout_loss
        told["trl_best_final_loss"] = best.heldout_loss
    if PLAIN in by_name:
        compared["transformers"] = by_name[PLAIN]
    for name, entry in compared.items():
        told[f"speedup_vs_{name}"] = entry.cpu / ours.cpu
        told[f"wall_speedup_vs_{name}"] = entry.wall / ours.wall
        told[f"memory_vs_{name}"] = ours.peak_mib / entry.peak_mib
    return {name: round(value, 4) for name, value in told.items()}
