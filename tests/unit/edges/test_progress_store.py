"""Order of samples, and what a reader sees of them."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skipjack.api.v1alpha1.status import ProgressStatus
from skipjack.protocol import Sample
from skipjack_operator import metrics
from skipjack_operator.progress import News, Reporter, Store, advance
from skipjack_operator.progress.shown import duration, number, percent

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STEPS = 40


def reporter(attempt: int = 1, pod: int = 0, uid: str = "u") -> Reporter:
    return Reporter("ns", f"job-{uid}", uid, attempt, f"pod-{pod}", f"{attempt}-{pod}", f"2026-01-01T00:00:{pod:02}Z")


def sample(step: int, attempt: int = 1, **changes) -> Sample:
    return Sample.model_validate({"attempt": attempt, "step": step, "steps": STEPS, "epoch": step / 20} | changes)


def gauge(name: str, uid: str = "u") -> float | None:
    return metrics.REGISTRY.get_sample_value(f"skipjack_job_{name}", {"namespace": "ns", "name": f"job-{uid}"})


posts = st.lists(
    st.tuples(st.integers(1, 3), st.integers(0, 2), st.integers(0, STEPS), st.sampled_from(["Preparing", "Training"])),
    max_size=40,
)


@given(posts)
def test_progress_never_runs_backwards_for_a_reader(told: list[tuple[int, int, int, str]]) -> None:
    """Whatever order posts arrive in: of stragglers, of pods that were replaced, of attempts that overlap."""
    store, seen = Store(), []
    for attempt, pod, step, phase in told:
        store.put(reporter(attempt, pod), sample(step, attempt, phase=phase), NOW)
        shown = store.latest("u").shown
        seen.append((shown.attempt, shown.step, float(shown.percent.rstrip("%"))))
    assert seen == sorted(seen)


@given(posts)
def test_the_newest_of_the_newest_pod_wins_in_any_order(told: list[tuple[int, int, int, str]]) -> None:
    store = Store()
    for attempt, pod, step, phase in told:
        store.put(reporter(attempt, pod), sample(step, attempt, phase=phase), NOW)
    known = store.latest("u")
    if told:
        newest = max(told, key=lambda t: t[:3])
        assert (known.reporter.attempt, known.reporter.pod_uid, known.sample.step) == (
            newest[0],
            f"{newest[0]}-{newest[1]}",
            newest[2],
        )


def test_a_resume_in_a_new_pod_is_told_and_keeps_what_was_reached() -> None:
    store = Store()
    store.put(reporter(), sample(30, checkpoint_step=25), NOW)
    assert store.put(reporter(pod=1), sample(25), NOW) is News.RESUMED
    shown = store.latest("u").shown
    assert (shown.step, shown.percent, shown.phase, shown.checkpoint_step) == (30, "75.0%", "Resuming", 25)
    store.put(reporter(pod=1), sample(31), NOW)
    assert store.latest("u").shown.phase == "Training"


def test_a_new_attempt_starts_where_it_resumes() -> None:
    store = Store()
    store.put(reporter(), sample(30), NOW)
    assert store.put(reporter(attempt=2), sample(25, attempt=2), NOW) is News.RESUMED
    assert (store.latest("u").shown.attempt, store.latest("u").shown.step) == (2, 25)


def test_a_straggler_of_the_attempt_before_changes_nothing() -> None:
    store = Store()
    store.put(reporter(attempt=2), sample(3, attempt=2), NOW)
    before = store.latest("u")
    assert store.put(reporter(attempt=1, pod=9), sample(39), NOW) is News.STALE
    assert store.latest("u") == before


def test_after_a_restart_the_reader_sees_no_step_back() -> None:
    told_before = advance(None, sample(30, heldout_loss=1.5, checkpoint_step=25), NOW)
    store = Store()
    store.put(reporter(pod=1), sample(26), NOW, told_before)
    shown = store.latest("u").shown
    assert (shown.step, shown.heldout_loss, shown.checkpoint_step) == (30, "1.5000", 25)


@pytest.mark.parametrize(
    ("before", "after", "news"),
    [
        (None, sample(0, phase="Preparing"), News.MILESTONE),
        (sample(0, phase="Preparing"), sample(1), News.MILESTONE),
        (sample(1), sample(2), News.ROUTINE),
        (sample(1), sample(2, checkpoint_step=2), News.MILESTONE),
        (sample(1), sample(2, heldout_loss=2.0), News.MILESTONE),
        (sample(39), sample(40), News.MILESTONE),
        (sample(40), sample(40, phase="Exporting"), News.MILESTONE),
        (sample(2), sample(1), News.STALE),
    ],
)
def test_milestones_are_told_at_once(before: Sample | None, after: Sample, news: News) -> None:
    store = Store()
    if before is not None:
        store.put(reporter(), before, NOW)
    assert store.put(reporter(), after, NOW) is news


def test_the_memory_is_bounded_and_the_silent_go_first() -> None:
    store = Store(jobs_max=2)
    for uid in ("a", "b"):
        store.put(reporter(uid=uid), sample(1), NOW)
    store.put(reporter(uid="a"), sample(2), NOW)
    store.put(reporter(uid="c"), sample(1), NOW)
    assert [uid for uid in "abc" if store.latest(uid)] == ["a", "c"]
    assert (gauge("step", "a"), gauge("step", "b")) == (2, None)


def test_the_gauges_of_a_job_go_when_it_ends() -> None:
    store = Store()
    store.put(reporter(uid="g"), sample(7, loss=1.25, tokens_per_second=900), NOW)
    assert (gauge("step", "g"), gauge("loss", "g"), gauge("tokens_per_second", "g")) == (7, 1.25, 900)
    store.forget("g")
    assert (gauge("step", "g"), gauge("loss", "g"), gauge("tokens_per_second", "g")) == (None, None, None)
    assert store.has_ended("g")
    store.forget("g")


def test_a_deleted_job_is_forgotten_by_its_name() -> None:
    store = Store()
    for uid in ("h", "i"):
        store.put(reporter(uid=uid), sample(7), NOW)
    store.forget_named("ns", "job-h")
    assert (store.latest("h"), gauge("step", "h"), gauge("step", "i")) == (None, None, 7)


@given(
    st.integers(0, 10**12),
    st.integers(0, 10**12),
    st.floats(min_value=0, allow_nan=False),
    *[st.none() | st.floats(allow_nan=True, allow_infinity=True)] * 4,
)
def test_every_sample_can_be_shown(step, steps, epoch, loss, rate, speed, eta) -> None:
    told = Sample(
        attempt=1,
        step=step,
        steps=steps,
        epoch=epoch,
        loss=loss,
        learning_rate=rate,
        tokens_per_second=speed,
        eta_seconds=eta,
    )
    shown = advance(None, told, NOW)
    assert ProgressStatus.model_validate(shown.model_dump(by_alias=True)) == shown
    assert (shown.percent == "100.0%") == (0 < steps <= step)


def test_figures_are_written_for_people() -> None:
    assert [percent(17, 40), percent(39, 40), percent(999_999, 1_000_000), percent(40, 40), percent(0, 0)] == [
        "42.5%",
        "97.5%",
        "99.9%",
        "100.0%",
        "0.0%",
    ]
    assert [duration(s) for s in (0, 59.6, 200, 3600, 7384, math.nan, math.inf, -1)] == [
        "0s",
        "1m0s",
        "3m20s",
        "1h0m",
        "2h3m",
        None,
        None,
        None,
    ]
    assert [number(v) for v in (1.23456, math.nan, math.inf, -math.inf, None)] == [
        "1.2346",
        "NaN",
        "+Inf",
        "-Inf",
        None,
    ]
    assert advance(None, sample(17), NOW).updated == "2026-01-02T03:04:05Z"
