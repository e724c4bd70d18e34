"""`make demo`: what a person would do by hand, with the clock running. The last line is one JSON object."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from tests.cluster import Cluster
from tests.support.install import install
from tests.support.kubectl import Kubectl, condition, is_true
from tests.support.writes import job_writes

NAMESPACE = "skipjack-demo"
JOB = "lighthouse"
DATA = "examples/lighthouse"
EXAMPLE = "examples/chat-lora.yaml"
LONGEST_SECONDS = 900


def main() -> int:
    cluster = Cluster.current()
    kubectl = Kubectl.of(cluster, NAMESPACE)
    say("installing Skipjack by its chart")
    install(cluster)

    kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", timeout_seconds=300)
    kubectl("create", "namespace", NAMESPACE)
    say(f"kubectl create configmap lighthouse --from-file={DATA}/train.jsonl --from-file={DATA}/validation.jsonl")
    kubectl(
        "create", "configmap", "lighthouse", f"--from-file={DATA}/train.jsonl", f"--from-file={DATA}/validation.jsonl"
    )
    say(f"kubectl apply -f {EXAMPLE}")
    kubectl("apply", "-f", EXAMPLE)
    started = time.monotonic()
    ended, first_step_seconds = watch(kubectl, started)
    seconds = time.monotonic() - started

    print(kubectl("get", "finetunejobs"), flush=True)
    print(kubectl("logs", f"job/{JOB}-1", "--tail=40"), flush=True)
    complete = is_true("Complete")(ended)
    verdict = condition(ended, "Complete" if complete else "Failed")
    say(verdict.get("message", "neither Complete nor Failed"))
    metrics = ended["status"].get("output", {}).get("metrics", {})
    print(
        json.dumps(
            {
                "job": JOB,
                "condition": verdict.get("type"),
                "heldout_loss_before": number(metrics.get("heldout_loss_before")),
                "heldout_loss_after": number(metrics.get("heldout_loss_after")),
                "seconds_to_first_step": first_step_seconds,
                "seconds": round(seconds, 1),
                # Known only where the API server's audit log is ours to read.
                "api_writes": job_writes(cluster, ended).counted if cluster.audit_log else None,
            }
        )
    )
    return 0 if complete else 1


def watch(kubectl: Kubectl, started: float) -> tuple[dict[str, Any], float | None]:
    """The job at its end, and the seconds from apply to the first optimiser step; tells each change as it is seen."""
    told = ""
    first_step_seconds: float | None = None
    while True:
        seen = kubectl.get("finetunejob", JOB)
        progress = seen.get("status", {}).get("progress", {})
        if first_step_seconds is None and progress.get("step", 0) >= 1:
            first_step_seconds = round(time.monotonic() - started, 1)
        if (line := describe(seen)) != told:
            say(f"{time.monotonic() - started:5.1f} s  {line}")
            told = line
        if is_true("Complete")(seen) or is_true("Failed")(seen) or time.monotonic() - started > LONGEST_SECONDS:
            return seen, first_step_seconds
        time.sleep(0.5)


def describe(seen: dict[str, Any]) -> str:
    status = seen.get("status", {})
    progress = status.get("progress", {})
    words = [status.get("state", "Pending")]
    if progress:
        words += [f"step {progress['step']} of {progress['steps']}", progress["percent"]]
        words += [f"{name} {progress[name]}" for name in ("loss", "heldoutLoss", "eta") if progress.get(name)]
    return "  ".join(words)


def number(text: str | None) -> float | None:
    return None if text is None else float(text)


def say(line: str) -> None:
    print(f"demo: {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
