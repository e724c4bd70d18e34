"""What the operator tells Prometheus. The vocabulary is controller-runtime's, under our prefix.

No label has unbounded values, but for the gauges of single jobs, which go when their job ends (`forget_job`).
"""

from __future__ import annotations

import asyncio
import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector

from skipjack.protocol import Sample

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)

QUICK_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
WAITING_SECONDS = (1, 5, 15, 30, 60, 120, 300, 900, 3600, 14400, 86400)


def _counter(name: str, about: str, *labels: str) -> Counter:
    return Counter(f"skipjack_{name}", about, labels, registry=REGISTRY)


def _gauge(name: str, about: str, *labels: str) -> Gauge:
    return Gauge(f"skipjack_{name}", about, labels, registry=REGISTRY)


def _histogram(name: str, about: str, *labels: str, buckets: tuple[float, ...] = QUICK_SECONDS) -> Histogram:
    return Histogram(f"skipjack_{name}", about, labels, registry=REGISTRY, buckets=buckets)


RECONCILE_TOTAL = _counter("reconcile_total", "Reconciles, by how they ended.", "result")
RECONCILE_ERRORS_TOTAL = _counter("reconcile_errors_total", "Reconciles that raised, by class of error.", "reason")
RECONCILE_DURATION_SECONDS = _histogram("reconcile_duration_seconds", "From observing to the last write.")

WORKQUEUE_DEPTH = _gauge("workqueue_depth", "Keys that wait.")
WORKQUEUE_ADDS_TOTAL = _counter("workqueue_adds_total", "Keys added.")
WORKQUEUE_RETRIES_TOTAL = _counter("workqueue_retries_total", "Keys added again after an error.")
WORKQUEUE_QUEUE_DURATION_SECONDS = _histogram("workqueue_queue_duration_seconds", "How long a key waits.")
WORKQUEUE_WORK_DURATION_SECONDS = _histogram("workqueue_work_duration_seconds", "How long a key is worked on.")
WORKQUEUE_LONGEST_RUNNING_SECONDS = _gauge(
    "workqueue_longest_running_processor_seconds", "How long the oldest key in work has been worked on."
)

KUBE_REQUESTS_TOTAL = _counter("kube_requests_total", "Requests to the API server.", "verb", "resource", "code")
KUBE_REQUEST_DURATION_SECONDS = _histogram("kube_request_duration_seconds", "Time to its answer.", "verb", "resource")
KUBE_THROTTLED_SECONDS_TOTAL = _counter("kube_throttled_seconds_total", "Time that requests waited for our own limit.")

EVENT_LOOP_LAG_SECONDS = _gauge("event_loop_lag_seconds", "How late the event loop's last tick was.")
LEADER = _gauge("leader", "1 while this replica leads.")
BUILD_INFO = _gauge("build_info", "Always 1; what is built tells the label.", "version")

EVENTS_TOTAL = _counter("events_total", "Kubernetes Events, by what became of them.", "result")
CATALOGUE_INVALID = _gauge("catalogue_invalid", "Catalogue objects that can't be used.", "kind")

JOBS = _gauge("jobs", "FineTuneJobs, by state.", "state")
JOBS_FINISHED_TOTAL = _counter("jobs_finished_total", "FineTuneJobs that ended.", "result", "reason")
RETRIES_TOTAL = _counter("retries_total", "Attempts after the first, by why the one before ended.", "cause")
TIME_TO_RUNNING_SECONDS = _histogram("time_to_running_seconds", "Creation to Running.", buckets=WAITING_SECONDS)

PROGRESS_POSTS_TOTAL = _counter("progress_posts_total", "Progress posts, by the status of the answer.", "code")
PROGRESS_WRITES_TOTAL = _counter("progress_writes_total", "Writes of status.progress, by result.", "result")
TOKEN_REVIEWS_TOTAL = _counter("token_reviews_total", "Tokens of trainers looked at.", "result")
JOB_STEP = _gauge("job_step", "Optimiser steps done.", "namespace", "name")
JOB_STEPS = _gauge("job_steps", "Optimiser steps in all.", "namespace", "name")
JOB_LOSS = _gauge("job_loss", "Mean training loss of the last step, in nats a token.", "namespace", "name")
JOB_HELDOUT_LOSS = _gauge("job_heldout_loss", "Last loss on held-out rows, in nats a token.", "namespace", "name")
JOB_HELDOUT_METRIC = _gauge(
    "job_heldout_metric", "Last value of what held-out rows are judged by.", "namespace", "name", "metric"
)
JOB_TOKENS_PER_SECOND = _gauge("job_tokens_per_second", "Tokens trained on a second.", "namespace", "name")

_OF_ONE_JOB = (JOB_STEP, JOB_STEPS, JOB_LOSS, JOB_HELDOUT_LOSS, JOB_TOKENS_PER_SECOND)


def tell_job(namespace: str, name: str, sample: Sample) -> None:
    """Set the gauges of one job; what the sample doesn't say keeps its last value."""
    values = (sample.step, sample.steps, sample.loss, sample.heldout_loss, sample.tokens_per_second)
    for gauge, value in zip(_OF_ONE_JOB, values, strict=True):
        if value is not None:
            gauge.labels(namespace, name).set(value)
    if sample.metric is not None and sample.metric_value is not None:
        JOB_HELDOUT_METRIC.labels(namespace, name, sample.metric.value).set(sample.metric_value)


def forget_job(namespace: str, name: str) -> None:
    """Drop the gauges of a job that ended; absent ones are fine."""
    for gauge in (*_OF_ONE_JOB, JOB_HELDOUT_METRIC):
        gauge.remove_by_labels({"namespace": namespace, "name": name})


async def measure_event_loop_lag(every_seconds: float = 1.0) -> None:
    """Measure for ever; runs as a task of the loop that it measures."""
    EVENT_LOOP_LAG_SECONDS.set(0)
    while True:
        began = time.monotonic()
        await asyncio.sleep(every_seconds)
        EVENT_LOOP_LAG_SECONDS.set(max(0.0, time.monotonic() - began - every_seconds))
