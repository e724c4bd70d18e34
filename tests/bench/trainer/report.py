"""The table, and the numbers of its last line."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median

from .accelerator import Work, peak_tflops, utilisation
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
    def resident_mib(self) -> float:
        return median(run.resident_mib for run in self.runs)

    @property
    def device_mib(self) -> float:
        return median(run.device_mib for run in self.runs)


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
        numbers = " | ".join(f"{number:.0f}" for number in (*rates, *whole, entry.resident_mib))
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


def by_clock(entries: list[Entry], facts: Facts, work: Work, device: str) -> str:
    """Markdown, for a GPU: what counts there is the clock."""
    lines = ["| trainer | runs | tokens/s | MFU | peak memory, MiB | held-out loss |", "|" + " --- |" * 6]
    peak = peak_tflops(device)
    for entry in entries:
        name = f"{entry.name} (its best)" if entry.is_best else entry.name
        share = f"{utilisation(work, entry.wall, peak):.1%}" if peak else "peak unknown"
        rate = facts.tokens / entry.wall
        lines.append(
            f"| {name} | {len(entry.runs)} | {rate:.0f} | {share} | {entry.device_mib:.0f} | {entry.heldout_loss:.3f} |"
        )
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
        told[f"memory_vs_{name}"] = ours.resident_mib / entry.resident_mib
    return {name: round(value, 4) for name, value in told.items()}
